// SPDX-License-Identifier: Apache-2.0
// VfioUserDevice: one PCI function behind a vfio-user server. A server that leaves is a surprise
// removal: accesses fail, the error interrupt is signalled, nothing hangs. The protocol has one
// reset, DEVICE_RESET, which stands for the reset of the function's slot; a function level reset is
// what it is on hardware, a write to Device Control (PCI Express Base 6.0, 7.5.3.4). Missing:
// region I/O descriptors, device-specific regions.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/region_table.hpp"
#include "devices/physical/vfio_user/connection.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class VfioUserDevice final : public PhysicalDevice {
 public:
  static constexpr std::size_t kIrqTypeCount = 5;

  struct Options {
    /// For an ordinary answer, and for all that one call of this class asks.
    std::chrono::milliseconds timeout{10000};
    /// For the answer to a reset, and for a function to be ready after a guest's FLR. Linux waits
    /// 60 s (PCIE_RESET_READY_POLL_MS).
    std::chrono::milliseconds reset_timeout{65000};
  };

  /// Asks the server at a socket for its regions and interrupts. Errors: kHost (nobody there, or
  /// answers that make no sense), kConfig (a path that cannot be one).
  static Result<std::unique_ptr<VfioUserDevice>> connect(const std::string& path,
                                                         const Options& options);
  /// The same on a connected socket; `name` is for messages.
  static Result<std::unique_ptr<VfioUserDevice>> adopt(const std::string& name, UniqueFd socket,
                                                       const Options& options);

  /// The server offers a reset of the slot.
  bool has_slot_reset() const { return summary_.can_reset; }
  /// DEVICE_RESET. Takes as long as the server needs. Errors: kHost.
  Status slot_reset();
  /// Errors: kHost, also for memory without a file.
  Status map_dma(Iova at, const DmaMemory& memory);
  Status unmap_dma(Iova at, std::uint64_t size);

  const std::string& name() const override { return name_; }
  bool is_gone() const override { return connection_ == nullptr || connection_->is_lost(); }
  const RegionInfo& region(RegionIndex index) const override { return regions_.info(index); }
  Result<std::uint64_t> ask_region_size(RegionIndex index) override;
  std::vector<RegionIndex> specific_regions() const override { return regions_.specific(); }
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override;
  /// A write that begins a function level reset returns when the function is ready again.
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override;
  Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) override {
    return regions_.map(index, area, alignment);
  }
  /// The error interrupt is always there: it is also signalled when the server has gone.
  IrqInfo irq(IrqType type) const override;
  Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) override;
  Status disable_irqs(IrqType type) override;
  Status set_intx_unmask_fd(int fd) override;
  Status set_intx_masked(bool masked) override;
  bool has_function_reset() const override { return device_control_ != 0; }
  Status function_reset() override;

 private:
  struct Irq {
    IrqInfo info;
    bool is_enabled = false;
  };

  VfioUserDevice(std::string name, const Options& options);
  Status open(vfio_user::MessageSocket socket);
  Status load_info();
  Status load_region(RegionIndex index, vfio_user::Operation& operation);
  Result<vfio_user::Connection::Reply> ask_region(RegionIndex index, std::uint32_t room,
                                                  vfio_user::Operation& operation, int& refusal);
  Status load_irq(IrqType type, vfio_user::Operation& operation);
  Status find_function_reset();
  /// One message's worth.
  Status read_piece(RegionIndex index, std::uint64_t offset, std::span<std::byte> out,
                    vfio_user::Operation& operation);
  Status write_piece(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in,
                     vfio_user::Operation& operation);
  bool begins_function_reset(RegionIndex index, std::uint64_t offset,
                             std::span<const std::byte> in) const;
  Status wait_until_ready();
  Status set_irqs(IrqType type, std::uint32_t flags, std::uint32_t start, std::uint32_t count,
                  std::span<const int> fds);
  Status set_irqs(IrqType type, std::uint32_t flags, std::uint32_t start, std::uint32_t count,
                  std::span<const int> fds, vfio_user::Operation& operation);
  Status send_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds,
                      vfio_user::Operation& operation);
  Status keep_error_event(std::span<const int> fds);
  void note_lost();
  /// Passes a value on; an error ends the connection, since the server talks nonsense.
  template <class T>
  Result<T> trust(Result<T> parsed);

  const std::string name_;
  const Options options_;
  vfio_user::DeviceSummary summary_;
  RegionTable regions_;
  std::array<Irq, kIrqTypeCount> irqs_;
  std::uint64_t device_control_ = 0;  ///< offset of Device Control; 0: no function level reset
  Mutex event_mutex_;
  UniqueFd error_event_ GPUVM_GUARDED_BY(event_mutex_);
  bool was_lost_ GPUVM_GUARDED_BY(event_mutex_) = false;
  std::unique_ptr<vfio_user::Connection> connection_;  ///< the first to go: it calls note_lost()
};

}  // namespace gpuvm
