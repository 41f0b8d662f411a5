// SPDX-License-Identifier: Apache-2.0
// HostBridge: see host_bridge.hpp.
#include "devices/pci/host_bridge.hpp"

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kEcamEnable = 1;
constexpr std::uint32_t kBaseAndLength = 0xfc000007;  ///< base (the lower half), length, enable
constexpr std::uint32_t kBaseHigh = 0xf;              ///< bits 35:32

/// PCIEXBAR: enable (bit 0), length (bits 2:1), base (bits 35:26); 0 for what it cannot express.
std::uint64_t ecam_register(GuestRange ecam) {
  struct Length {
    std::uint64_t size;
    std::uint64_t code;
  };
  constexpr Length kLengths[] = {{256_MiB, 0}, {128_MiB, 1}, {64_MiB, 2}};
  constexpr std::uint64_t kLimit = std::uint64_t{1} << 36;
  for (const auto& length : kLengths) {
    if (ecam.size() == length.size && is_aligned(ecam.base().value(), length.size) &&
        ecam.last().value() < kLimit) {
      return ecam.base().value() | length.code << 1 | 1;
    }
  }
  return 0;
}

}  // namespace

std::unique_ptr<HostBridge> HostBridge::create(GuestRange ecam) {
  return std::unique_ptr<HostBridge>(new HostBridge(ecam));
}

HostBridge::HostBridge(GuestRange ecam) {
  space_.define_identity(kVendor, kDevice, pci::kClassHostBridge);
  // Memory and bus master are hard-wired on: nothing lies behind the bits (datasheet, 5.1.3).
  space_.define({.offset = pci::kCommand,
                 .size = 2,
                 .reset_value = pci::kCommandMemory | pci::kCommandBusMaster});
  const std::uint64_t base = ecam_register(ecam);
  space_.define(
      {.offset = kEcamBaseRegister, .reset_value = static_cast<std::uint32_t>(base & 0xffffffff)});
  space_.define(
      {.offset = kEcamBaseRegister + 4, .reset_value = static_cast<std::uint32_t>(base >> 32)});
}

void HostBridge::set_ecam_listener(std::function<void()> listener) {
  const MutexLock lock(mutex_);
  listener_ = std::move(listener);
  space_.define({.offset = kEcamBaseRegister,
                 .reset_value = space_.read(kEcamBaseRegister),
                 .writable = kBaseAndLength});
  space_.define({.offset = kEcamBaseRegister + 4,
                 .reset_value = space_.read(kEcamBaseRegister + 4),
                 .writable = kBaseHigh});
}

std::optional<GuestRange> HostBridge::ecam() const {
  const MutexLock lock(mutex_);
  return ecam_place();
}

/// What PCIEXBAR says now; base bits below the length are taken as 0.
std::optional<GuestRange> HostBridge::ecam_place() const {
  const std::uint32_t low = space_.read(kEcamBaseRegister);
  const std::uint32_t length = low >> 1 & 3;
  if ((low & kEcamEnable) == 0 || length == 3) {
    return std::nullopt;
  }
  const std::uint64_t size = 256_MiB >> length;
  const std::uint64_t high = space_.read(kEcamBaseRegister + 4);
  return GuestRange::create(GuestAddress(align_down(high << 32 | low, size)), size);
}

/// Without the lock: the listener takes the machine's, and moves what other vCPUs use.
void HostBridge::tell_if_moved(std::optional<GuestRange> before) {
  if (listener_ && ecam() != before) {
    listener_();
  }
}

std::uint32_t HostBridge::config_read(std::uint16_t offset) {
  const MutexLock lock(mutex_);
  return space_.read(offset);
}

void HostBridge::config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  std::optional<GuestRange> before;
  {
    const MutexLock lock(mutex_);
    before = ecam_place();
    space_.write(offset, value, mask);
  }
  tell_if_moved(before);
}

void HostBridge::reset() {
  std::optional<GuestRange> before;
  {
    const MutexLock lock(mutex_);
    before = ecam_place();
    space_.reset();
  }
  tell_if_moved(before);
}

void HostBridge::inspect(InspectNode& node) const {
  const auto place = ecam();
  node.field("ecam", place ? fmt::format("{:#x}", place->base().value()) : "disabled");
}

}  // namespace gpuvm
