// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/pool_wire.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "vmm/base/socket_descriptors.hpp"

namespace gpuvm::pool {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kPiece = std::size_t{16} << 10;

/// For poll(2); at least 0.
int rest_until(Clock::time_point end) {
  const auto rest = std::chrono::ceil<milliseconds>(end - Clock::now());
  return static_cast<int>(std::max<std::int64_t>(rest.count(), 0));
}

/// A message header whose control part has room for one descriptor.
struct Envelope {
  Envelope(char* bytes, std::size_t size) : piece{.iov_base = bytes, .iov_len = size} {
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
  }
  iovec piece;
  msghdr header = {};
  DescriptorRoom<1> room = {};
};

Error gone() {
  return fail_errno(ErrorKind::kHost, "The other side of a pool's socket does not hear");
}

}  // namespace

Status send_line(int socket, std::string_view line, milliseconds limit, int fd) {
  std::string text = fmt::format("{}\n", line);
  const auto end = Clock::now() + limit;
  std::size_t sent = 0;
  while (sent < text.size()) {
    Envelope envelope(text.data() + sent, text.size() - sent);
    if (fd >= 0 && sent == 0) {
      attach_descriptors(envelope.header, envelope.room, {&fd, 1});
    }
    // sendto(2) where that is enough, which a confined thread may call.
    const ssize_t count =
        fd >= 0 && sent == 0
            ? ::sendmsg(socket, &envelope.header, MSG_DONTWAIT | MSG_NOSIGNAL)
            : ::send(socket, text.data() + sent, text.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (count >= 0) {
      sent += static_cast<std::size_t>(count);
      continue;
    }
    if (errno == EINTR) {
      continue;
    }
    if (errno != EAGAIN || Clock::now() >= end) {
      return gone();
    }
    pollfd wait{.fd = socket, .events = POLLOUT, .revents = 0};
    ::poll(&wait, 1, rest_until(end));
  }
  return {};
}

ssize_t LineReceiver::read_some(int socket, char* bytes, std::size_t size) {
  if (descriptors_ == Descriptors::kNobody) {
    return ::read(socket, bytes, size);
  }
  Envelope envelope(bytes, size);
  envelope.room.offer_to(envelope.header);
  const ssize_t count = ::recvmsg(socket, &envelope.header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (count > 0) {
    if (auto fds = take_descriptors(envelope.header); !fds.empty()) {
      descriptor_ = std::move(fds.back());
    }
  }
  return count;
}

bool LineReceiver::cut_line() {
  const auto end = pending_.find('\n');
  if (end == std::string::npos) {
    return false;
  }
  line_ = pending_.substr(0, end);
  pending_.erase(0, end + 1);
  return true;
}

LineReceiver::Progress LineReceiver::receive(int socket) {
  const Progress progress = receive_next(socket);
  return progress == Progress::kLine && ++lines_ > most_ ? Progress::kWrong : progress;
}

LineReceiver::Progress LineReceiver::receive_next(int socket) {
  if (cut_line()) {
    return Progress::kLine;
  }
  std::array<char, kPiece> bytes;
  const ssize_t count = read_some(socket, bytes.data(), bytes.size());
  if (count == 0) {
    return Progress::kClosed;
  }
  if (count < 0) {
    return errno == EAGAIN || errno == EINTR ? Progress::kMore
           : errno == ECONNRESET             ? Progress::kClosed
                                             : Progress::kWrong;
  }
  pending_.append(bytes.data(), static_cast<std::size_t>(count));
  if (cut_line()) {
    return line_.size() > kLongestLine ? Progress::kWrong : Progress::kLine;
  }
  return pending_.size() > kLongestLine ? Progress::kWrong : Progress::kMore;
}

Status receive_line(LineReceiver& receiver, int socket, milliseconds limit, std::string_view who) {
  const auto end = Clock::now() + limit;
  while (true) {
    switch (receiver.receive(socket)) {
      case LineReceiver::Progress::kLine:
        return {};
      case LineReceiver::Progress::kClosed:
        return fail(ErrorKind::kHost, "{} has ended without an answer: see its log", who);
      case LineReceiver::Progress::kWrong:
        return fail(ErrorKind::kHost, "{} says what is no answer: is it of this version of gpuvm?",
                    who);
      case LineReceiver::Progress::kMore:
        break;
    }
    if (Clock::now() >= end) {
      return fail(ErrorKind::kHost, "{} has not answered within {} s", who,
                  std::chrono::duration_cast<std::chrono::seconds>(limit).count());
    }
    pollfd wait{.fd = socket, .events = POLLIN, .revents = 0};
    ::poll(&wait, 1, rest_until(end));
  }
}

}  // namespace gpuvm::pool
