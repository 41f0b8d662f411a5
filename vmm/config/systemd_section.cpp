// SPDX-License-Identifier: Apache-2.0
// [systemd]: a guest as a service of the host's systemd (docs/systemd.md).
#include "vmm/config/sections.hpp"

namespace gpuvm::config {

Result<SystemdConfig> read_systemd(TableReader table) {
  SystemdConfig systemd;
  systemd.ready = TRY(table.choice("ready", systemd.ready));
  systemd.machined = TRY(table.choice("machined", systemd.machined));
  TRY(table.finish());
  return systemd;
}

/// A result file is read at the guest's end, and the exit port has no such word.
Status check_ready(const TableReader& table, const Config& config) {
  const TestConfig& test = config.test;
  if (config.systemd.ready == ReadyWhen::kGuest && !test.status_port && !test.vsock_status &&
      !test.notify) {
    return table.wrong("ready",
                       "is \"guest\", which has no channel to say so: set test.status_port, "
                       "test.vsock_status or test.notify to true");
  }
  return {};
}

}  // namespace gpuvm::config
