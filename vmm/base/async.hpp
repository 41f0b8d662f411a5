// SPDX-License-Identifier: Apache-2.0
// start_async: as std::async, but where the process may start no more threads, the work runs in
// get().
#pragma once

#include <future>
#include <system_error>

namespace gpuvm {

/// As std::async; where no thread can be made, `work` runs in get().
template <typename Work>
auto start_async(std::launch policy, const Work& work) -> std::future<decltype(work())> {
  try {
    return std::async(policy, work);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, work);
  }
}

}  // namespace gpuvm
