// SPDX-License-Identifier: Apache-2.0
// Optional abilities of a device that concern the machine's life.
#pragma once

#include <cstdint>
#include <functional>

namespace gpuvm {

/// A device that returns to its power-on state with its machine.
class Resettable {
 public:
  virtual ~Resettable() = default;
  /// Back to power-on state; what survives (files, host handles) is named where it is declared.
  /// vCPUs are stopped, so that the guest accesses nothing. Everything else goes on meanwhile:
  /// console input arrives, a timer expires, the power button is pressed, somebody inspects. So
  /// this takes the device's lock as every other method does.
  virtual void reset() = 0;
};

/// What a guest's kernel says of its own end.
enum class GuestPanic {
  kPanicked,     ///< it does nothing more, or reboots
  kCrashKernel,  ///< its crash kernel takes over, to save what there is to save
};

/// What a guest asks of its machine through a device register. May be called from a vCPU thread;
/// returns at once.
struct MachineRequests {
  std::function<void()> power_off;
  std::function<void()> reset;
  std::function<void(std::uint32_t)> exit = {};  ///< its run is over, with this status
  std::function<void(GuestPanic)> panic = {};
};

}  // namespace gpuvm
