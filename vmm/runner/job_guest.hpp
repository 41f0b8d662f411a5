// SPDX-License-Identifier: Apache-2.0
// JobGuest: the guest of a runner's job, a `gpuvm run` in the background. A runner calls one
// process for each stage of a job; what these know of each other is in the job's folder. Missing:
// who kills the runner leaves the guest, until somebody ends it; a service manager that ends all of
// the runner's processes does.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/runner/job_events.hpp"
#include "vmm/runner/spawn.hpp"

namespace gpuvm {

struct JobGuestOptions {
  std::string program;                      ///< path of gpuvm
  std::string name;                         ///< of the guest
  std::string config_file;                  ///< of the guest
  std::vector<std::string> overrides = {};  ///< as for --set; "{folder}" is the job's
  std::string wait = {};                    ///< as for --wait, for a card; empty: none
};

class JobGuest {
 public:
  /// Makes the folder, which must not be there yet, and starts the guest with its console, log and
  /// events in there. Errors: kHost.
  static Result<JobGuest> start(const std::string& folder, const JobGuestOptions& options);
  /// One that an earlier stage has started. Errors: kHost: no job has this folder.
  static Result<JobGuest> find(const std::string& folder);

  bool is_running() const { return is_alive(leader_); }
  /// Of gpuvm, when it has ended; nothing where it was killed.
  std::optional<int> exit_status() const;
  JobEvents events() const { return read_job_events(file("events.jsonl")); }
  /// The last lines of the guest's console, or of gpuvm's log, clean: at most 8 KiB.
  std::string console_tail() const { return tail_of(file("console.log")); }
  std::string log_tail() const { return tail_of(file("gpuvm.log")); }

  /// Waits for its end; false: not within the limit.
  bool await_end(std::chrono::milliseconds limit) const;
  /// Presses its power button, stops it when it has not powered off within `patience`, and waits
  /// until its devices are reset and given back; what is not over by `limit` is killed. False: it
  /// was killed.
  bool stop(std::chrono::milliseconds patience, std::chrono::milliseconds limit) const;
  /// All that is left of it. It has ended.
  void remove() const;

 private:
  JobGuest(std::string folder, ProcessIdentity leader)
      : folder_(std::move(folder)), leader_(leader) {}
  std::string file(const char* name) const { return folder_ + "/" + name; }
  static std::string tail_of(const std::string& file);

  std::string folder_;
  ProcessIdentity leader_;  ///< of the session in which gpuvm runs
};

}  // namespace gpuvm
