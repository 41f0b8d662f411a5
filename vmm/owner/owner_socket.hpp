// SPDX-License-Identifier: Apache-2.0
// Packets with descriptors between monitor and owner: a pair of UNIX sockets that keep the bounds
// of messages (unix(7), SOCK_SEQPACKET, SCM_RIGHTS). What is in a packet is owner_messages.hpp's.
#pragma once

#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::owner {

struct SocketPair {
  UniqueFd owner;
  UniqueFd monitor;
  /// Errors: kHost.
  static Result<SocketPair> create();
};

enum class SendOutcome {
  kSent,
  kFull,  ///< the other side does not fetch what was sent
  kGone,  ///< there is no other side any more
};
/// Never waits. At most kMostMessage bytes and kMostFds descriptors.
SendOutcome send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> fds);

struct Packet {
  std::vector<std::byte> bytes = {};
  std::vector<UniqueFd> fds = {};
};
enum class ReceiveOutcome {
  kReceived,
  kNothing,  ///< for now
  kGone,     ///< the other side has closed
  kTooMuch,  ///< more bytes or descriptors than a message has; all are gone
};
/// Never waits.
ReceiveOutcome receive_packet(int socket, Packet& packet);

/// The contents as a memory file that nobody can change any more. Errors: kHost.
Result<UniqueFd> sealed_file(std::span<const std::byte> contents);
/// Of such a file, at most `most` bytes. Errors: kGuest: it is none, or larger; nothing of it is
/// read then, so that no file system or pipe can make the reader wait.
Result<std::vector<std::byte>> read_sealed_file(int fd, std::size_t most);

}  // namespace gpuvm::owner
