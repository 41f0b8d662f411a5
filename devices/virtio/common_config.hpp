// SPDX-License-Identifier: Apache-2.0
// CommonConfig: the common configuration structure of the PCI transport (VIRTIO 1.2, 4.1.4.3) with
// the rules of device status and feature negotiation (2.1, 2.2, 3.1) as a pure register machine.
// What a write asks of the device comes back as an Effect. Two registers are its owner's to know
// and read as 0 or without it here: config_generation, and DEVICE_NEEDS_RESET in the status.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/virtio/split_queue.hpp"
#include "devices/virtio/virtio_pci_spec.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/bus/io_handler.hpp"

namespace gpuvm {

/// Not synchronised: its owner holds a lock.
class CommonConfig : public Inspectable {
 public:
  /// What the device has.
  struct Offer {
    std::uint64_t features = 0;
    std::uint16_t queues = 0;
    std::uint16_t queue_size = 0;  ///< most entries of a queue, a power of two
    std::uint16_t vectors = 0;     ///< of MSI-X
  };
  enum class Effect {
    kNone,
    kReset,    ///< the driver wrote status 0: stop the device, then call reset()
    kRunning,  ///< DRIVER_OK was set, or a queue was enabled
    kVectors,  ///< an event was mapped to another MSI-X vector
  };
  struct WriteOutcome {
    IoStatus status = IoStatus::kOk;
    Effect effect = Effect::kNone;
  };

  explicit CommonConfig(const Offer& offer) : offer_(offer) { reset(); }

  /// A field must be accessed with its natural width, the halves of 64-bit ones as 32 bits
  /// (4.1.3.1); others are refused.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) const;
  WriteOutcome write(std::uint64_t offset, std::span<const std::byte> in);

  bool driver_ok() const { return (state_.status & virtio::kStatusDriverOk) != 0; }
  /// Negotiated; final once driver_ok().
  std::uint64_t features() const { return state_.driver_features; }
  std::uint16_t config_vector() const { return state_.config_vector; }
  std::uint16_t queue_vector(std::size_t queue) const { return state_.queues[queue].vector; }
  std::size_t queue_count() const { return state_.queues.size(); }
  /// Where the driver put a queue; nothing while it is not enabled.
  std::optional<SplitQueueSetup> queue_setup(std::size_t queue) const;

  /// Back to power-on state; nothing survives.
  void reset();
  void inspect(InspectNode& node) const override;

 private:
  struct Queue {
    std::uint16_t size = 0;
    std::uint16_t vector = virtio::kNoVector;
    bool enabled = false;
    std::uint64_t descriptors = 0;
    std::uint64_t driver = 0;
    std::uint64_t device = 0;
  };
  struct State {
    std::uint32_t device_feature_select = 0;
    std::uint32_t driver_feature_select = 0;
    std::uint64_t driver_features = 0;
    std::uint16_t config_vector = virtio::kNoVector;
    std::uint8_t status = 0;
    std::uint16_t queue_select = 0;
    std::vector<Queue> queues;
  };

  std::uint64_t value_of(std::uint16_t field) const;
  std::uint64_t queue_value(std::uint16_t field) const;
  Effect set(std::uint16_t field, std::uint32_t value);
  Effect set_status(std::uint8_t value);
  Effect set_queue(std::uint16_t field, std::uint32_t value);
  std::uint16_t checked_vector(std::uint32_t vector) const;
  Queue* selected();
  const Queue* selected() const;

  const Offer offer_;
  State state_;
};

}  // namespace gpuvm
