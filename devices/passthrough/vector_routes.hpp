// SPDX-License-Identifier: Apache-2.0
// VectorRoutes: the wiring that MSI and MSI-X share: one eventfd per vector, from the physical
// device (which signals it) to the guest's interrupt controller (which turns it into a message). A
// masked vector is disconnected from the controller, so that its eventfd holds the signal: that is
// the pending bit, and the controller delivers it when the vector is connected again.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/bus/interrupts.hpp"

namespace gpuvm {

/// Not thread safe: the function's lock protects it.
class VectorRoutes : public Inspectable {
 public:
  /// Vectors that are connected to the device at once from the start; more are added by doubling
  /// when the guest uses them.
  static constexpr std::uint32_t kInitialVectors = 64;

  VectorRoutes(PhysicalDevice& device, IrqType type, MsiController& controller);
  ~VectorRoutes() override;
  VectorRoutes(const VectorRoutes&) = delete;
  VectorRoutes& operator=(const VectorRoutes&) = delete;

  /// Connects the first min(vectors, kInitialVectors) to the device. No other type may be enabled.
  Status enable(std::uint32_t vectors);
  /// Disconnects all and forgets what was pending.
  void disable();
  bool enabled() const { return vectors_ != 0; }

  /// Where the vector goes; nothing: masked. Does nothing when that is how it is already. Ignored
  /// past the count given to enable().
  void set(std::uint32_t vector, std::optional<MsiMessage> message);
  /// A signal waits for the vector to be unmasked.
  bool pending(std::uint32_t vector) const;
  void inspect(InspectNode& node) const override;

 private:
  struct Vector {
    EventFd event;
    std::optional<MsiMessage> message;  ///< as connected
    std::optional<Gsi> route;
  };

  Status connect_device(std::uint32_t count);
  Status grow(std::uint32_t vector);
  void complain(std::uint32_t vector, const Error& error);

  PhysicalDevice& device_;
  const IrqType type_;
  MsiController& controller_;
  std::uint32_t vectors_ = 0;  ///< 0: disabled
  std::vector<Vector> active_;
  std::uint64_t failures_ = 0;
  log::RateLimit limit_;
};

}  // namespace gpuvm
