// SPDX-License-Identifier: Apache-2.0
// TapWatch: word of a tap that is gone, for who neither reads nor writes it (vhost). The kernel
// wakes a poll(2) for each frame, so it is asked by other means: it tells all who want to hear it
// of each change of an interface (rtnetlink(7)), and then the tap is looked at.
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class TapWatch {
 public:
  /// `tap`: outlives this. Errors: kHost.
  static Result<TapWatch> create(int tap);

  /// Readable when some interface of the host has changed.
  int fd() const { return changes_.get(); }
  /// Takes what was told.
  void take() const;
  /// There is no interface any more behind the descriptor. Any thread.
  bool is_gone() const;

 private:
  TapWatch(UniqueFd changes, int tap) : changes_(std::move(changes)), tap_(tap) {}

  UniqueFd changes_;
  int tap_;
};

}  // namespace gpuvm
