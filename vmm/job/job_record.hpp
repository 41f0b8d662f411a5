// SPDX-License-Identifier: Apache-2.0
// JobRecord: what a job writes while its guests run: its console, the kernel's log, events, and
// afterwards files of a share; without a folder for artifacts only what its report needs.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_events.hpp"
#include "vmm/job/artifact_folder.hpp"
#include "vmm/job/console_record.hpp"
#include "vmm/job/record_file.hpp"
#include "vmm/test_report/console_cases.hpp"
#include "vmm/verdict/job_report.hpp"

namespace gpuvm {

/// The names that a job gives to its files and folders among the artifacts.
std::vector<std::string> artifact_names();

/// Refuses files of other reports that a job would write over: of these paths (an empty one is
/// none) none may be, or lie below, a name of artifact_names() in the folder. Errors: kUsage.
Status check_report_paths(const ArtifactFolder& folder, const std::vector<std::string>& paths);

class JobRecord {
 public:
  /// Makes the files. `artifacts` outlives this; null: nothing is kept. Errors: kUsage, kHost.
  static Result<std::unique_ptr<JobRecord>> open(const ArtifactFolder* artifacts,
                                                 const Config& config);

  /// A guest is about to be started.
  void begin_attempt();
  /// One at a time: whoever publishes events holds a lock.
  void event(const GuestEvent& event);
  /// One at a time.
  void line(const ConsoleLine& line);
  /// To be given to the run; empty: none.
  std::string inspect_path() const;

  /// The last guest is gone: writes what waits, copies files of a share, and adds the test cases,
  /// the console's end and the artifacts to the report, which has its verdict. A disk that takes no
  /// more costs what does not fit, which the log says, and nothing else.
  void finish(JobReport& report);

 private:
  JobRecord(const ArtifactFolder* artifacts, const Config& config)
      : artifacts_(artifacts), config_(config) {}
  Status make_files();
  void collect_share() const;

  const ArtifactFolder* const artifacts_;
  const Config config_;
  std::unique_ptr<ConsoleRecord> console_ = std::make_unique<ConsoleRecord>();
  std::unique_ptr<RecordFile> events_;
  UniqueFd inspect_;
  UniqueFd share_;      ///< the folder for its files
  UniqueFd shared_;     ///< where they come from
  ConsoleCases cases_;  ///< of the attempt that runs
  std::chrono::system_clock::time_point attempt_began_ = {};
};

/// Adds the files of a job to the report: those that it has without a guest, and with one the rest.
void list_artifacts(const ArtifactFolder& folder, const Config& config, bool has_run,
                    JobReport& report);

}  // namespace gpuvm
