// SPDX-License-Identifier: Apache-2.0
// Bytes between a terminal, or files in its place, and the console of a guest behind its control
// socket.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

struct RelayOptions {
  int input = 0;
  /// Not blocking, or a regular file: where it takes nothing, all else goes on.
  int output = 1;
  /// It is a terminal, which the user has back afterwards: what the guest has made of it is undone
  /// (terminal_trace.hpp) at the end, if it takes that within half a second.
  bool output_is_terminal = false;
  /// Detaches where it is typed; 0: none, and all of the input is the guest's. With one, what is
  /// typed while the guest takes nothing is lost from the 65537th byte on, so that it is always
  /// seen.
  std::uint8_t escape_key = 0x1d;
  /// A signalfd(2) whose signals end it; -1: none.
  int signals = -1;
};

enum class RelayEnd {
  kDetached,   ///< the escape key
  kGuestGone,  ///< the guest's side was closed
  kNoReader,   ///< nobody reads the output any more
  kSignal,
};

struct RelayOutcome {
  RelayEnd end = RelayEnd::kGuestGone;
  int signal = 0;  ///< with kSignal
};

/// Until one of the ends. What the guest printed is shown before its end is one; who leaves before,
/// or is ended by a signal, leaves what the output has not taken: 64 KiB wait here, the rest where
/// the guest is. The end of the input is none: the output goes on. `first` is output that
/// has come with the upgrade. SIGPIPE must not end the process. Errors: kHost.
Result<RelayOutcome> relay_console(const UniqueFd& console, std::string_view first,
                                   const RelayOptions& options);

}  // namespace gpuvm
