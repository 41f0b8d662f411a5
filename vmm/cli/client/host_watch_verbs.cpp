// SPDX-License-Identifier: Apache-2.0
// gpuvm events --host and metrics --host: what whoever watches many hosts wants to know of this
// one.
#include <unistd.h>

#include <chrono>
#include <thread>

#include "vmm/api_client/guest_finder.hpp"
#include "vmm/base/text.hpp"
#include "vmm/cli/client/client_verbs.hpp"
#include "vmm/fleet/host_events.hpp"
#include "vmm/fleet/host_metrics.hpp"
#include "vmm/guests/guest_socket.hpp"

namespace gpuvm::cli {
namespace {

/// Between two looks. What happens meanwhile is not lost but for guests of a second without a card.
constexpr std::chrono::seconds kBetweenHostLooks{1};
/// Of one look: a guest that hangs must not hold up what is told of the others.
constexpr std::chrono::milliseconds kHostLookTime{2000};

HostLook look_at_host(const HostSystem& host) {
  HostLook look;
  look.time = std::chrono::system_clock::now();
  look.host = host_name();
  look.boot_id = boot_id_of(host);
  look.version = GPUVM_VERSION;
  look.guests = list_guests(run_folders(), kHostLookTime);
  look.cards = look_at_cards(host);
  return look;
}

}  // namespace

Result<int> host_events_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  const HostSystem host;
  HostEvents events;
  for (;;) {
    std::vector<std::string> lines;
    do {
      lines = events.tell(look_at_host(host));
      for (const std::string& line : lines) {
        TRY(print(text_for(STDOUT_FILENO, line + "\n")));
      }
    } while (!arguments.follow && lines.size() >= HostEvents::kMostLines);
    if (!arguments.follow) {
      return 0;
    }
    std::this_thread::sleep_for(kBetweenHostLooks);
  }
}

Result<int> host_metrics_verb() {
  let_signals_end_us();
  TRY(print(text_for(STDOUT_FILENO, host_metrics(look_at_host(HostSystem())))));
  return 0;
}

}  // namespace gpuvm::cli
