// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/owner/owner_choice.hpp"

#include <algorithm>

namespace gpuvm {
namespace {

OwnerChoice inside(std::string_view reason) {
  return {.place = OwnerPlace::kInside, .reason = reason};
}

bool has_host_card(const Config& config) {
  return std::any_of(config.pci.begin(), config.pci.end(),
                     [](const PciConfig& entry) { return entry.socket.empty(); });
}

/// With the right to have one.
OwnerChoice choose_by_use(const Config& config) {
  if (config.sandbox.mode == SandboxMode::kOff) {  // which is for who looks into gpuvm, too
    return inside("sandbox.mode is \"off\"");
  }
  if (config.machine.free_ports > 0 && config.machine.attachable.empty()) {
    return inside("cards come that machine.attachable does not list");
  }
  if (!config.machine.attachable.empty()) {
    return {.place = OwnerPlace::kProcess, .reason = "cards of the host may come"};
  }
  if (!has_host_card(config)) {
    return inside("no card of the host");
  }
  return {.place = OwnerPlace::kProcess, .reason = "it has cards of the host"};
}

}  // namespace

OwnerChoice choose_owner(const Config& config, const OwnerFacts& facts) {
  const OwnerPlace wanted = config.sandbox.owner;
  if (wanted == OwnerPlace::kInside) {
    return inside("sandbox.owner is \"inside\"");
  }
  if (!facts.is_root) {
    return inside("not root");
  }
  // A second attempt would be made by a process that has had a guest, which its owner does not
  // believe any more.
  if (facts.is_job && config.test.retries > 0) {
    return inside("a job that may be tried again (test.retries)");
  }
  if (wanted == OwnerPlace::kProcess) {
    return {.place = OwnerPlace::kProcess, .reason = "sandbox.owner is \"process\""};
  }
  return facts.can_watch ? choose_by_use(config) : inside("pidfd_open(2) does not work here");
}

}  // namespace gpuvm
