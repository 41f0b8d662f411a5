// SPDX-License-Identifier: Apache-2.0
// [test]: how a guest may tell what came of it, and what a job is (`gpuvm test`).
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

namespace gpuvm {

/// A file that the guest writes to one of its shared folders.
struct ResultFileConfig {
  std::string tag;   ///< of the share, which is not read-only
  std::string path;  ///< from there; no "." and "..", at most 1024 characters
  bool operator==(const ResultFileConfig&) const = default;
};

/// How a guest may tell what came of it.
struct TestConfig {
  bool exit_port = false;  ///< it writes an exit status to port 0xf4
  bool pvpanic = false;    ///< its kernel tells that it panics

  // What a job is, for `gpuvm test`.
  std::string command = {};                       ///< run in the guest; empty: none
  std::chrono::seconds timeout{3600};             ///< these three: at most a week; 0: no limit
  std::chrono::seconds first_console_timeout{0};  ///< until the guest prints
  std::chrono::seconds console_timeout{0};        ///< between two bytes that it prints
  std::vector<std::string> success_pattern = {};  ///< each compiles (ConsolePatterns)
  std::vector<std::string> failure_pattern = {};
  unsigned retries = 0;  ///< after a fault of the host, at most 10
  unsigned reboots = 0;  ///< that the guest may do, at most 1000

  // By which else (vmm/channels).
  bool status_port = false;   ///< a virtio port with a name
  bool vsock_status = false;  ///< a line to a vsock port of the host; only with vsock
  bool notify = false;        ///< systemd's notify protocol by vsock; only with vsock
  std::optional<ResultFileConfig> result_file = {};
  /// The tag of a share, which is not read-only, whose files become artifacts; empty: none.
  std::string artifact_share = {};
  bool operator==(const TestConfig&) const = default;
};

}  // namespace gpuvm
