// SPDX-License-Identifier: Apache-2.0
// What devices need to hear of a guest's writes without an exit to user space: a doorbell is an
// address whose writes signal an eventfd. The kvm room implements it; tests fake it.
#pragma once

#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

class Doorbells {
 public:
  virtual ~Doorbells() = default;
  /// From now on a guest's write of exactly `size` bytes (1, 2, 4 or 8) at `at` signals `event_fd`,
  /// whatever its value, and goes nowhere else; accesses of other sizes, and reads, go on to the
  /// MMIO bus. Errors: kInternal (one is there already), kHost (out of them). Any thread.
  virtual Status connect(GuestAddress at, unsigned size, int event_fd) = 0;
  /// The same for writes of `value` alone; all others go on to the MMIO bus.
  virtual Status connect_value(GuestAddress at, unsigned size, std::uint64_t value,
                               int event_fd) = 0;
  /// The eventfd is not signalled any more after this returns. Any thread.
  virtual void disconnect(GuestAddress at) = 0;
};

}  // namespace gpuvm
