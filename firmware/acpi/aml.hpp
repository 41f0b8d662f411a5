// SPDX-License-Identifier: Apache-2.0
// A writer of ACPI Machine Language (ACPI 6.5, chapter 20), in composable values: each function
// returns one encoded term, and containers take lists of terms:
//
//   aml::device("PCI0", {aml::name("_HID", aml::eisa_id("PNP0A08")),
//                        aml::name("_UID", aml::integer(0)),
//                        aml::method("_STA", 0, {aml::return_(aml::integer(0xf))})})
//
// Paths are written as in ASL: "\\_SB.PCI0", "^RP01", "CDW1"; segments under four characters are
// padded with '_'. Paths are constants of this program, so a wrong one is our bug: characters that
// AML does not know become '_', and the golden tests (iasl, acpiexec) find it.
// Resource descriptors are in aml_resource.hpp.
//
// Missing: mutexes, events, power resources, thermal zones, tables loaded at run time, access
// fields and bank fields: no device of ours needs them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string_view>
#include <vector>

namespace gpuvm::aml {

using Bytes = std::vector<std::byte>;

/// One encoded AML term; concatenating terms gives a TermList.
struct Term {
  Bytes bytes;
  bool operator==(const Term&) const = default;
};
using Terms = std::vector<Term>;

/// The bytes of several terms, one after the other.
Term join(const Terms& terms);

// Data (20.2.3, 20.2.5.4).

/// The shortest encoding of a number (Zero, One, byte, word, dword, qword).
Term integer(std::uint64_t value);
/// Printable ASCII; other characters become '?', because AML strings are ASCII (20.2.3).
Term string(std::string_view text);
Term buffer(std::span<const std::byte> bytes);
/// Up to 255 elements as Package, more as VarPackage.
Term package(const Terms& elements);
/// A compressed EISA id of the form "PNP0A08" (19.3.4), as a dword.
Term eisa_id(std::string_view id);
/// A 16-byte buffer from "33db4d5b-1ff7-401c-9657-7441c03dd766" in the mixed byte order
/// of 19.6.143.
Term uuid(std::string_view text);
/// A name as a reference, for operands and package elements.
Term path(std::string_view path);
Term local(unsigned number);     ///< Local0 to Local7
Term argument(unsigned number);  ///< Arg0 to Arg6
/// No target: the result of an operator is only returned.
Term no_target();

// Named objects (20.2.5.1, 20.2.5.2).

Term name(std::string_view path, const Term& value);
Term scope(std::string_view path, const Terms& terms);
Term device(std::string_view path, const Terms& terms);

enum class Serialized { kNo, kYes };
/// arguments: 0 to 7. A method that creates named objects must be serialized.
Term method(std::string_view path, unsigned arguments, const Terms& terms,
            Serialized serialized = Serialized::kNo);

/// Address space of an operation region (20.2.5.2, RegionSpace).
enum class RegionSpace : std::uint8_t {
  kSystemMemory = 0,
  kSystemIo = 1,
  kPciConfig = 2,
};
Term operation_region(std::string_view path, RegionSpace space, const Term& offset,
                      const Term& length);

enum class FieldAccess : std::uint8_t { kAny = 0, kByte = 1, kWord = 2, kDword = 3, kQword = 4 };
struct FieldUnit {
  std::string_view name;  ///< empty: unnamed, skipped bits
  std::uint32_t bits = 0;
};
/// A field list over a region: NoLock, Preserve.
Term field(std::string_view region, FieldAccess access, std::initializer_list<FieldUnit> units);

Term create_byte_field(const Term& source, const Term& byte_index, std::string_view path);
Term create_word_field(const Term& source, const Term& byte_index, std::string_view path);
Term create_dword_field(const Term& source, const Term& byte_index, std::string_view path);
Term create_qword_field(const Term& source, const Term& byte_index, std::string_view path);
/// A field of any length, in bits.
Term create_field(const Term& source, const Term& bit_index, const Term& bits,
                  std::string_view path);

// Statements (20.2.5.3). A trailing '_' where the ASL word is a C++ keyword.
// NOLINTBEGIN(readability-identifier-naming)

Term return_(const Term& value);
Term if_(const Term& predicate, const Terms& terms);
/// Must follow an if_.
Term else_(const Terms& terms);
Term while_(const Term& predicate, const Terms& terms);
Term break_();
Term notify(const Term& object, const Term& value);
Term sleep(const Term& milliseconds);
Term call(std::string_view method, const Terms& arguments);

// Expressions (20.2.5.4). Where an operator has a target, the default is none.

Term store(const Term& value, const Term& target);
Term add(const Term& a, const Term& b, const Term& target = no_target());
Term subtract(const Term& a, const Term& b, const Term& target = no_target());
Term multiply(const Term& a, const Term& b, const Term& target = no_target());
Term divide(const Term& dividend, const Term& divisor, const Term& remainder = no_target(),
            const Term& quotient = no_target());
Term shift_left(const Term& value, const Term& count, const Term& target = no_target());
Term shift_right(const Term& value, const Term& count, const Term& target = no_target());
Term and_(const Term& a, const Term& b, const Term& target = no_target());
Term or_(const Term& a, const Term& b, const Term& target = no_target());
Term xor_(const Term& a, const Term& b, const Term& target = no_target());
Term not_(const Term& value, const Term& target = no_target());
Term increment(const Term& variable);
Term decrement(const Term& variable);
Term concatenate(const Term& a, const Term& b, const Term& target = no_target());
Term index(const Term& object, const Term& position, const Term& target = no_target());
Term mid(const Term& source, const Term& position, const Term& length,
         const Term& target = no_target());
Term size_of(const Term& object);
Term deref_of(const Term& reference);
Term to_buffer(const Term& value, const Term& target = no_target());
/// A buffer of zeroes whose size is computed when it runs.
Term buffer_of_size(const Term& size);

// NOLINTEND(readability-identifier-naming)

Term logical_and(const Term& a, const Term& b);
Term logical_or(const Term& a, const Term& b);
Term logical_not(const Term& value);
Term equal(const Term& a, const Term& b);
Term not_equal(const Term& a, const Term& b);
Term less(const Term& a, const Term& b);
Term less_equal(const Term& a, const Term& b);
Term greater(const Term& a, const Term& b);
Term greater_equal(const Term& a, const Term& b);

}  // namespace gpuvm::aml
