// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "vmm/api/guest_view.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/base/run_process.hpp"

namespace gpuvm {
namespace {

/// Functions that are not the host's have the name of their server's socket.
nlohmann::json device_json(const InspectNode& function) {
  nlohmann::json device;
  if (Bdf::parse(function.name())) {
    device["bdf"] = function.name();
    device["driver"] = "vfio-pci";
  } else {
    device["socket"] = function.name();
    device["driver"] = "vfio-user";
  }
  for (const char* const place : {"port", "function"}) {
    const std::string_view number = function.get(place);
    unsigned value = 0;
    std::from_chars(number.data(), number.data() + number.size(), value);
    device[place] = value;
  }
  return device;
}

nlohmann::json forward_json(const PortForward& forward) {
  return {{"protocol", forward.udp ? "udp" : "tcp"},
          {"address", forward.address},
          {"host", forward.host},
          {"guest", forward.guest}};
}

nlohmann::json devices_json(const InspectNode& machine) {
  auto devices = nlohmann::json::array();
  for (const InspectNode* const function : shown_functions(machine)) {
    devices.push_back(device_json(*function));
  }
  return devices;
}

}  // namespace

std::vector<const InspectNode*> shown_functions(const InspectNode& machine) {
  std::vector<const InspectNode*> all;
  const auto add = [&all](const InspectNode* functions) {
    const auto some =
        functions == nullptr ? std::vector<const InspectNode*>() : functions->children();
    all.insert(all.end(), some.begin(), some.end());
  };
  add(machine.find("host_devices"));
  if (const InspectNode* const slots = machine.find("hot_plug")) {
    for (const InspectNode* const slot : slots->children()) {
      add(slot->find("functions"));
    }
  }
  return all;
}

ApiGuest api_guest_of(const Config& config, const std::string& config_file) {
  ApiGuest guest;
  guest.name = config.name;
  guest.config_file = config_file;
  guest.cpus = config.machine.cpus;
  guest.memory = config.machine.memory;
  for (const auto& net : config.nets) {
    guest.forwards.insert(guest.forwards.end(), net.forward.begin(), net.forward.end());
  }
  return guest;
}

std::string vm_document(const ApiGuest& guest, const GuestTally& tally,
                        const InspectNode& machine) {
  nlohmann::ordered_json document;
  document["name"] = guest.name;
  document["state"] = to_string(tally.state());
  document["pid"] = run_process();
  if (const pid_t self = ::getpid(); self != run_process()) {
    document["monitor_pid"] = self;
  }
  document["since"] = time_text(tally.began());
  document["uptime_s"] = tally.uptime(std::chrono::system_clock::now()).count() / 1000;
  document["config"] = guest.config_file;
  document["cpus"] = guest.cpus;
  document["memory_bytes"] = guest.memory;
  document["devices"] = devices_json(machine);
  document["lives"] = tally.lives();
  if (tally.cid()) {
    document["cid"] = *tally.cid();
  }
  if (!guest.forwards.empty()) {
    auto forwards = nlohmann::json::array();
    std::transform(guest.forwards.begin(), guest.forwards.end(), std::back_inserter(forwards),
                   forward_json);
    document["forward"] = forwards;
  }
  // A path may have any bytes.
  return document.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

}  // namespace gpuvm
