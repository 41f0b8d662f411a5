// SPDX-License-Identifier: Apache-2.0
// NotifySocket: notifications for the service manager that started this process (sd_notify(3)): a
// datagram of lines KEY=VALUE. Missing: service managers behind a vsock ("vsock:"), which are those
// of guests.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class NotifySocket {
 public:
  /// `address`: the environment's NOTIFY_SOCKET, an absolute path, or "@" before a name of the
  /// abstract name space; or "fd:" and the number of a socket that this process has, from an owner
  /// (vmm/owner/notify_relay.hpp). Nobody needs to listen there. Errors: kHost, for one that is
  /// neither, that leads through "..", or that is too long for a socket.
  static Result<NotifySocket> open(std::string_view address);
  /// False: it is not taken now, and lost. Never waits. Any thread.
  bool send(std::string_view notification) const;

 private:
  explicit NotifySocket(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace gpuvm
