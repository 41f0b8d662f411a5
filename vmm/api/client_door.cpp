// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/client_door.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>

#include "vmm/api/api_message.hpp"

namespace gpuvm {
namespace {

using boost::asio::posix::descriptor_base;
using boost::system::error_code;

/// How long a client waits while this process has no descriptor left for it.
constexpr std::chrono::seconds kUntilNextClient{1};
/// Clients that are accepted in one go, before the control thread does something else.
constexpr int kClientsAtOnce = 16;

constexpr int kForbidden = 403;
constexpr int kUnavailable = 503;

/// What it has sent already is read, or it would see an error instead.
void turn_away(const UniqueFd& client, int status, std::string_view why) {
  const std::string text = to_text(error_response(status, why), true);
  std::array<char, 16384> sent;
  (void)::recv(client.get(), sent.data(), sent.size(), MSG_DONTWAIT);
  (void)::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace

Status ClientDoor::open(UniqueFd socket, const std::string& path) {
  error_code error;
  listener_.assign(socket.get(), error);
  if (error) {
    return fail(ErrorKind::kHost, "Cannot wait for clients of {}: {}", path, error.message());
  }
  socket.release();
  wait_for_client();
  return {};
}

void ClientDoor::wait_for_client() {
  listener_.async_wait(descriptor_base::wait_read, [self = shared_from_this()](error_code error) {
    if (!error && !self->is_closed_) {
      self->accept_clients();
    }
  });
}

void ClientDoor::accept_clients() {
  for (int i = 0; i < kClientsAtOnce; ++i) {
    UniqueFd fd(
        ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (fd) {
      admit(std::move(fd));
      continue;
    }
    if (errno == EAGAIN || errno == ECONNABORTED || errno == EINTR) {
      break;
    }
    // No descriptor is left: the client stays in the queue, and would be found again at once.
    next_try_.expires_after(kUntilNextClient);
    next_try_.async_wait([self = shared_from_this()](error_code error) {
      if (!error && !self->is_closed_) {
        self->wait_for_client();
      }
    });
    return;
  }
  wait_for_client();
}

void ClientDoor::admit(UniqueFd fd) {
  const auto peer = options_.who(fd.get());
  if (!peer || !may_steer(*peer, own_user_, options_.group)) {
    turn_away(fd, kForbidden,
              "The control socket is for root, gpuvm's own user and members of its group");
    return;
  }
  const Seat seat{.user = peer->user, .is_owner = peer->user == 0 || peer->user == own_user_};
  switch (seats_.take(seat.user, seat.is_owner)) {
    case ClientSeats::Answer::kTaken:
      enter_(std::move(fd), seat);
      break;
    case ClientSeats::Answer::kAllTaken:
      turn_away(fd, kUnavailable,
                "The control socket has as many clients as it can have; try again");
      break;
    case ClientSeats::Answer::kUserHasAll:
      turn_away(fd, kUnavailable,
                "The control socket has as many clients of this user as it can have: end some");
      break;
  }
}

void ClientDoor::close() {
  is_closed_ = true;
  error_code ignored;
  listener_.close(ignored);
  next_try_.cancel();
}

}  // namespace gpuvm
