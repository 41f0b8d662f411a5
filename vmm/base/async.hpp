// SPDX-License-Identifier: Apache-2.0
// start_async: std::async that makes do without a thread where the process may have no more.
#pragma once

#include <future>
#include <system_error>

namespace gpuvm {

/// Like std::async; where no thread can be made, `work` runs in get().
template <typename Work>
auto start_async(std::launch policy, const Work& work) -> std::future<decltype(work())> {
  try {
    return std::async(policy, work);
  } catch (const std::system_error&) {
    return std::async(std::launch::deferred, work);
  }
}

}  // namespace gpuvm
