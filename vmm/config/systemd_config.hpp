// SPDX-License-Identifier: Apache-2.0
// [systemd]: a guest as a service of the host's systemd.
#pragma once

namespace gpuvm {

/// When the service has started, in the eyes of what waits for it.
enum class ReadyWhen {
  kVcpus,  ///< the guest's processors run
  kGuest,  ///< the guest has said that it is ready, by a channel of [test]
};

/// Whether machinectl lists the guest.
enum class MachinedUse {
  kAuto,  ///< where a service manager has started gpuvm, and machined is there
  kOff,
};

struct SystemdConfig {
  ReadyWhen ready = ReadyWhen::kVcpus;
  MachinedUse machined = MachinedUse::kAuto;
  bool operator==(const SystemdConfig&) const = default;
};

}  // namespace gpuvm
