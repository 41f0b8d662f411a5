// SPDX-License-Identifier: Apache-2.0
// MessageSocket: whole vfio-user messages with file descriptors over a UNIX stream socket
// (unix(7), SCM_RIGHTS). Checks only what framing needs; meanings are the Connection's.
#pragma once

#include <chrono>
#include <cstddef>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "devices/physical/vfio_user/messages.hpp"
#include "devices/physical/vfio_user/vfio_user_spec.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::vfio_user {

struct Message {
  Header header{};
  Bytes payload;
  std::vector<UniqueFd> fds;
};

class MessageSocket {
 public:
  /// Errors: kHost saying why nobody serves there, and the cure.
  static Result<MessageSocket> connect(const std::string& path);
  explicit MessageSocket(UniqueFd fd) : fd_(std::move(fd)) {}

  /// A peer that does not read for this long makes send() fail.
  Status set_send_timeout(std::chrono::milliseconds time);
  /// Sends one message; header.size is filled in. One thread at a time.
  Status send(Header header, std::span<const std::byte> payload, std::span<const int> fds);
  /// Waits for the next message, without limit of time: shut_down() ends it. Errors: kHost saying
  /// what is wrong with what came, or that the peer has closed. Nothing may be received after an
  /// error.
  Result<Message> receive();
  /// Wakes whoever sends or receives. Any thread.
  void shut_down() const;

 private:
  Result<Header> receive_header(std::vector<UniqueFd>& fds);
  Status receive_bytes(std::span<std::byte> out);

  UniqueFd fd_;
};

}  // namespace gpuvm::vfio_user
