// SPDX-License-Identifier: Apache-2.0
// WriteRelays: a driver that writes the same value to the same trapped register again and again, as
// NVIDIA's does to re-arm an MSI, costs an exit each time. After ten equal writes in a row the
// kernel does it: a doorbell for that value, whose eventfd makes the host's driver repeat the write
// (Linux, VFIO_DEVICE_IOEVENTFD). Every other value still exits. Facts: QEMU, hw/vfio/pci-quirks.c.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "devices/passthrough/bar_mapping.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/doorbells.hpp"

namespace gpuvm {

/// Of one BAR. Any thread.
class WriteRelays final : public BarListener, public Inspectable {
 public:
  static constexpr unsigned kEqualWrites = 10;  ///< before a relay is made
  static constexpr std::size_t kMost = 10;      ///< relays at once

  /// All must outlive this.
  WriteRelays(PhysicalDevice& device, unsigned bar, Doorbells& doorbells)
      : device_(device), index_(bar_region(bar)), doorbells_(doorbells) {}
  ~WriteRelays() override;
  WriteRelays(const WriteRelays&) = delete;
  WriteRelays& operator=(const WriteRelays&) = delete;

  /// A write that exited and went to the device; `offset` in the BAR.
  void note(std::uint64_t offset, std::span<const std::byte> in);
  /// Where the BAR is now; nothing: nowhere.
  void bar_moved(std::optional<std::uint64_t> at) override;
  void inspect(InspectNode& node) const override;

 private:
  struct Relay {
    std::uint64_t offset;
    unsigned size;
    std::uint64_t value;
    EventFd event;
    bool connected = false;
  };
  Status make(std::uint64_t offset, unsigned size, std::uint64_t value) GPUVM_REQUIRES(mutex_);
  void connect(Relay& relay) GPUVM_REQUIRES(mutex_);
  void disconnect(Relay& relay) GPUVM_REQUIRES(mutex_);

  PhysicalDevice& device_;
  const RegionIndex index_;
  Doorbells& doorbells_;
  mutable Mutex mutex_;  ///< held while device and doorbells are called
  std::optional<std::uint64_t> at_ GPUVM_GUARDED_BY(mutex_);
  std::vector<Relay> relays_ GPUVM_GUARDED_BY(mutex_);
  std::uint64_t last_offset_ GPUVM_GUARDED_BY(mutex_) = 0;
  std::uint64_t last_value_ GPUVM_GUARDED_BY(mutex_) = 0;
  std::size_t last_size_ GPUVM_GUARDED_BY(mutex_) = 0;
  unsigned equal_ GPUVM_GUARDED_BY(mutex_) = 0;
  /// The host or KVM does not do it: not asked again.
  bool refused_ GPUVM_GUARDED_BY(mutex_) = false;
};

}  // namespace gpuvm
