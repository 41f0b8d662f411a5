// SPDX-License-Identifier: Apache-2.0
// The small ports that UEFI firmware of virtual machines looks for beside the others: a debug
// console (the port of Bochs and QEMU's "isa-debugcon"), the A20 gate and fast reset of PS/2
// machines (port 0x92; Intel ICH9 datasheet 13.7.3, PORT92), and the reset pulse of the keyboard
// controller (port 0x64, command 0xfe), by which OVMF does a warm reset.
// Missing: the keyboard controller itself; the A20 gate is always open.
#pragma once

#include <atomic>
#include <memory>
#include <string>

#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/base/units.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

inline constexpr IoPort kDebugConsolePort{0x402};
inline constexpr IoPort kFastA20Port{0x92};
inline constexpr IoPort kKeyboardCommandPort{0x64};

/// What the guest's firmware says while it debugs, byte for byte into a file, up to a limit: later
/// the port is any program's of the guest.
class DebugConsolePort : public IoHandler, public Inspectable {
 public:
  /// Reading it gives this, for firmware to know that somebody listens.
  static constexpr std::uint8_t kPresent = 0xe9;

  /// Far more than any firmware says.
  static constexpr std::uint64_t kMost = 64_MiB;
  /// The file is replaced, and gets at most so many bytes. Errors: kConfig.
  static Result<std::unique_ptr<DebugConsolePort>> create(const std::string& path,
                                                          std::uint64_t most = kMost);
  ~DebugConsolePort() override;

  std::string_view name() const override { return "Debug console"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void inspect(InspectNode& node) const override;

 private:
  DebugConsolePort(UniqueFd fd, std::uint64_t most)
      : fd_(std::move(fd)), most_(most), left_(most) {}
  /// Lines are written whole: an exit per byte is enough.
  void flush_line() GPUVM_REQUIRES(mutex_);

  const UniqueFd fd_;
  const std::uint64_t most_;
  Mutex mutex_;
  std::string line_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t left_ GPUVM_GUARDED_BY(mutex_);  ///< of the limit
  std::atomic<std::uint64_t> bytes_{0};
};

/// Port 0x92: bit 0 resets the machine, bit 1 (the A20 gate) is always set.
class FastA20Port : public IoHandler {
 public:
  explicit FastA20Port(MachineRequests requests) : requests_(std::move(requests)) {}
  std::string_view name() const override { return "Port 92"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;

 private:
  const MachineRequests requests_;
};

/// Port 0x64, of which only the reset pulse exists. It reads as all ones, as an absent controller.
class KeyboardResetPort : public IoHandler {
 public:
  static constexpr std::uint8_t kPulseReset = 0xfe;
  explicit KeyboardResetPort(MachineRequests requests) : requests_(std::move(requests)) {}
  std::string_view name() const override { return "Keyboard reset"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;

 private:
  const MachineRequests requests_;
};

}  // namespace gpuvm
