// SPDX-License-Identifier: Apache-2.0
// gpuvm console: a terminal at the console of a guest that runs.
#include <fcntl.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <cstdio>

#include "vmm/api_client/console_relay.hpp"
#include "vmm/api_client/guest_finder.hpp"
#include "vmm/cli/client/client_verbs.hpp"
#include "vmm/console/backend.hpp"
#include "vmm/console/terminal_mode.hpp"
#include "vmm/guests/guest_socket.hpp"

namespace gpuvm::cli {
namespace {

constexpr unsigned kSwitched = 101;
constexpr std::chrono::milliseconds kAttachTime{30000};
constexpr int kSignalStatus = 128;
constexpr std::uint8_t kDetachKey = 0x1d;  ///< Ctrl-]

/// Signals that end the process, as something to read: the terminal is restored before.
Result<UniqueFd> ending_signals() {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) {
    ::sigaddset(&set, signal);
  }
  ::pthread_sigmask(SIG_SETMASK, &set, nullptr);
  UniqueFd fd(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot wait for signals");
  }
  return fd;
}

Result<RelayOutcome> relay_in_raw_mode(const FoundGuest& guest, const std::string& first,
                                       int signals) {
  // Scoped: messages after it are on a terminal that is as it was.
  const auto mode = TerminalMode::make_raw(STDIN_FILENO);
  const auto output = TRY(HostStream::from_inherited(STDOUT_FILENO, O_WRONLY, "console"));
  return relay_console(guest.connection, first,
                       {.input = STDIN_FILENO,
                        .output = output.get(),
                        .output_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                        .escape_key = mode ? kDetachKey : std::uint8_t{0},
                        .signals = signals});
}

}  // namespace

Result<int> console_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  const auto guest = TRY(reach_guest(run_folders(), arguments.guest));
  const auto answer =
      TRY_CONTEXT(upgrade(guest.connection, arguments.virtio ? "/v1/console?virtio" : "/v1/console",
                          "gpuvm-console", kAttachTime),
                  arguments.guest);
  if (answer.status != kSwitched) {
    return refusal(answer, arguments.guest);
  }
  const auto signals = TRY(ending_signals());
  ::signal(SIGPIPE, SIG_IGN);
  const bool is_terminal = ::isatty(STDIN_FILENO) == 1;
  if (is_terminal) {
    std::fprintf(stderr, "gpuvm: attached to the console of %s; Ctrl-] leaves it\n",
                 arguments.guest.c_str());
  }
  const auto outcome = TRY(relay_in_raw_mode(guest, answer.body, signals.get()));
  if (is_terminal) {
    std::fprintf(
        stderr, "\ngpuvm: %s %s\n", arguments.guest.c_str(),
        outcome.end == RelayEnd::kGuestGone ? "has ended, or has closed its console" : "runs on");
  }
  return outcome.end == RelayEnd::kSignal ? kSignalStatus + outcome.signal : 0;
}

}  // namespace gpuvm::cli
