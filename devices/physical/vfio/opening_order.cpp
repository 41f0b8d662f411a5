// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/opening_order.hpp"

#include <algorithm>

namespace gpuvm::vfio {

std::vector<std::vector<std::size_t>> opening_order(std::span<const VfioFunction> functions) {
  const bool has_token = std::any_of(functions.begin(), functions.end(),
                                     [](const auto& each) { return !each.vf_token.empty(); });
  std::vector<std::vector<std::size_t>> lists;
  for (std::size_t i = 0; i < functions.size(); ++i) {
    const auto list = std::find_if(lists.begin(), lists.end(), [&](const auto& other) {
      return has_token || functions[other.front()].bdf.same_slot(functions[i].bdf);
    });
    if (list == lists.end()) {
      lists.push_back({i});
    } else {
      list->push_back(i);
    }
  }
  return lists;
}

}  // namespace gpuvm::vfio
