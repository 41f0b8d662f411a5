// SPDX-License-Identifier: Apache-2.0
// CardFiles: all that a process has open of a card that VFIO gave it, for another process.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

struct CardFiles {
  struct Group {
    std::uint32_t number = 0;
    UniqueFd file = {};
  };
  struct Function {
    Bdf bdf = {};
    std::uint32_t group = 0;
    UniqueFd device = {};
    UniqueFd config = {};    ///< of sysfs, to be read
    UniqueFd resource = {};  ///< likewise
  };
  UniqueFd container = {};
  std::vector<Group> groups = {};
  std::vector<Function> functions = {};

  /// More of either no card has.
  static constexpr std::size_t kMost = 8;
};

}  // namespace gpuvm
