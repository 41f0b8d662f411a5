// SPDX-License-Identifier: Apache-2.0
// PortMsi: the MSI capability of a port (PCI Express Base 6.0, 7.7.1) with one vector, 64-bit
// addresses and no masks, in its ConfigSpace. What a message is sent for is its owner's affair.
#pragma once

#include "devices/pci/config_space.hpp"
#include "devices/pci/msi_vector.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/interrupts.hpp"

namespace gpuvm {

/// Not synchronised. The ConfigSpace is the one of add_to() in every call.
class PortMsi {
 public:
  /// `controller` must outlive this; nullptr: messages go nowhere. Errors: kHost.
  static Result<PortMsi> create(MsiController* controller);

  /// Errors: kInternal when the 256 bytes are full.
  Status add_to(ConfigSpace& space);
  /// After the space has changed: the vector goes where its registers say. Errors: kHost,
  /// kInternal; the vector stays where it was.
  Status follow(const ConfigSpace& space);
  /// The vector goes nowhere until follow().
  void stop();
  bool is_enabled(const ConfigSpace& space) const;
  /// Sends the message; only while it is enabled.
  void send();
  std::uint64_t sent() const { return sent_; }

 private:
  PortMsi(MsiController* controller, MsiVector vector)
      : controller_(controller), vector_(std::move(vector)) {}

  MsiController* controller_;
  MsiVector vector_;
  std::uint16_t offset_ = 0;  ///< of the capability
  std::uint64_t sent_ = 0;
};

}  // namespace gpuvm
