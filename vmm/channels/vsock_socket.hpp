// SPDX-License-Identifier: Apache-2.0
// The host's end of a guest's vsock (vsock(7)): a socket that listens at a port which is free.
// Ports of the host are common to all its guests, so each guest gets one of its own and is told of
// it.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

struct VsockSocket {
  UniqueFd fd = {};  ///< listens, does not block
  std::uint32_t port = 0;
};

/// Errors: kHost.
Result<VsockSocket> listen_on_vsock();

/// The address (CID) of who has connected; nothing: it is no vsock's.
std::optional<std::uint32_t> cid_of(const sockaddr_storage& peer);

}  // namespace gpuvm
