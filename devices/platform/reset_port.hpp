// SPDX-License-Identifier: Apache-2.0
// ResetPort: the reset control register of Intel chipsets at port 0xcf9 (Intel ICH9 datasheet,
// 13.7.5, RST_CNT), one byte. The FADT names it as RESET_REG. It lies inside the PCI configuration
// ports, which pass it on; hence offset 0 only.
//
// A soft reset (INIT only, SYS_RST clear) resets the whole machine too: the vCPUs have no INIT-only
// path, and what writes it wants a fresh start.
#pragma once

#include <atomic>
#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

inline constexpr IoPort kResetPort{0xcf9};
inline constexpr std::uint8_t kResetSystem = 0x02;  ///< SYS_RST: a hard reset
inline constexpr std::uint8_t kResetCpu = 0x04;     ///< RST_CPU: resets when it rises
inline constexpr std::uint8_t kResetFull = 0x08;    ///< FULL_RST: with a power cycle
/// RESET_VALUE for the FADT.
inline constexpr std::uint8_t kResetValue = kResetSystem | kResetCpu;

class ResetPort : public IoHandler, public Resettable, public Inspectable {
 public:
  /// Uses requests.reset.
  explicit ResetPort(MachineRequests requests) : requests_(std::move(requests)) {}

  std::string_view name() const override { return "Reset"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void reset() override { value_.store(0); }
  void inspect(InspectNode& node) const override { node.hex("value", value_.load()); }

 private:
  const MachineRequests requests_;
  std::atomic<std::uint8_t> value_{0};
};

}  // namespace gpuvm
