// SPDX-License-Identifier: Apache-2.0
// Resource descriptors (ACPI 6.5, 6.4) for _CRS, _PRS and _SRS:
//
//   aml::name("_CRS", aml::resource_template({aml::io_range({.base = 0x3f8, .length = 8}),
//                                             aml::irq(4, aml::kIsaInterrupt)}))
//
// Ranges are fixed: minimum and maximum are both given, nothing can be moved by the guest.
#pragma once

#include <cstdint>
#include <vector>

#include "firmware/acpi/aml.hpp"
#include "vmm/base/address.hpp"

namespace gpuvm::aml {

/// A Buffer with all descriptors and an end tag (6.4.2.9). The end tag's checksum is 0, which
/// means "not computed": the guest's methods may patch the template.
Term resource_template(const Terms& descriptors);

struct PortDescriptor {
  std::uint16_t base = 0;
  std::uint8_t length = 0;  ///< ports, 1 to 255
  std::uint8_t alignment = 1;
};
/// IO, 16-bit decode (6.4.2.5).
Term io_range(const PortDescriptor& port);

enum class Access { kReadOnly, kReadWrite };
/// Memory32Fixed (6.4.3.4).
Term memory32_fixed(std::uint32_t base, std::uint32_t size, Access access = Access::kReadWrite);

enum class Trigger { kLevel, kEdge };
enum class Polarity { kHigh, kLow };
enum class Sharing { kExclusive, kShared };
struct InterruptMode {
  Trigger trigger = Trigger::kLevel;
  Polarity polarity = Polarity::kHigh;
  Sharing sharing = Sharing::kExclusive;
};
/// Edge, active high, exclusive: ISA devices.
inline constexpr InterruptMode kIsaInterrupt{Trigger::kEdge, Polarity::kHigh, Sharing::kExclusive};

/// IRQ (6.4.2.1): one ISA interrupt, 0 to 15.
Term irq(unsigned number, const InterruptMode& mode);
/// Interrupt (6.4.3.6), consumer; up to 255 numbers.
Term interrupt(const std::vector<Gsi>& gsis, const InterruptMode& mode);

/// Whether an address range is used by this device or handed to the bus behind it (a window).
enum class Usage { kConsumer, kProducer };

/// WordBusNumber (6.4.3.5.3): buses first to last, produced.
Term word_bus_number(std::uint16_t first, std::uint16_t last);
/// WordIO (6.4.3.5.3): ports first to last, the entire range.
Term word_io(std::uint16_t first, std::uint16_t last, Usage usage = Usage::kProducer);

enum class Caching : std::uint8_t { kNone = 0, kCacheable = 1, kWriteCombining = 2, kPrefetch = 3 };
struct MemoryWindow {
  Caching caching = Caching::kNone;
  Access access = Access::kReadWrite;
  Usage usage = Usage::kProducer;
};
/// DWordMemory (6.4.3.5.2): [first, last]; last must not be below first.
Term dword_memory(std::uint32_t first, std::uint32_t last, const MemoryWindow& window = {});
/// QWordMemory (6.4.3.5.1): [first, last].
Term qword_memory(std::uint64_t first, std::uint64_t last, const MemoryWindow& window = {});

}  // namespace gpuvm::aml
