// SPDX-License-Identifier: Apache-2.0
// The guest's [vsock]: the host's /dev/vhost-vsock, and the address that the guest has by it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "devices/virtio/vsock/vsock_address.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Takes the address, which is the guest's as long as what is returned lives; nothing without a
/// section. `guest`: its name. Errors, each with the place and the cure: kConfig (the address is in
/// use), kHost (no vhost-vsock).
Result<std::optional<VsockAddress>> open_vsock(const HostSystem& host,
                                               const std::optional<VsockConfig>& config,
                                               std::string_view guest);

/// "CID 1234, if it is free", for people.
std::string vsock_text(const VsockConfig& config, std::string_view guest);

}  // namespace gpuvm
