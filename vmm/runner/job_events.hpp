// SPDX-License-Identifier: Apache-2.0
// What `gpuvm run --events FILE` has written of a job's guest so far, as far as a runner wants it.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gpuvm {

struct JobEvents {
  bool has_run = false;  ///< the guest has been in the state "running"
  /// What the guest gave by its exit port, as gpuvm's exit status has it: 75 is no unsafe device
  /// then, since a guest may give any number up to 119.
  std::optional<int> guest_status = {};
  /// Of each function that was reset the last reset, as "stop: verified".
  std::map<std::string, std::string> last_resets = {};
  /// There was more than is read: what the rest says, of resets above all, is not known.
  bool is_cut = false;

  /// Functions that the guest may have left in any state: their last reset was none at its end, or
  /// has failed; with what is known of each. Empty: all are safe.
  std::vector<std::string> unsafe() const;
};

/// Of any text; lines that are no events are left out.
JobEvents parse_job_events(std::string_view text);

/// Of a file; nothing where there is none. Of one that is longer than `most` bytes the begin and
/// the end, half of them each: the guest starts at one, and its devices are reset at the other.
JobEvents read_job_events(const std::string& file, std::uint64_t most = std::uint64_t{16} << 20);

}  // namespace gpuvm
