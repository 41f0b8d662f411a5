// SPDX-License-Identifier: Apache-2.0
// GuestControl: the one way to steer a guest and to learn what it does, for signals, the console's
// escape key, the control socket (vmm/api), `gpuvm test`, and later a pool of guests.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/control/guest_events.hpp"
#include "vmm/control/guest_state.hpp"

namespace gpuvm {

/// Every call may come from any thread, the control thread too, and but for inspect() returns at
/// once. Requests are
/// carried out one after the other in the order of the calls; what came of one is told by its
/// callback, once, on the control thread, and never before the call has returned. A request that
/// does not fit what the guest is doing is refused with ErrorKind::kWrongState and a text that says
/// what it is doing; so is one that the guest's end overtakes. Calls that come after the guest's
/// run has returned are not answered any more.
class GuestControl {
 public:
  using Done = std::function<void(Status)>;

  virtual ~GuestControl() = default;

  virtual LifecycleState state() const = 0;
  /// All that there is of the machine now, also while it is built, reboots or stops. Never waits
  /// for a reset of real devices; may wait while what is emulated starts over.
  virtual void inspect(InspectNode& node) const = 0;

  /// Done when it is pressed; what the guest does then is its own affair. Only while it runs.
  virtual void press_power_button(Done done) = 0;
  /// As a reset button: done when the next life runs. Only while it runs. on_reboot does not
  /// matter: that is about resets that the guest itself asks for.
  virtual void reboot(Done done) = 0;
  /// Done when no vCPU and no virtio queue works any more. DMA and interrupts of passed-through
  /// devices go on, and time does: the guest sees a gap. Only while it runs.
  virtual void pause(Done done) = 0;
  /// Done when vCPUs and queues work again. A reset that the guest had asked for just before it was
  /// paused follows at once. Only while it is paused.
  virtual void resume(Done done) = 0;
  /// Ends the guest without its consent, whatever it is doing; one that is being built, too. Done
  /// when its devices are quiet: with their reset's outcome.
  virtual void stop(Done done) = 0;

  // `device`: the address of a function of the host, whose slot comes or goes as a whole, or the
  // socket of a vfio-user server. Only while the guest runs.

  /// Gives the guest a card that it had not at its start, in a port that was kept free. Done when
  /// the guest is told, with its memory within the card's reach; what its driver does then is its
  /// own affair. On errors the card is where it was before.
  virtual void attach(std::string device, Done done) = 0;
  /// Asks the guest to let go of a card that came by attach(), takes it from one that does not
  /// within its time, resets it and gives it back to the host. Done when it is there, with its
  /// reset's outcome.
  virtual void detach(std::string device, Done done) = 0;

  /// `observer` is called on the control thread with everything that happens from now on, in order,
  /// until unsubscribe() has been called with the returned number there.
  virtual std::uint64_t subscribe(GuestObserver observer) = 0;
  virtual void unsubscribe(std::uint64_t observer) = 0;
};

}  // namespace gpuvm
