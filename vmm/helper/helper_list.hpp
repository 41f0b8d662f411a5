// SPDX-License-Identifier: Apache-2.0
// HelperList: the programs that run for a guest and what confines each of them, for `gpuvm inspect`
// and the log.
#pragma once

#include <string>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/sandbox/confine.hpp"

namespace gpuvm {

class HelperList : public Inspectable {
 public:
  /// `name`: what it is for and which program, "disk-0 (qemu-storage-daemon)". A layer that is not
  /// in force is logged. Any thread.
  void add(const std::string& name, const sandbox::Layers& layers) GPUVM_EXCLUDES(mutex_);
  /// A child for each, with a child for each layer: `in_force`, `detail`.
  void inspect(InspectNode& node) const override GPUVM_EXCLUDES(mutex_);

 private:
  struct Entry {
    std::string name;
    sandbox::Layers layers;
  };
  mutable Mutex mutex_;
  std::vector<Entry> entries_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
