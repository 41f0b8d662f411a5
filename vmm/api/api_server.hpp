// SPDX-License-Identifier: Apache-2.0
// ApiServer: the control socket of a guest: HTTP/1.1 over a Unix socket, by which others than its
// terminal look at it and steer it. docs/api.md and docs/openapi.json tell what it answers,
// router.hpp has the table. It serves from the control thread; only inspection of the machine has a
// thread of its own. Requests are those of GuestControl, which knows which fit.
// Missing: a socket by an inherited descriptor, attaching and detaching of devices.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "vmm/api/connection.hpp"
#include "vmm/api/console_hub.hpp"
#include "vmm/api/guest_view.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/config/config.hpp"
#include "vmm/control/guest_control.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/guests/peer.hpp"

namespace gpuvm {

class ApiServer {
 public:
  struct Options {
    ApiGuest guest = {};
    ConsoleHub::Input type_serial = {};  ///< takes what viewers of the serial console type
    ConsoleHub::Input type_virtio = {};  ///< empty: the guest has no virtio console
    std::optional<gid_t> group = {};     ///< whose members may steer the guest
    ApiServerLimits limits = {};
    std::function<std::optional<Peer>(int)> who = peer_of;  ///< which it is but in tests
  };

  /// The server that `[control]` wants, listening, or null where it wants none; null too, with a
  /// warning, where socket = "auto" has no folder for one, or, with `shares_name`, where another
  /// guest has its name. `control` and `guest` outlive it. Errors: kConfig and kHost, which name
  /// the socket.
  static Result<std::unique_ptr<ApiServer>> open(boost::asio::io_context& control,
                                                 GuestControl& guest, const ControlConfig& config,
                                                 Options options, bool shares_name = false);
  /// The parts of open(): a claimed place. Errors: kHost.
  static Result<std::unique_ptr<ApiServer>> start(boost::asio::io_context& control,
                                                  GuestControl& guest, GuestSocketClaim claim,
                                                  Options options);
  /// As finish().
  ~ApiServer();
  ApiServer(const ApiServer&) = delete;
  ApiServer& operator=(const ApiServer&) = delete;

  /// What the guest prints goes to its write(), and resume_input() when it reads again.
  const std::shared_ptr<ConsoleHub>& serial() const;
  const std::shared_ptr<ConsoleHub>& virtio() const;
  const std::string& path() const;
  std::size_t connections() const;

  /// The guest's run is over: streams get what waits for them, for at most half a second in all,
  /// and end; the socket is gone. No handler of the control thread runs meanwhile or later. Once or
  /// more often.
  void finish();

 private:
  class Impl;
  explicit ApiServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}

  std::shared_ptr<Impl> impl_;
};

}  // namespace gpuvm
