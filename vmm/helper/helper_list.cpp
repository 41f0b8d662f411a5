// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/helper_list.hpp"

#include <algorithm>

#include "vmm/base/log.hpp"

namespace gpuvm {

void HelperList::add(const std::string& name, const sandbox::Layers& layers) {
  const bool is_whole = std::all_of(layers.all.begin(), layers.all.end(),
                                    [](const auto& layer) { return layer.in_force; });
  if (is_whole) {
    log::debug("{} is confined: {}", name, layers.text());
  } else {
    log::info("{} is confined: {}", name, layers.text());
  }
  const MutexLock lock(mutex_);
  entries_.push_back({name, layers});
}

void HelperList::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  for (const Entry& entry : entries_) {
    entry.layers.inspect(node.child(entry.name));
  }
}

}  // namespace gpuvm
