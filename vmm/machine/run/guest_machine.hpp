// SPDX-License-Identifier: Apache-2.0
// GuestMachine: what ControlLoop needs of the machine that it controls. Machine is one; tests have
// another.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/control/guest_state.hpp"

namespace gpuvm {

class GuestMachine : public Inspectable {
 public:
  /// Asked between the steps of long works, from any thread: nobody wants their result any more.
  using IsUnwanted = std::function<bool()>;

  // The worker's alone: one of them at a time, and each may take minutes.

  /// Takes the devices and builds the machine; no guest code runs yet. Once, first. Errors: of
  /// every kind; kCancelled where it became unwanted. stop() follows in any case.
  virtual Status build(const IsUnwanted& is_unwanted) = 0;
  /// Loads the guest and starts its CPUs. Errors: as build().
  virtual Status power_on(const IsUnwanted& is_unwanted) = 0;
  /// Afterwards the guest asks for nothing more. Once or more often.
  virtual void stop_vcpus() = 0;
  /// What a reset button does: CPUs, devices and memory contents start over; memory stays pinned,
  /// files stay open. Success without a guest that runs where it became unwanted.
  virtual Status reboot(const IsUnwanted& is_unwanted) = 0;
  /// vCPUs and virtio queues rest when this returns, with every access that had begun finished.
  virtual Status pause() = 0;
  /// They go on.
  virtual Status resume() = 0;
  /// A card comes into the guest, which runs: as GuestControl::attach().
  virtual Status attach(const std::string& device, const IsUnwanted& is_unwanted) = 0;
  /// The slot of a card for which the guest was asked.
  struct AskedSlot {
    std::uint8_t port = 0;     ///< the root port above it
    bool is_released = false;  ///< without power already: the guest was not asked
    std::string card = {};     ///< as events call the card, whichever of its names was given
  };
  virtual Result<AskedSlot> ask_for(const std::string& device) = 0;
  /// The card goes, whether the guest has let it go or not. Errors: kUnsafeDevice where it does not
  /// come back from its reset; it is out of the guest all the same.
  virtual Status take_out(const std::string& device) = 0;
  /// Ends the guest, in whatever state it is, and leaves its devices quiet. Once or more often.
  /// Errors: kUnsafeDevice where a device does not come back.
  virtual Status stop() = 0;

  // Any thread; these return at once.

  /// What the worker waits for, and what only serves a guest that goes on, ends soon; stop() is to
  /// follow.
  virtual void break_off() = 0;
  /// After build() has ended well.
  virtual void press_power_button() = 0;
  virtual LifecycleState state() const = 0;
};

}  // namespace gpuvm
