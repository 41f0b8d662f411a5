// SPDX-License-Identifier: Apache-2.0
// MsiVector: the wiring of one vector of MSI or MSI-X (PCI Express Base 6.0, 6.1.4): an eventfd
// that a device signals and that the guest's interrupt controller turns into a message. A masked
// vector is disconnected from the controller, so that its eventfd holds the signal: that is the
// pending bit, and the controller delivers it when the vector is connected again.
#pragma once

#include <optional>

#include "vmm/base/event_fd.hpp"
#include "vmm/bus/interrupts.hpp"

namespace gpuvm {

/// Not synchronised, but signal(). Disconnected by its owner before it goes.
class MsiVector {
 public:
  /// Errors: kHost.
  static Result<MsiVector> create();

  int fd() const { return event_.fd(); }
  /// The interrupt. Any thread.
  void signal() const { event_.signal(); }
  /// Where it goes; nothing: masked. Does nothing when that is how it is already. On error it stays
  /// as it was.
  Status set(MsiController& controller, std::optional<MsiMessage> message);
  /// A signal waits for the vector to be unmasked.
  bool pending() const;
  /// Forgets what is pending.
  void clear() const { event_.drain(); }
  bool routed() const { return route_.has_value(); }

 private:
  explicit MsiVector(EventFd event) : event_(std::move(event)) {}
  EventFd event_;
  std::optional<MsiMessage> message_;  ///< as connected
  std::optional<Gsi> route_;
};

}  // namespace gpuvm
