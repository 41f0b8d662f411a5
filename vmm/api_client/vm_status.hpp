// SPDX-License-Identifier: Apache-2.0
// VmStatus: what a guest says of itself (GET /v1/vm), and how a list of guests is told to people
// and to programs. All of it is the other side's text: types are checked, sizes bounded, and
// control characters do not reach a terminal.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

struct VmStatus {
  std::string name = {};
  std::string state = {};
  std::int64_t pid = 0;
  std::int64_t monitor_pid = 0;  ///< of the process that has the guest, where pid is its owner's
  std::uint64_t uptime_s = 0;
  std::uint64_t cpus = 0;
  std::uint64_t memory_bytes = 0;
  std::vector<std::string> devices = {};  ///< addresses, or sockets of servers; at most 256
  std::string json = {};                  ///< all that was said, as one JSON object in one line

  /// Errors: kHost, where the text is no JSON object with a name and a state.
  static Result<VmStatus> parse(std::string_view text);
};

/// A guest of a list: it has answered, or there is why not.
struct ListedGuest {
  std::string name = {};
  std::string path = {};  ///< of its socket
  std::optional<VmStatus> status = {};
  std::string problem = {};  ///< in few words: "no answer", "not allowed"
};

/// "NAME STATE PID UPTIME CPUS MEMORY DEVICES" and a line for each, in columns.
std::string guest_table(std::span<const ListedGuest> guests);
/// An array of the objects that the guests sent, each with "socket"; one without an answer has
/// "name", "state": "unknown", "problem" and "socket".
std::string guest_json(std::span<const ListedGuest> guests);
/// Everything in the object, a line for each value: "uptime_s: 12".
std::string status_text(const VmStatus& status);
/// An object of nested objects (GET /v1/inspect) as `gpuvm inspect` writes it: indented, a value a
/// line. Errors: kHost, where it is none, or deeper than 64.
Result<std::string> tree_text(std::string_view json);

}  // namespace gpuvm
