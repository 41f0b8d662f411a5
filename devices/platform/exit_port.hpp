// SPDX-License-Identifier: Apache-2.0
// ExitPort: I/O port 0xf4, to which a guest writes the exit status of its run, as to QEMU's
// isa-debug-exit (QEMU docs/devel, "isa-debug-exit"). There it becomes (value << 1) | 1; here it is
// the status as it is. A shell does it by /dev/port: printf '\3' | dd of=/dev/port bs=1 seek=244.
#pragma once

#include <atomic>
#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

inline constexpr IoPort kExitPort{0xf4};

class ExitPort : public IoHandler, public Resettable, public Inspectable {
 public:
  static constexpr std::uint64_t kPortCount = 4;  ///< programs write 1, 2 or 4 bytes

  /// Uses requests.exit, for the first value of each life: the guest could go on writing. Whether
  /// the value can be a status is for who is asked to say.
  explicit ExitPort(MachineRequests requests) : requests_(std::move(requests)) {}

  std::string_view name() const override { return "Exit port"; }
  /// All ones.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  /// Survives: the count of writes.
  void reset() override { has_told_ = false; }
  void inspect(InspectNode& node) const override;

 private:
  const MachineRequests requests_;
  std::atomic<bool> has_told_{false};
  std::atomic<std::uint64_t> writes_{0};
};

}  // namespace gpuvm
