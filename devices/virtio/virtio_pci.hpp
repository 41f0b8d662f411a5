// SPDX-License-Identifier: Apache-2.0
// VirtioPci: a virtio device as a PCI function of the guest (VIRTIO 1.2, 4.1, modern only).
// Composition of VirtioPciConfig (configuration space), CommonConfig (registers), VirtioInterrupts,
// VirtioBar (its place and doorbells), the queues, and the thread on which the device serves them.
// The device runs while the driver says DRIVER_OK and the function may master the bus.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "devices/pci/pci_function.hpp"
#include "devices/virtio/common_config.hpp"
#include "devices/virtio/queue_thread.hpp"
#include "devices/virtio/virtio_bar.hpp"
#include "devices/virtio/virtio_device.hpp"
#include "devices/virtio/virtio_interrupts.hpp"
#include "devices/virtio/virtio_pci_config.hpp"

namespace gpuvm {

/// Life: create() → place bars() → the guest runs → quiesce() → reset() → the guest runs again →
/// destruction, which stops the device and takes everything out of the guest.
class VirtioPci : public PciFunction, public IoHandler, public Inspectable {
 public:
  /// All references must outlive the function.
  struct Options {
    VirtioDevice& device;
    const GuestMemory& memory;
    Gsi intx_pin;
    MmioBus& mmio;
    Doorbells& doorbells;
    MsiController& msi;
    InterruptPins& pins;
    BarSpace& bar_space;
  };
  /// Errors: kHost (out of descriptors), kInternal (numbers of the device).
  static Result<std::unique_ptr<VirtioPci>> create(const Options& options);
  ~VirtioPci() override;
  VirtioPci(const VirtioPci&) = delete;
  VirtioPci& operator=(const VirtioPci&) = delete;

  /// For placing power-on addresses; vCPUs are stopped.
  BarSet& bars() { return config_.bars(); }

  /// Waits for requests in flight, disconnects interrupts and takes the BAR out of the guest. vCPUs
  /// are stopped.
  void quiesce();
  /// Registers as at power-on, after quiesce(). vCPUs are stopped. Survives: the BAR's power-on
  /// address, counters, and what the device keeps (a disk's bytes).
  void reset();

  std::string_view name() const override { return options_.device.name(); }
  std::uint32_t config_read(std::uint16_t offset) override;
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override;
  /// The BAR.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void inspect(InspectNode& node) const override;

 private:
  struct Queue {
    EventFd doorbell;
    /// The thread's while it runs; present from the queue's first start until a reset.
    std::optional<SplitQueue> ring = {};
  };

  VirtioPci(const Options& options, const VirtioPciConfig& config);
  Status connect();
  void follow_registers();
  Status make_rings();
  void reset_device();
  void place_bar();
  IoStatus write_common(std::uint64_t offset, std::span<const std::byte> in);
  bool serve(std::size_t index);
  Status serve_ring(std::size_t index, SplitQueue& ring);
  void declare_broken(const Error& error);

  const Options options_;
  mutable std::mutex mutex_;  ///< guards config_, registers_; held while the thread is stopped
  VirtioPciConfig config_;
  CommonConfig registers_;
  std::vector<Queue> queues_;
  std::unique_ptr<VirtioInterrupts> interrupts_;
  std::unique_ptr<VirtioBar> bar_;
  /// DEVICE_NEEDS_RESET (2.1.2), which the thread sets without the lock that stop() may hold.
  std::atomic<bool> broken_{false};
  std::atomic<std::uint64_t> requests_{0};
  std::atomic<std::uint64_t> doorbell_exits_{0};
  log::RateLimit limit_;
  std::unique_ptr<QueueThread> thread_;  ///< first to go: uses all the others
};

}  // namespace gpuvm
