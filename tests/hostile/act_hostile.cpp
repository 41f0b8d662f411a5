// SPDX-License-Identifier: Apache-2.0
// In place of vmm/sandbox/roles/hostile.cpp, for the test program hostile_gpuvm: a thread that has
// entered the role that the environment's GPUVM_HOSTILE names tries all payloads, once in a
// process, and writes a line for each to stderr: "hostile vcpu: open a file: worked" or ": refused
// (errno 1)".
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>

#include "tests/hostile/payloads.hpp"
#include "vmm/sandbox/roles/hostile.hpp"

namespace gpuvm::sandbox {
namespace {

/// Copied while the program starts: a confined one forgets its environment.
std::string wanted_role() {
  const char* const role = std::getenv("GPUVM_HOSTILE");  // NOLINT: nobody sets it
  return role == nullptr ? std::string() : role;
}
const std::string kWantedRole = wanted_role();

void write_outcome(ThreadRole role, const Payload& payload, int outcome) {
  const std::string line =
      outcome == 0 ? fmt::format("hostile {}: {}: worked\n", to_string(role), payload.name)
                   : fmt::format("hostile {}: {}: refused (errno {})\n", to_string(role),
                                 payload.name, outcome);
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, line.data(), line.size());
}

}  // namespace

void act_hostile(ThreadRole role) {
  static std::atomic<bool> has_acted{false};
  if (to_string(role) != kWantedRole || has_acted.exchange(true)) {
    return;
  }
  for (const Payload& payload : payloads()) {
    write_outcome(role, payload, payload.attempt());
  }
}

}  // namespace gpuvm::sandbox
