// SPDX-License-Identifier: Apache-2.0
// Guests by their names: a connection to one, with an error that says what can be done where there
// is none, and the list of those that run. What gpuvms that are gone have left is removed on the
// way, where this user may.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/api_client/vm_status.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// A guest that was there when it was asked.
struct FoundGuest {
  std::string name;  ///< as the user gave it
  std::string path;  ///< of its socket
  UniqueFd connection = {};
  pid_t pid = 0;          ///< of the gpuvm that listens there; 0: not known
  pid_t owner = 0;        ///< of its owner's process, where find_owner() has found one
  UniqueFd process = {};  ///< pidfd_open(2) of the owner, else of pid; none where that is not known
};

/// `name`: of a guest, whose socket is looked for in `folders`; or a socket's path, with a slash.
/// Blocks some seconds at most. Errors: kHost; kUsage where it can be no name.
Result<FoundGuest> reach_guest(std::span<const std::string> folders, const std::string& name);

/// The process that has a guest's devices when the one that listens has ended, where they are two:
/// what wait_for_end() waits for then. Asks the guest, seconds at most, and believes it where the
/// kernel says the same: that it is the parent of who listens. Else nothing is changed.
void find_owner(FoundGuest& guest);

/// Whether a guest of this name, or a socket of this path, answers a connection now; and it is the
/// same process, where pid is not 0.
bool is_guest_there(const std::string& path, pid_t pid);

/// Until the guest's gpuvm has ended, which is some time after its socket has gone: devices have
/// been given back then. Where its process is not known, until the socket has gone. False: not
/// within `limit`.
bool wait_for_end(const FoundGuest& guest, std::chrono::milliseconds limit);

enum class AnswerWait {
  kCame,     ///< or the connection's end
  kTooLate,  ///< not within the limit, and its gpuvm answers others
  kHangs,    ///< its gpuvm answers nobody
};
/// How long is waited before the gpuvm is asked whether it hangs, and for that answer; and how
/// often in a row it says nothing before it does hang: this host may be very busy.
struct HangLimits {
  std::chrono::milliseconds before{15000};
  std::chrono::milliseconds answer{10000};
  unsigned times = 3;
};

/// Until an answer to what was asked at the guest's connection begins. A request may take minutes,
/// while devices are reset; what its gpuvm answers at once meanwhile says whether it is at work.
AnswerWait wait_for_answer(const FoundGuest& guest, std::chrono::milliseconds limit,
                           const HangLimits& hang = {});

/// Those into which this user may not look: what a list leaves out.
std::vector<std::string> closed_folders(std::span<const std::string> folders);

/// All guests with a socket in the folders, by name; those that do not answer within `limit` in all
/// too, with what is wrong. Dead ones are removed, and not in the list.
std::vector<ListedGuest> list_guests(std::span<const std::string> folders,
                                     std::chrono::milliseconds limit);

}  // namespace gpuvm
