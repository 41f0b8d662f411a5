// SPDX-License-Identifier: Apache-2.0
// What a guest says in a line or in a notification of systemd's protocol (sd_notify(3)), read. All
// of it is the guest's and may be anything.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace gpuvm {

/// An exit status, or that the guest is ready.
struct SaidWord {
  std::optional<std::uint32_t> status = {};  ///< nothing: it is ready
  bool operator==(const SaidWord&) const = default;
};

/// A line of a status port, a socket or a result file, without its line break: a number up to
/// 4294967295, {"exit":N}, EXIT_STATUS=N, READY or READY=1, with spaces and tabs around. Nothing:
/// any other line.
std::optional<SaidWord> read_line_word(std::string_view line);

/// The words of a notification: lines KEY=VALUE, of which READY=1 and EXIT_STATUS=N are words. From
/// version 254 on a guest's systemd sends EXIT_STATUS=0 whenever it shuts down; from 256 on it says
/// beside it how (X_SYSTEMD_SHUTDOWN), and only "exit" was somebody's wish. Readiness comes first,
/// each is there once at most.
std::vector<SaidWord> read_notification(std::string_view message);

}  // namespace gpuvm
