// SPDX-License-Identifier: Apache-2.0
// SerialTarget: one place that the guest's serial console leads to, as `[console] serial` names it.
#pragma once

#include <string>

namespace gpuvm {

struct SerialTarget {
  enum class Kind { kStdio, kPty, kFile, kSocket };
  Kind kind = Kind::kStdio;
  std::string path = {};  ///< absolute, of kFile and kSocket
  bool operator==(const SerialTarget&) const = default;
};

}  // namespace gpuvm
