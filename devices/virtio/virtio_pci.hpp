// SPDX-License-Identifier: Apache-2.0
// VirtioPci: a virtio device as a PCI function of the guest (VIRTIO 1.2, 4.1, modern only): the
// transport. Composition of VirtioPciConfig (configuration space), CommonConfig (registers),
// VirtioInterrupts, VirtioBar (its place and doorbells) and VirtioQueues (who serves the queues).
// The device runs while the driver says DRIVER_OK and the function may master the bus.
// Missing: writes to the device-specific configuration, reset of one queue, shared memory regions.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "devices/pci/emulated_function.hpp"
#include "devices/virtio/common_config.hpp"
#include "devices/virtio/virtio_bar.hpp"
#include "devices/virtio/virtio_device.hpp"
#include "devices/virtio/virtio_interrupts.hpp"
#include "devices/virtio/virtio_pci_config.hpp"
#include "devices/virtio/virtio_queues.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

/// Destruction takes everything out of the guest, waits for accesses to the BAR and stops the
/// device. If vCPUs run, the function has left the PciTopology before.
///
/// A vCPU waits for requests in flight only where it asks for their end itself: a device reset, or
/// Bus Master Enable taken away. It waits in its write, although a driver could be told to poll
/// device_status (4.1.4.3.1), because some do not (EDK2's); until the reset is done, others read
/// the old status.
class VirtioPci : public EmulatedFunction, public IoHandler {
 public:
  /// All references must outlive the function.
  struct Options {
    VirtioDevice& device;
    std::unique_ptr<QueueBackend> backend;  ///< serves the device's queues
    const GuestMemory& memory;
    Gsi intx_pin;
    MmioBus& mmio;
    Doorbells& doorbells;
    MsiController& msi;
    InterruptPins& pins;
    BarSpace& bar_space;
    bool multi_function = false;  ///< its device has other functions
  };
  /// Errors: kHost (out of descriptors), kInternal (numbers of the device).
  static Result<std::unique_ptr<VirtioPci>> create(Options options);
  ~VirtioPci() override;
  VirtioPci(const VirtioPci&) = delete;
  VirtioPci& operator=(const VirtioPci&) = delete;

  BarSet& bars() override;
  void quiesce() override;
  /// Survives: the BAR's power-on address, counters, and what the device keeps (a disk's bytes).
  void reset() override;
  void expect_rest() override { queues_->expect_rest(); }
  void pause() override { queues_->pause(); }
  void resume() override { queues_->resume(); }

  /// The device's configuration structure has changed (2.3): a running driver gets the
  /// configuration change interrupt. The device's DeviceConfig calls it. Any thread, at any time.
  void config_changed();

  std::string_view name() const override { return options_.device.name(); }
  std::uint32_t config_read(std::uint16_t offset) override;
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override;
  /// The BAR.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void inspect(InspectNode& node) const override;

 private:
  VirtioPci(Options options, const VirtioPciConfig& config);
  Status connect();
  std::optional<VirtioQueues::Wanted> wanted() const;
  void reset_device();
  void place_bar();
  std::uint32_t read_through_config(const std::optional<VirtioPciConfig::Access>& access);
  void write_through_config(const std::optional<VirtioPciConfig::Access>& access,
                            std::uint32_t value);
  IoStatus read_common(std::uint64_t offset, std::span<std::byte> out);
  IoStatus write_common(std::uint64_t offset, std::span<const std::byte> in);
  void set_vectors() GPUVM_REQUIRES(mutex_);
  void declare_broken(const Error& error);

  Options options_;
  /// One placement of the BAR at a time: the last is the newest. Apart from mutex_, because other
  /// accesses need not wait for the hypervisor.
  Mutex placing_;
  mutable Mutex mutex_ GPUVM_ACQUIRED_AFTER(placing_);
  VirtioPciConfig config_ GPUVM_GUARDED_BY(mutex_);
  CommonConfig registers_ GPUVM_GUARDED_BY(mutex_);
  const MsixLayout msix_;
  const std::uint16_t queue_count_;
  std::unique_ptr<VirtioInterrupts> interrupts_;
  std::unique_ptr<VirtioBar> bar_;
  std::atomic<bool> broken_{false};  ///< DEVICE_NEEDS_RESET (2.1.2)
  std::atomic<std::uint64_t> doorbell_exits_{0};
  log::RateLimit limit_;
  std::unique_ptr<VirtioQueues> queues_;  ///< first to go: uses all the others
};

}  // namespace gpuvm
