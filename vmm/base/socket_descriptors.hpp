// SPDX-License-Identifier: Apache-2.0
// Descriptors beside the bytes of a Unix socket's message (unix(7), SCM_RIGHTS).
#pragma once

#include <sys/socket.h>

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

/// Where the header of a message has so many of them. Must outlive its use.
template <std::size_t N>
struct DescriptorRoom {
  alignas(cmsghdr) std::array<char, CMSG_SPACE(N * sizeof(int))> bytes{};

  /// For recvmsg(2), which closes those for which there is no room (MSG_CTRUNC).
  void offer_to(msghdr& message) {
    message.msg_control = bytes.data();
    message.msg_controllen = bytes.size();
  }
};

namespace detail {
void attach_descriptors(msghdr& message, std::span<char> room, std::span<const int> fds);
}  // namespace detail

/// `fds`, at least one, go with the message that is sent; those that `room` has no place for do
/// not.
template <std::size_t N>
void attach_descriptors(msghdr& message, DescriptorRoom<N>& room, std::span<const int> fds) {
  detail::attach_descriptors(message, room.bytes, fds.first(fds.size() < N ? fds.size() : N));
}

/// Takes those of a message that was received; all of them, so that none leaks.
std::vector<UniqueFd> take_descriptors(msghdr& message);

}  // namespace gpuvm
