// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/port_reset.hpp"

namespace gpuvm {

// Two vCPUs that reset at once take turns: all wait in bus_reset_begin() of the first function, in
// the same order, until the one before has ended its reset of it.
void PortReset::secondary_bus_reset() {
  for (auto* function : options_.functions) {
    function->bus_reset_begin();
  }
  const auto outcome = run_reset(options_.host, options_.plan, options_.clock);
  for (auto* function : options_.functions) {
    function->bus_reset_end(outcome.has_value());
  }
  report(outcome);
}

void PortReset::report(const Result<std::vector<ResetCertificate>>& outcome) {
  resets_.fetch_add(1, std::memory_order_relaxed);
  failures_.fetch_add(outcome ? 0 : 1, std::memory_order_relaxed);
  if (!limit_.allow()) {
    return;
  }
  if (!outcome) {
    log::error("{}: The guest reset the bus, and its devices are gone until the next reset: {}",
               options_.name, outcome.error().to_string());
    return;
  }
  std::string text;
  for (const auto& certificate : *outcome) {
    text += (text.empty() ? "" : "; ") + certificate.text;
  }
  log::info("{}: The guest reset the bus: {}", options_.name, text);
}

void PortReset::inspect(InspectNode& node) const {
  node.field("resets", resets_.load(std::memory_order_relaxed));
  node.field("failures", failures_.load(std::memory_order_relaxed));
  options_.plan.inspect(node.child("plan"));
}

}  // namespace gpuvm
