// SPDX-License-Identifier: Apache-2.0
// [control]: the guest's control socket (vmm/api).
#pragma once

#include <string>

namespace gpuvm {

struct ControlConfig {
  enum class Socket {
    kAuto,  ///< NAME.sock in the run folder, where there can be one
    kOff,
    kPath,
  };
  Socket socket = Socket::kAuto;
  std::string path = {};  ///< of kPath; absolute, at most 107 bytes
  std::string group =
      {};  ///< whose members may use it, too; empty: nobody's. Only its form is checked
  bool operator==(const ControlConfig&) const = default;
};

}  // namespace gpuvm
