// SPDX-License-Identifier: Apache-2.0
// A made-up look at a host, for tests of what is told of it.
#pragma once

#include <string>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/fleet/host_look.hpp"

namespace gpuvm::test {

inline ListedGuest listed_guest(const std::string& name, const std::string& state) {
  ListedGuest guest{.name = name, .path = "/run/gpuvm/" + name + ".sock"};
  VmStatus status{.name = name, .state = state, .pid = 42, .uptime_s = 7};
  status.cpus = 8;
  status.memory_bytes = 1U << 30;
  status.devices = {"0000:01:00.0", "0000:01:00.1"};
  guest.status = std::move(status);
  return guest;
}

inline ResetNote reset_note(const std::string& method, const std::string& verdict = "verified") {
  ResetNote note{.time = std::chrono::system_clock::time_point(std::chrono::milliseconds(1500)),
                 .duration = std::chrono::milliseconds(250)};
  note.owner = "the guest main";
  note.reason = "start";
  note.method = method;
  note.usual = "hot reset";
  note.verdict = verdict;
  note.functions = "0000:01:00.0, 0000:01:00.1";
  note.did_not_help = method == "hot reset" ? "" : "hot reset, function reset";
  note.text = "a sentence";
  return note;
}

inline HostLook look_at_nothing() {
  HostLook look;
  look.time = std::chrono::system_clock::time_point(std::chrono::seconds(1000));
  look.host = "node-1";
  look.boot_id = "d7f1";
  look.version = "1.0";
  return look;
}

inline FleetCard card_at(const std::string& address) {
  FleetCard card;
  card.function = bdf_of(address);
  return card;
}

}  // namespace gpuvm::test
