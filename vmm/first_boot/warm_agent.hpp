// SPDX-License-Identifier: Apache-2.0
// What a guest of a pool does between its boot and its job (docs/pool.md): a script that says READY
// at the status port, reads there what is new for it, and then runs the job's command. It is handed
// to the guest as a command is (command.hpp), so that every image that can have a command can be
// warm. An initrd without disks does the same by itself where it finds gpuvm.warm on its command
// line.
//
// What it reads are lines KEY=VALUE in this order, "run" last:
//   time=SECONDS      of the epoch, by the host's clock
//   seed=BASE64       random bytes
//   machine-id=HEX    32 digits
//   cards=N           that are plugged in: the command waits for them
//   run=BASE64        the command; empty: none, and the guest goes on until it is ended
// Missing: a host name of its own; addresses by DHCP are those of the boot.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"

namespace gpuvm {

/// Adds the agent and the status port that it needs. Errors: as add_command_credentials().
Status add_warm_agent(Config& config);

/// The script itself.
std::string_view warm_agent();

struct HandIn {
  std::int64_t time = 0;  ///< s of the epoch
  std::string seed = {};  ///< any bytes
  std::string machine_id = {};
  std::size_t cards = 0;
  std::string command = {};  ///< empty: none
};
/// The lines above.
std::string hand_in_text(const HandIn& what);

/// With the host's time, and random bytes and a machine id that no other guest has. Errors: kConfig
/// for a command that no guest takes (but for an empty one), kHost: no random numbers.
Result<HandIn> fresh_hand_in(const std::string& command, std::size_t cards);

}  // namespace gpuvm
