// SPDX-License-Identifier: Apache-2.0
// VectorRoutes: the vectors of MSI or MSI-X of a physical device, which signals them: an MsiVector
// for each that the guest uses.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "devices/pci/msi_vector.hpp"
#include "devices/physical/physical_device.hpp"
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
  Status connect_device(std::uint32_t count);
  Status grow(std::uint32_t vector);
  void complain(std::uint32_t vector, const Error& error);

  PhysicalDevice& device_;
  const IrqType type_;
  MsiController& controller_;
  std::uint32_t vectors_ = 0;  ///< 0: disabled
  std::vector<MsiVector> active_;
  std::uint64_t failures_ = 0;
  log::RateLimit limit_;
};

}  // namespace gpuvm
