// SPDX-License-Identifier: Apache-2.0
// Connections of the host to a guest's sshd, by vsock or by a port that leads there, and whether
// one answers (RFC 4253, 4.2: a server speaks first, "SSH-…").
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// Blocks at most `limit`. Errors: kHost.
Result<UniqueFd> connect_to_vsock(std::uint32_t cid, std::uint32_t port,
                                  std::chrono::milliseconds limit);
/// `address`: IPv4 or IPv6 in digits. Blocks at most `limit`. Errors: kHost.
Result<UniqueFd> connect_to_port(const std::string& address, std::uint16_t port,
                                 std::chrono::milliseconds limit);

/// Whether a server of ssh is at the other end. Says who asks, as both sides of ssh must (RFC 4253,
/// 4.2): passt of Debian 12 has nothing for the host before the host has spoken. False too when it
/// says nothing within `limit`, or hangs up, as passt does for a guest where nobody listens.
bool speaks_ssh(const UniqueFd& socket, std::chrono::milliseconds limit);

/// Sends a descriptor over a socket (SCM_RIGHTS), as ssh's ProxyUseFdpass expects it. Errors:
/// kHost.
Status pass_descriptor(int socket, const UniqueFd& what);

}  // namespace gpuvm
