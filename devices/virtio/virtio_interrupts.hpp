// SPDX-License-Identifier: Apache-2.0
// VirtioInterrupts: how a virtio device on PCI tells its driver of used buffers and of changes: an
// MSI-X vector for each event while MSI-X is enabled, else the ISR status and INTx (VIRTIO 1.2,
// 4.1.4.5, 4.1.5.1.2, 4.1.5.3, 4.1.5.4). Each vector is an MsiVector.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/pci/msi_vector.hpp"
#include "devices/pci/msix_capability.hpp"
#include "devices/virtio/virtio_pci_spec.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_handler.hpp"

namespace gpuvm {

/// Any thread. Takes no lock of others while it holds its own but those of controller and pins.
class VirtioInterrupts : public Inspectable {
 public:
  /// References must outlive this.
  struct Options {
    std::string name;  ///< for messages
    MsixLayout msix;
    std::size_t queues;
    MsiController& controller;
    InterruptPins& pins;
    Gsi pin;
  };
  static Result<std::unique_ptr<VirtioInterrupts>> create(Options options);
  ~VirtioInterrupts() override { reset(); }
  VirtioInterrupts(const VirtioInterrupts&) = delete;
  VirtioInterrupts& operator=(const VirtioInterrupts&) = delete;

  void queue_used(std::size_t queue);
  /// The eventfd that is the queue's interrupt as long as vectors and MSI-X stay as they are, for
  /// who cannot call queue_used(): signalling one that is out of use loses the interrupt. Nothing
  /// without MSI-X and without a vector.
  std::optional<int> queue_event(std::size_t queue) const;
  void config_changed();

  /// The ISR status, which reading clears.
  std::uint8_t take_isr();
  /// Interrupt Status of the PCI Status register.
  bool intx_pending() const;
  /// Interrupt Disable of the Command register.
  void set_intx_disabled(bool disabled);
  /// Which vector an event has; virtio::kNoVector for none. As many queues as at create().
  void set_vectors(std::uint16_t config, std::span<const std::uint16_t> queues);

  /// The capability's first dword, from what is constant in it.
  std::uint32_t read_header(std::uint32_t constant) const;
  void write_header(std::uint32_t value, std::uint32_t mask);
  /// True if the access touches the table or the pending bits of the BAR.
  bool touches(std::uint64_t offset, std::uint64_t length) const {
    return options_.msix.touches(options_.msix.table_bar, offset, length);
  }
  /// Offsets in the BAR. What crosses the edge of a structure is refused.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) const;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in);

  /// As a device reset leaves it: no event has a vector, the ISR is 0. The PCI registers stay.
  void reset_events();
  /// Everything as at power-on; nothing is connected.
  void reset();
  void inspect(InspectNode& node) const override;

 private:
  /// All that the guest sees, but the capability's own.
  struct State {
    std::uint8_t isr = 0;
    bool intx_disabled = false;
    std::uint16_t config_vector = virtio::kNoVector;
    std::vector<std::uint16_t> queue_vectors;
  };
  explicit VirtioInterrupts(Options options);
  void raise(std::uint16_t vector, std::uint8_t isr_bit) GPUVM_REQUIRES(mutex_);
  void drive_pin() GPUVM_REQUIRES(mutex_);
  void connect(std::uint32_t vector) GPUVM_REQUIRES(mutex_);

  const Options options_;
  mutable Mutex mutex_;
  MsixCapability capability_ GPUVM_GUARDED_BY(mutex_);
  State state_ GPUVM_GUARDED_BY(mutex_);
  std::vector<MsiVector> vectors_ GPUVM_GUARDED_BY(mutex_);
  bool pin_high_ GPUVM_GUARDED_BY(mutex_) = false;
  std::uint64_t raised_ GPUVM_GUARDED_BY(mutex_) = 0;
  log::RateLimit limit_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
