// SPDX-License-Identifier: Apache-2.0
// Channel: whole vhost-user messages with file descriptors over a UNIX stream socket (unix(7),
// SCM_RIGHTS), each within a limit of time. Checks what framing needs; meanings are the Client's.
#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "devices/virtio/vhost_user/vhost_user_spec.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::vhost_user {

using Bytes = std::vector<std::byte>;

/// What is said of a peer that has hung up.
inline constexpr std::string_view kClosed = "it closed the connection";

struct Message {
  Header header;
  Bytes payload;
};

class Channel {
 public:
  using Deadline = std::chrono::steady_clock::time_point;

  Channel() = default;
  explicit Channel(UniqueFd fd) : fd_(std::move(fd)) {}

  int fd() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

  /// header.size and the version are filled in. One thread at a time. Errors: kHost, and nothing
  /// may be sent afterwards.
  Status send(Header header, std::span<const std::byte> payload, std::span<const int> fds,
              Deadline deadline) const;
  /// The next message. One with file descriptors is an error, as is one that is too long. One
  /// thread at a time. Errors: kHost saying what is wrong with what came, or that the peer has
  /// closed; nothing may be received afterwards.
  Result<Message> receive(Deadline deadline) const;
  /// Wakes whoever sends or receives. Any thread.
  void shut_down() const;

 private:
  Status await(short events, Deadline deadline) const;
  Status receive_bytes(std::span<std::byte> out, Deadline deadline) const;

  UniqueFd fd_;
};

}  // namespace gpuvm::vhost_user
