// SPDX-License-Identifier: Apache-2.0
// A job: one guest that is started to say what came of its test, from its configuration to its
// report. What `gpuvm test` does once it has a configuration.
//
// A guest of a job that resets ends it, as one that powers off does, unless test.reboots allows it
// so many resets: a test that brings its machine to reset says nothing, and would do so for ever.
#pragma once

#include <chrono>
#include <functional>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/config/config.hpp"
#include "vmm/job/artifact_folder.hpp"
#include "vmm/job/job_watch.hpp"
#include "vmm/machine/run/run.hpp"
#include "vmm/verdict/job_report.hpp"

namespace gpuvm {

struct JobOptions {
  std::string config_file = {};               ///< as the user named it
  const ArtifactFolder* artifacts = nullptr;  ///< null: nothing is kept
  /// Whether this host could run the guest at all, without touching a device; a job for which it
  /// says kHost is skipped. Empty: that is not asked.
  std::function<Status()> check_host = {};
  std::function<void(const JobProgress&)> on_tick = {};  ///< once a second; may be empty
  std::function<RunResult(const Config&, const RunOptions&)> run = run_machine;
  /// Adds what the caller alone knows, before the report is among the artifacts. May be empty.
  std::function<void(JobReport&)> complete = {};
  EndingTimes ending = {};
  std::chrono::milliseconds retry_rest{1000};  ///< between two attempts
};

/// Runs the guest, again where the host failed it and test.retries allows that, and brings it to
/// its end: blocks as long as that takes. Whatever came of it is the report's verdict. SIGINT,
/// SIGTERM and SIGHUP end the guest, as run_machine() says; before and behind each run they wait,
/// and after the last one until the process lets them through again, so that the report gets
/// written.
JobReport run_job(const Config& config, const JobOptions& options);

/// The configuration that a job runs.
Config job_config(const Config& config);

/// Of a job that could not begin.
JobReport failed_job(const std::string& config_file, const Error& error);

}  // namespace gpuvm
