// SPDX-License-Identifier: Apache-2.0
// Data and named objects: ACPI 6.5, 20.2.2 to 20.2.5.2. Opcodes are those of 20.3, table 20.1.
#include "firmware/acpi/aml.hpp"

#include <algorithm>
#include <array>

#include "firmware/acpi/aml_encoding.hpp"

namespace gpuvm::aml {
namespace {

/// PkgLength (20.2.4) for a value as it stands: 6 bits in one byte, or 4 bits and up to three more
/// bytes. 28 bits are all there is; our tables are far below that.
Bytes encode_length(std::uint64_t value) {
  if (value < 0x40) {
    return {to_byte(value)};
  }
  unsigned following = 1;
  while (following < 3 && value >= std::uint64_t{1} << (4 + 8 * following)) {
    ++following;
  }
  Bytes out{to_byte(following << 6 | (value & 0xf))};
  append_le(out, value >> 4, following);
  return out;
}

/// PkgLength in front of a body: it counts its own bytes.
Bytes with_package_length(const Bytes& body) {
  std::size_t own = 1;
  while (encode_length(body.size() + own).size() != own) {
    ++own;
  }
  Bytes out = encode_length(body.size() + own);
  append(out, body);
  return out;
}

constexpr bool is_name_character(char c) {
  return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

/// NameSeg (20.2.2): four characters, padded with '_'; a digit may not come first.
void append_segment(Bytes& out, std::string_view segment) {
  for (std::size_t i = 0; i < 4; ++i) {
    const char c = i < segment.size() ? segment[i] : '_';
    const bool valid = is_name_character(c) && !(i == 0 && c >= '0' && c <= '9');
    out.push_back(to_byte(static_cast<unsigned char>(valid ? c : '_')));
  }
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const std::size_t dot = text.find('.');
    parts.push_back(text.substr(0, dot));
    text = dot == std::string_view::npos ? std::string_view() : text.substr(dot + 1);
  }
  return parts;
}

std::uint8_t hex_digit(char c) {
  if (c >= '0' && c <= '9') {
    return static_cast<std::uint8_t>(c - '0');
  }
  const char lower = static_cast<char>(c | 0x20);
  return lower >= 'a' && lower <= 'f' ? static_cast<std::uint8_t>(lower - 'a' + 10) : 0;
}

}  // namespace

Term operation(std::uint16_t opcode, const Terms& operands) {
  Term term;
  if (opcode > 0xff) {
    term.bytes.push_back(to_byte(opcode >> 8));
  }
  term.bytes.push_back(to_byte(opcode));
  for (const Term& operand : operands) {
    append(term.bytes, operand.bytes);
  }
  return term;
}

Term packaged(std::uint16_t opcode, const Terms& head, const Terms& body) {
  Bytes content = join(head).bytes;
  append(content, join(body).bytes);
  return operation(opcode, {Term{with_package_length(content)}});
}

Term join(const Terms& terms) {
  Term all;
  for (const Term& term : terms) {
    append(all.bytes, term.bytes);
  }
  return all;
}

Term integer(std::uint64_t value) {
  if (value <= 1) {
    return Term{{to_byte(value)}};  // ZeroOp, OneOp
  }
  struct Form {
    std::uint64_t last;
    std::uint8_t prefix;
    unsigned size;
  };
  constexpr std::array<Form, 4> kForms{{
      {0xff, 0x0a, 1},
      {0xffff, 0x0b, 2},
      {0xffff'ffff, 0x0c, 4},
      {~std::uint64_t{0}, 0x0e, 8},
  }};
  const Form& form = *std::find_if(kForms.begin(), kForms.end(),
                                   [&](const Form& each) { return value <= each.last; });
  Term term{{to_byte(form.prefix)}};
  append_le(term.bytes, value, form.size);
  return term;
}

Term string(std::string_view text) {
  Term term{{std::byte{0x0d}}};
  for (const char c : text) {
    const bool printable = c >= 0x20 && c < 0x7f;
    term.bytes.push_back(to_byte(static_cast<unsigned char>(printable ? c : '?')));
  }
  term.bytes.push_back(std::byte{0});
  return term;
}

Term buffer(std::span<const std::byte> bytes) {
  return packaged(0x11, {integer(bytes.size())}, {Term{Bytes(bytes.begin(), bytes.end())}});
}

Term buffer_of_size(const Term& size) {
  return packaged(0x11, {size}, {});
}

Term package(const Terms& elements) {
  if (elements.size() <= 255) {
    return packaged(0x12, {Term{{to_byte(elements.size())}}}, elements);
  }
  return packaged(0x13, {integer(elements.size())}, elements);
}

Term eisa_id(std::string_view id) {
  std::array<char, 7> text{'@', '@', '@', '0', '0', '0', '0'};
  std::copy_n(id.begin(), std::min(id.size(), text.size()), text.begin());
  std::uint32_t value = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    value = value << 5 | static_cast<std::uint32_t>((text[i] - '@') & 0x1f);
  }
  for (std::size_t i = 3; i < 7; ++i) {
    value = value << 4 | hex_digit(text[i]);
  }
  // The value is kept in big-endian order (19.3.4).
  Term term{{std::byte{0x0c}}};
  for (int shift = 24; shift >= 0; shift -= 8) {
    term.bytes.push_back(to_byte(value >> shift));
  }
  return term;
}

Term uuid(std::string_view text) {
  std::array<std::byte, 16> plain{};
  std::size_t digits = 0;
  for (const char c : text) {
    if (c != '-' && digits < 32) {
      std::byte& target = plain[digits / 2];
      target = target << 4 | std::byte{hex_digit(c)};
      ++digits;
    }
  }
  // The first three groups are little-endian (19.6.143).
  std::reverse(plain.begin(), plain.begin() + 4);
  std::reverse(plain.begin() + 4, plain.begin() + 6);
  std::reverse(plain.begin() + 6, plain.begin() + 8);
  return buffer(plain);
}

Term path(std::string_view text) {
  Term term;
  while (!text.empty() && (text.front() == '\\' || text.front() == '^')) {
    term.bytes.push_back(to_byte(static_cast<unsigned char>(text.front())));
    text.remove_prefix(1);
  }
  const std::vector<std::string_view> segments = split(text);
  if (segments.empty()) {
    term.bytes.push_back(std::byte{0});  // NullName: the root or parent itself
  } else if (segments.size() == 2) {
    term.bytes.push_back(std::byte{0x2e});  // DualNamePrefix
  } else if (segments.size() > 2) {
    term.bytes.push_back(std::byte{0x2f});  // MultiNamePrefix
    term.bytes.push_back(to_byte(segments.size()));
  }
  for (const std::string_view segment : segments) {
    append_segment(term.bytes, segment);
  }
  return term;
}

Term local(unsigned number) {
  return Term{{to_byte(0x60 + std::min(number, 7U))}};
}

Term argument(unsigned number) {
  return Term{{to_byte(0x68 + std::min(number, 6U))}};
}

Term no_target() {
  return Term{{std::byte{0}}};
}

Term name(std::string_view object, const Term& value) {
  return operation(0x08, {path(object), value});
}

Term scope(std::string_view object, const Terms& terms) {
  return packaged(0x10, {path(object)}, terms);
}

Term device(std::string_view object, const Terms& terms) {
  return packaged(0x5b82, {path(object)}, terms);
}

Term method(std::string_view object, unsigned arguments, const Terms& terms,
            Serialized serialized) {
  const unsigned flags = std::min(arguments, 7U) | (serialized == Serialized::kYes ? 0x08U : 0U);
  return packaged(0x14, {path(object), Term{{to_byte(flags)}}}, terms);
}

Term operation_region(std::string_view object, RegionSpace space, const Term& offset,
                      const Term& length) {
  return operation(
      0x5b80, {path(object), Term{{to_byte(static_cast<std::uint8_t>(space))}}, offset, length});
}

Term field(std::string_view region, FieldAccess access, std::initializer_list<FieldUnit> units) {
  // FieldFlags: access type in bits 0 to 3, NoLock, Preserve (20.2.5.2).
  Terms list{path(region), Term{{to_byte(static_cast<std::uint8_t>(access))}}};
  for (const FieldUnit& unit : units) {
    Term element;
    if (unit.name.empty()) {
      element.bytes.push_back(std::byte{0});  // ReservedField
    } else {
      append_segment(element.bytes, unit.name);
    }
    append(element.bytes, encode_length(unit.bits));
    list.push_back(std::move(element));
  }
  return packaged(0x5b81, list, {});
}

}  // namespace gpuvm::aml
