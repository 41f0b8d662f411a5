// SPDX-License-Identifier: Apache-2.0
// EmulatedFunction: a PCI function that gpuvm itself is, as the machine handles it.
#pragma once

#include "devices/pci/bar_set.hpp"
#include "devices/pci/pci_function.hpp"
#include "vmm/base/inspect.hpp"

namespace gpuvm {

/// Life: made → bars() placed → the guest runs, with pause() and resume() in between → quiesce() →
/// reset() → the guest runs again → destruction, which takes everything out of the guest. Other
/// threads than the vCPUs call these one at a time.
class EmulatedFunction : public PciFunction, public Inspectable {
 public:
  /// For placing power-on addresses; vCPUs are stopped.
  virtual BarSet& bars() = 0;
  /// pause() or quiesce() follows, of this function and of others one after the other: what they
  /// wait for begins to end in all of them. vCPUs are stopped. Does not wait.
  virtual void expect_rest() {}
  /// Waits for what is in flight, and takes BARs and interrupts out of the guest. vCPUs are
  /// stopped.
  virtual void quiesce() = 0;
  /// Registers as at power-on, after quiesce(), and not paused. vCPUs are stopped.
  virtual void reset() = 0;
  /// Returns when nothing is in flight and the function looks at nothing of the guest's by itself.
  /// Registers still answer. What the guest asks for meanwhile is not lost: it is seen to after
  /// resume(). May block as long as what is in flight takes.
  virtual void pause() = 0;
  virtual void resume() = 0;
};

}  // namespace gpuvm
