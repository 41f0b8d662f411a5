// SPDX-License-Identifier: Apache-2.0
// Encodings of ACPI 6.5, 6.4.
#include "firmware/acpi/aml_resource.hpp"

#include <algorithm>

#include "firmware/acpi/aml_encoding.hpp"

namespace gpuvm::aml {
namespace {

/// Bits 1 to 3 of the interrupt flags of 6.4.3.6 (table 6.56).
unsigned extended_interrupt_flags(const InterruptMode& mode) {
  return (mode.trigger == Trigger::kEdge ? 1U << 1 : 0U) |
         (mode.polarity == Polarity::kLow ? 1U << 2 : 0U) |
         (mode.sharing == Sharing::kShared ? 1U << 3 : 0U);
}

/// The information byte of 6.4.2.1 (table 6.30).
unsigned irq_flags(const InterruptMode& mode) {
  return (mode.trigger == Trigger::kEdge ? 1U << 0 : 0U) |
         (mode.polarity == Polarity::kLow ? 1U << 3 : 0U) |
         (mode.sharing == Sharing::kShared ? 1U << 4 : 0U);
}

struct AddressSpace {
  std::uint8_t tag;       ///< 0x88 word, 0x87 dword, 0x8a qword
  unsigned width;         ///< bytes of each of the five numbers
  std::uint8_t resource;  ///< 0 memory, 1 I/O, 2 bus numbers
  std::uint8_t specific;  ///< type specific flags
  Usage usage;
};

/// 6.4.3.5: granularity 0 and translation 0, minimum and maximum fixed, positive decode.
Term address_space(const AddressSpace& space, std::uint64_t first, std::uint64_t last) {
  constexpr unsigned kMinimumFixed = 1U << 2;
  constexpr unsigned kMaximumFixed = 1U << 3;
  const unsigned consumer = space.usage == Usage::kConsumer ? 1 : 0;
  Term term;
  append_le(term.bytes, space.tag, 1);
  append_le(term.bytes, 3 + 5 * space.width, 2);
  append_le(term.bytes, space.resource, 1);
  append_le(term.bytes, kMinimumFixed | kMaximumFixed | consumer, 1);
  append_le(term.bytes, space.specific, 1);
  for (const std::uint64_t value : {std::uint64_t{0}, first, last, std::uint64_t{0}}) {
    append_le(term.bytes, value, space.width);
  }
  append_le(term.bytes, last - first + 1, space.width);
  return term;
}

/// Memory flags of 6.4.3.5.5 (table 6.50).
std::uint8_t memory_flags(const MemoryWindow& window) {
  return static_cast<std::uint8_t>((window.access == Access::kReadWrite ? 1U : 0U) |
                                   static_cast<unsigned>(window.caching) << 1);
}

}  // namespace

Term resource_template(const Terms& descriptors) {
  Term all = join(descriptors);
  all.bytes.push_back(std::byte{0x79});
  all.bytes.push_back(std::byte{0});
  return buffer(all.bytes);
}

Term io_range(const PortDescriptor& port) {
  Term term;
  append_le(term.bytes, 0x47, 1);
  append_le(term.bytes, 1, 1);  // decodes 16 bits
  append_le(term.bytes, port.base, 2);
  append_le(term.bytes, port.base, 2);
  append_le(term.bytes, port.alignment, 1);
  append_le(term.bytes, port.length, 1);
  return term;
}

Term memory32_fixed(std::uint32_t base, std::uint32_t size, Access access) {
  Term term;
  append_le(term.bytes, 0x86, 1);
  append_le(term.bytes, 9, 2);
  append_le(term.bytes, access == Access::kReadWrite ? 1 : 0, 1);
  append_le(term.bytes, base, 4);
  append_le(term.bytes, size, 4);
  return term;
}

Term irq(unsigned number, const InterruptMode& mode) {
  Term term;
  append_le(term.bytes, 0x23, 1);
  append_le(term.bytes, std::uint64_t{1} << std::min(number, 15U), 2);
  append_le(term.bytes, irq_flags(mode), 1);
  return term;
}

Term interrupt(const std::vector<Gsi>& gsis, const InterruptMode& mode) {
  const std::size_t count = std::min<std::size_t>(gsis.size(), 255);
  Term term;
  append_le(term.bytes, 0x89, 1);
  append_le(term.bytes, 2 + 4 * count, 2);
  append_le(term.bytes, extended_interrupt_flags(mode) | 1U, 1);  // consumer
  append_le(term.bytes, count, 1);
  for (std::size_t i = 0; i < count; ++i) {
    append_le(term.bytes, gsis[i].value(), 4);
  }
  return term;
}

Term word_bus_number(std::uint16_t first, std::uint16_t last) {
  return address_space({0x88, 2, 2, 0, Usage::kProducer}, first, last);
}

Term word_io(std::uint16_t first, std::uint16_t last, Usage usage) {
  constexpr std::uint8_t kEntireRange = 3;  // table 6.51: ISA and non-ISA ports
  return address_space({0x88, 2, 1, kEntireRange, usage}, first, last);
}

Term dword_memory(std::uint32_t first, std::uint32_t last, const MemoryWindow& window) {
  return address_space({0x87, 4, 0, memory_flags(window), window.usage}, first, last);
}

Term qword_memory(std::uint64_t first, std::uint64_t last, const MemoryWindow& window) {
  return address_space({0x8a, 8, 0, memory_flags(window), window.usage}, first, last);
}

}  // namespace gpuvm::aml
