// SPDX-License-Identifier: Apache-2.0
// SlotCycle: takes all functions of a slot out of the kernel and finds them again, with the slot's
// power off in between or without (Linux, Documentation/ABI/testing/sysfs-bus-pci: remove, rescan;
// slots). What the kernel forgets of a function with it is put back, and the sizes of BARs, which
// the card forgets without power. Signals wait meanwhile: the host must not lose a card by Ctrl-C.
// The host's driver may have the functions for a moment after they are found, as at the host's
// boot, because driver_override can only be set then. Missing: virtual functions, which no look for
// functions finds.
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include "vmm/host/bar_resize.hpp"
#include "vmm/host/upstream_port.hpp"

namespace gpuvm {

enum class SlotMethod {
  kPower,   ///< the slot's power off and on
  kRescan,  ///< the kernel forgets the functions and enumerates them anew
};

/// One thread. It knows the functions also while they are away.
class SlotCycle {
 public:
  /// For the slot of `function`. `host` must outlive the object. Errors: kHost: no port above it,
  /// or something below that port is not among `ours`, or not bound to a VFIO driver, or virtual.
  static Result<SlotCycle> of(const HostSystem& host, const Bdf& function,
                              std::span<const Bdf> ours);

  const Bdf& port() const { return port_.bdf(); }
  /// Errors: kHost, why it is not possible here.
  Status check(SlotMethod method) const;
  /// Every function must be closed: the kernel's removal waits for that, for ever, and is given up
  /// after kSlotLimit. Afterwards they are with their VFIO driver again. After an error, too, all
  /// is done to find them and to bind those that are there. Errors: kHost; kUnsafeDevice where one
  /// is not found again.
  Status run(SlotMethod method, const HostSleep& sleep = sleep_for_real);

 private:
  /// What the kernel forgets.
  struct Function {
    Bdf bdf;
    std::string driver;
    std::string driver_override;
    BarSizes bar_sizes = {};                        ///< of those that can be resized
    std::map<std::string, std::string> attributes;  ///< by name, what they said
  };
  SlotCycle(const HostSystem& host, UpstreamPort port) : host_(&host), port_(std::move(port)) {}
  Status remember(const Bdf& bdf);
  Status write(const std::string& path, const std::string& text);
  Status cycle_power();
  Status remove_and_rescan();
  Status await_functions(const HostSleep& sleep) const;
  Status restore(const Function& function) const;

  const HostSystem* host_;
  UpstreamPort port_;
  std::vector<Function> functions_;
  bool is_stuck_ = false;  ///< a write has not come back; the kernel's lock of all slots is held
};

}  // namespace gpuvm
