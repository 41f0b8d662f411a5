// SPDX-License-Identifier: Apache-2.0
// The verbs that steer and watch guests which run already, by their control sockets (vmm/guests):
// thin clients of the same interface that curl --unix-socket has.
#pragma once

#include <CLI/CLI.hpp>
#include <chrono>
#include <optional>
#include <string>

#include "vmm/api_client/api_request.hpp"
#include "vmm/cli/host_verbs.hpp"

namespace gpuvm::cli {

struct ClientArguments {
  std::string guest = {};   ///< a name, or a socket's path; empty: all (metrics), or the host
  std::string device = {};  ///< attach and detach: an address, or a server's socket
  bool host = false;        ///< events, metrics: of this host's guests and cards
  bool json = false;
  bool follow = false;               ///< events: those to come, too
  bool force = false;                ///< stop: without the power button
  std::chrono::seconds timeout{60};  ///< stop: for the guest to power off by itself
  bool virtio = false;               ///< console: the virtio one
};

/// All of them. Keeps references to `arguments` and `verb`, which are filled when the command line
/// is parsed.
void add_client_verbs(CLI::App& app, ClientArguments& arguments, Verb& verb);

Result<int> ps_verb(const ClientArguments& arguments);
Result<int> status_verb(const ClientArguments& arguments);
Result<int> console_verb(const ClientArguments& arguments);
/// Presses the power button, waits, and ends the guest where that did not. Errors: kHost where it
/// has not gone.
Result<int> stop_verb(const ClientArguments& arguments);
/// PUT /v1/vm/REQUEST: "pause", "resume", "reset" or "power-button". Done when it is.
Result<int> steer_verb(const ClientArguments& arguments, const std::string& request);
/// PUT /v1/REQUEST: "attach" or "detach". Done when it is. Errors: also kUsage, for what is no
/// device.
Result<int> card_verb(const ClientArguments& arguments, const std::string& request);
Result<int> events_verb(const ClientArguments& arguments);
Result<int> metrics_verb(const ClientArguments& arguments);
/// events --host and metrics --host (vmm/fleet). Errors: kHost, where nobody takes the output.
Result<int> host_events_verb(const ClientArguments& arguments);
Result<int> host_metrics_verb();
/// Of a guest that runs: the state of its machine now.
Result<int> inspect_guest_verb(const ClientArguments& arguments);
/// Whether `name`, given to inspect, is a guest that runs and no file, or the path of a socket.
bool is_running_guest(const std::string& name);

/// Nothing where `name`, given to inspect, is a file, or could be one that is to be a
/// configuration. Errors: kConfig for the name of a guest that does not run.
Status check_inspected(const std::string& name);

/// What a guest says to a GET; what it refuses is an error.
Result<std::string> get_from_guest(const std::string& guest, const std::string& target);
/// main() holds signals for a run: those who only ask are ended by them, as any program is.
void let_signals_end_us();

}  // namespace gpuvm::cli
