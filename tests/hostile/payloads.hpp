// SPDX-License-Identifier: Apache-2.0
// Payloads: what a guest that has taken over a thread of gpuvm would try. For tests alone; nothing
// of it is in gpuvm.
#pragma once

#include <span>

namespace gpuvm::sandbox {

/// One thing that is tried. It undoes what it has done where it succeeds.
struct Payload {
  const char* name;  ///< "open a file"
  /// 0: it worked; else errno.
  int (*attempt)();
};
std::span<const Payload> payloads();

}  // namespace gpuvm::sandbox
