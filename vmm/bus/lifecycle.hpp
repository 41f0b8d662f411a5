// SPDX-License-Identifier: Apache-2.0
// Optional abilities of a device that concern the machine's life.
#pragma once

#include <functional>

namespace gpuvm {

/// All vCPUs are stopped while reset() runs, and no other method of the device is called.
class Resettable {
 public:
  virtual ~Resettable() = default;
  /// Back to power-on state; what survives (files, host handles) is named where it is declared.
  virtual void reset() = 0;
};

/// What a guest asks of its machine through a device register. May be called from a vCPU thread;
/// returns at once.
struct MachineRequests {
  std::function<void()> power_off;
  std::function<void()> reset;
};

}  // namespace gpuvm
