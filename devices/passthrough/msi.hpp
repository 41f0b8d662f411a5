// SPDX-License-Identifier: Apache-2.0
// MSI (PCI Express Base 6.0, 7.7.1 and 6.1.4.2): the capability as the guest sees it. MsiCapability
// is a register machine without any wiring; Msi connects it to VectorRoutes. Missing: extended
// message data (7.7.1.7), which is hidden.
#pragma once

#include <optional>

#include "devices/passthrough/vector_routes.hpp"

namespace gpuvm {

class MsiCapability {
 public:
  /// All that the guest sees.
  struct State {
    bool enabled = false;
    std::uint32_t log2_vectors = 0;  ///< Multiple Message Enable
    std::uint32_t address_low = 0;
    std::uint32_t address_high = 0;
    std::uint32_t data = 0;
    std::uint32_t masked = 0;  ///< one bit a vector
  };

  /// `control`: the hardware's word at offset 2; `host_vectors`: how many the host can deliver, at
  /// least 1.
  MsiCapability(std::uint16_t offset, std::uint16_t control, std::uint32_t host_vectors);

  std::uint16_t offset() const { return offset_; }
  /// Bytes in configuration space, from offset().
  std::uint16_t size() const;
  bool contains(std::uint16_t at) const { return at >= offset_ && at - offset_ < size(); }
  bool enabled() const { return state_.enabled; }
  std::uint32_t vectors() const { return 1U << state_.log2_vectors; }
  void reset() { state_ = State{}; }

  /// The dword at `at`; `hardware` supplies what is not emulated (id, next pointer).
  std::uint32_t read(std::uint16_t at, std::uint32_t hardware, std::uint32_t pending) const;
  /// True if anything changed.
  bool write(std::uint16_t at, std::uint32_t value, std::uint32_t mask);
  /// What the vector sends, nothing while it is masked or MSI is off.
  std::optional<MsiMessage> message(std::uint32_t vector) const;

 private:
  enum class Register { kControl, kAddressLow, kAddressHigh, kData, kMask, kPending, kNone };
  Register register_at(std::uint16_t at) const;
  void write_control(std::uint32_t value);

  const std::uint16_t offset_;
  const bool wide_;      ///< 64-bit address
  const bool maskable_;  ///< per-vector masking
  const std::uint32_t log2_capable_;
  State state_;
};

/// Wired up. Not thread safe: the function's lock protects it.
class Msi : public Inspectable {
 public:
  Msi(MsiCapability capability, PhysicalDevice& device, MsiController& controller)
      : capability_(capability), routes_(device, IrqType::kMsi, controller) {}

  MsiCapability& capability() { return capability_; }
  const MsiCapability& capability() const { return capability_; }
  /// Connects every vector as the registers say. INTx and MSI-X must be off. Errors: kHost.
  Status enable();
  void disable() { routes_.disable(); }
  /// After a change of address, data or mask.
  void refresh();
  std::uint32_t pending() const;

  void inspect(InspectNode& node) const override;

 private:
  MsiCapability capability_;
  VectorRoutes routes_;
};

}  // namespace gpuvm
