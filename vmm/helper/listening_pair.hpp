// SPDX-License-Identifier: Apache-2.0
// ListeningPair: a UNIX socket that listens, for a program that accepts one connection, and our end
// of that connection, which is made already. So nobody else can be first, nobody waits for the
// program to listen, and no path is left behind.
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

struct ListeningPair {
  UniqueFd listener;   ///< for the program; close ours once it has it, or its end is not noticed
  UniqueFd connected;  ///< ours: SOCK_STREAM

  /// Errors: kHost.
  static Result<ListeningPair> create();
};

}  // namespace gpuvm
