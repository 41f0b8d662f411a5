// SPDX-License-Identifier: Apache-2.0
// The host that a verb looks at: this one or a saved one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host_map/host_map.hpp"

namespace gpuvm::cli {

struct HostSource {
  std::unique_ptr<HostSystem> host;
  std::vector<std::string> remarks;  ///< of whoever saved it
  bool is_here = true;
  std::string name = {};  ///< of the file or folder, where it is a saved one
};

/// Errors: kConfig: what was saved cannot be read; kHost.
Result<HostSource> open_host(const HostChoice& choice);

/// With the names of the host's own list, or of this machine's. Errors: as gather_host_map().
Result<HostMap> map_of(const HostSource& source);

}  // namespace gpuvm::cli
