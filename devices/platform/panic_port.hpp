// SPDX-License-Identifier: Apache-2.0
// PanicPort: pvpanic, an I/O port to which a guest's kernel writes that it panics (QEMU
// docs/specs/pvpanic.rst; ACPI id QEMU0001). Linux has the driver pvpanic-mmio for it. Reads tell
// which events are understood.
#pragma once

#include <atomic>
#include <cstdint>

#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

inline constexpr IoPort kPanicPort{0x505};
inline constexpr std::uint8_t kPanicked = 0x01;     ///< the kernel panicked
inline constexpr std::uint8_t kCrashLoaded = 0x02;  ///< so it did, and starts its crash kernel

class PanicPort : public IoHandler, public AcpiSource, public Resettable, public Inspectable {
 public:
  /// Uses requests.panic, once for each kind in each life: the guest could go on writing.
  explicit PanicPort(MachineRequests requests) : requests_(std::move(requests)) {}

  std::string_view name() const override { return "pvpanic"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  /// Bits that are no events are of no consequence.
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  aml::Terms acpi() const override;
  /// Survives: the count of events.
  void reset() override { told_ = 0; }
  void inspect(InspectNode& node) const override;

 private:
  const MachineRequests requests_;
  std::atomic<std::uint8_t> told_{0};  ///< kPanicked, kCrashLoaded
  std::atomic<std::uint64_t> events_{0};
};

}  // namespace gpuvm
