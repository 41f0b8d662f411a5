// SPDX-License-Identifier: Apache-2.0
// HotCard: a card that comes into a running guest and goes again, as the steps of both. What a
// start does with all functions, these do with the functions of one card. HostCard is the real one;
// tests have others.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm {

/// The worker's, but for inspect(). Destroyed after leave(), before anything was taken, or with the
/// machine, whose VM and guest's side are gone by then.
class HotCard : public Inspectable {
 public:
  using IsUnwanted = std::function<bool()>;

  /// What the user named: an address of the host, or a server's socket.
  virtual std::string name() const = 0;
  /// One of its functions has this name.
  virtual bool has(std::string_view function) const = 0;

  // On the way in, in this order. Each may take long, and one that fails leaves nothing of itself.

  /// Claimed, bound to vfio-pci and opened.
  virtual Status take() = 0;
  /// Reset and verified, before anything of the guest is within its reach.
  virtual Status verify() = 0;
  /// KVM knows of it, and guest memory is mapped for its DMA. Errors: also kCancelled.
  virtual Status join(const IsUnwanted& is_unwanted) = 0;
  /// The guest's side is made, with its places; the guest sees nothing yet.
  virtual Status show() = 0;
  /// The guest is told.
  virtual Status announce() = 0;

  // While it is there.

  /// Those of its functions.
  virtual std::vector<PhysicalDevice*> devices() const = 0;

  /// As the machine's own devices, between two lives of the guest or at its end. Errors:
  /// kUnsafeDevice.
  virtual Status reset(ResetReason reason) = 0;
  /// The guest is asked to let the card go. True: it has switched the slot off already, or never
  /// on, and is not asked.
  virtual Result<bool> ask() = 0;

  // On the way out, in this order.

  /// The guest reaches nothing of it any more, and no access is in flight.
  virtual Status withdraw() = 0;
  /// The guest's side is gone. After a show() that failed, too.
  virtual void hide() = 0;
  /// Where no guest had it since verify(): it counts as clean again without another reset.
  virtual Status release() = 0;
  /// KVM forgets it, memory is unmapped, and it goes back to the host, but for what is dirty.
  /// Errors: kHost, kUnsafeDevice, where another process gives it back.
  virtual Status leave() = 0;
};

}  // namespace gpuvm
