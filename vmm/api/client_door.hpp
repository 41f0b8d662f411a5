// SPDX-License-Identifier: Apache-2.0
// ClientDoor: the listening end of a control socket: lets in who may steer the guest (peer.hpp) as
// long as there is a seat (client_seats.hpp), and turns the others away with an answer that says
// why.
#pragma once

#include <unistd.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "vmm/base/asio.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/guests/client_seats.hpp"
#include "vmm/guests/peer.hpp"

namespace gpuvm {

/// Control thread.
class ClientDoor : public std::enable_shared_from_this<ClientDoor> {
 public:
  struct Options {
    std::optional<gid_t> group = {};  ///< whose members may enter
    SeatLimits seats = {};
    std::function<std::optional<Peer>(int)> who = peer_of;  ///< which it is but in tests
  };
  /// Whose seat it is; given back by leave().
  struct Seat {
    uid_t user = 0;
    bool is_owner = false;
  };
  using Enter = std::function<void(UniqueFd, Seat)>;

  ClientDoor(boost::asio::io_context& control, Options options, Enter enter)
      : options_(std::move(options)),
        enter_(std::move(enter)),
        seats_(options_.seats),
        listener_(control),
        next_try_(control) {}

  /// `socket`: listening, not blocking. Errors: kHost, naming `path`.
  Status open(UniqueFd socket, const std::string& path);
  void leave(Seat seat) { seats_.leave(seat.user, seat.is_owner); }
  /// Nobody enters any more.
  void close();

 private:
  void wait_for_client();
  void accept_clients();
  void admit(UniqueFd fd);

  const Options options_;
  /// Of when it was made. Later the control thread may be another user (sandbox.user), who has
  /// other processes, too, perhaps ones that other guests have taken over.
  const uid_t own_user_ = ::geteuid();
  const Enter enter_;
  ClientSeats seats_;
  boost::asio::posix::stream_descriptor listener_;
  boost::asio::steady_timer next_try_;
  bool is_closed_ = false;
};

}  // namespace gpuvm
