// SPDX-License-Identifier: Apache-2.0
// Pool: keeps guests booted and waiting, gives them away one by one, and starts others in their
// place: `gpuvm pool`. One process with one thread, whose children are the guests' processes: so a
// guest can be made by fork(2) alone. What it gives away is the guest's lease (member.hpp), and
// with it the guest: nothing of the pool is between the two from then on.
// Missing: more guests by night than by day; a guest that is old is as good as a new one.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/pool/pool_book.hpp"

namespace gpuvm::pool {

struct PoolOptions {
  Config config = {};            ///< of its guests, as the user has it
  std::string machine = {};      ///< machine_text() of what others want when they want one
  std::string config_file = {};  ///< for who asks a guest's control socket
  std::string name = {};         ///< of the pool
  PoolBook::Options book = {};
};

/// Runs the pool until SIGINT, SIGTERM or SIGHUP, then ends the guests that nobody has taken, and
/// waits for them. The exit status. Must be called while there is one thread. Errors: kConfig:
/// check_pool_config(), and what the first guests say of it; kHost: another pool has the name, no
/// right to a socket.
Result<int> run_pool(const PoolOptions& options);

}  // namespace gpuvm::pool
