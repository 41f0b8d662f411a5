// SPDX-License-Identifier: Apache-2.0
#include "vmm/channels/word_listener.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/channels/line_reader.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kMostAccepted = 16;           ///< from one socket in a turn
constexpr unsigned kLastTurns = 64;              ///< of what has arrived at the end
constexpr std::chrono::milliseconds kRest{200};  ///< of a socket that cannot be accepted from

std::size_t most_of(WordListener::Protocol protocol) {
  return protocol == WordListener::Protocol::kLine ? LineReader::kMostLine
                                                   : WordListener::kMostMessage;
}

bool is_worth_waiting(int error) {
  return error == EAGAIN || error == EWOULDBLOCK || error == EINTR;
}

std::string_view without_return(std::string_view line) {
  return line.ends_with('\r') ? line.substr(0, line.size() - 1) : line;
}

}  // namespace

Result<std::unique_ptr<WordListener>> WordListener::start(Options options) {
  auto stop = TRY(EventFd::create());
  std::unique_ptr<WordListener> listener(new WordListener(std::move(options), std::move(stop)));
  TRY(listener->start_thread());
  return listener;
}

Status WordListener::start_thread() {
  try {
    thread_ = std::thread([this] {
      enter_background_thread("guest words");
      sandbox::enter(sandbox::ThreadRole::kWords);
      run();
    });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost, "Cannot start a thread for the guest's words: {}", error.what());
  }
  return {};
}

void WordListener::finish() {
  if (thread_.joinable()) {
    stopping_ = true;
    stop_.signal();
    thread_.join();
  }
}

void WordListener::run() {
  while (!stopping_) {
    take_turn(true);
  }
  for (unsigned i = 0; i < kLastTurns && take_turn(false); ++i) {
  }
  connections_.clear();
}

/// True: something came.
bool WordListener::take_turn(bool waits) {
  std::vector<pollfd> polled;
  for (const Connection& connection : connections_) {
    polled.push_back({.fd = connection.fd.get(), .events = POLLIN, .revents = 0});
  }
  for (const Endpoint& endpoint : options_.endpoints) {
    // poll(2) leaves -1 out. At the end there is no other time to ask.
    const bool rests = waits && endpoint.rests_until > Clock::now();
    polled.push_back({.fd = rests ? -1 : endpoint.socket.get(), .events = POLLIN, .revents = 0});
  }
  polled.push_back({.fd = stop_.fd(), .events = POLLIN, .revents = 0});
  ::poll(polled.data(), polled.size(), waits ? milliseconds_to_wait() : 0);
  const std::vector<pollfd> of_endpoints(
      polled.begin() + static_cast<std::ptrdiff_t>(connections_.size()), polled.end() - 1);
  bool came = serve_connections(polled);
  for (std::size_t i = 0; i < of_endpoints.size(); ++i) {
    came = (of_endpoints[i].revents != 0 && accept_from(options_.endpoints[i])) || came;
  }
  drop_expired();
  return came;
}

/// Until the oldest connection is too old or a socket has rested; -1: there is neither.
int WordListener::milliseconds_to_wait() const {
  const auto now = Clock::now();
  std::optional<Clock::time_point> next;
  if (!connections_.empty()) {
    next = connections_.front().end;
  }
  for (const Endpoint& endpoint : options_.endpoints) {
    if (endpoint.rests_until > now) {
      next = std::min(next.value_or(endpoint.rests_until), endpoint.rests_until);
    }
  }
  if (!next) {
    return -1;
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*next - now);
  return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
}

bool WordListener::serve_connections(const std::vector<pollfd>& polled) {
  bool came = false;
  for (std::size_t i = 0; i < connections_.size(); ++i) {
    if (polled[i].revents != 0) {
      came = true;
      if (!serve(connections_[i])) {
        connections_[i].fd.reset();
      }
    }
  }
  std::erase_if(connections_, [](const Connection& connection) { return !connection.fd; });
  return came;
}

/// False: the connection has no more to say.
bool WordListener::serve(Connection& connection) {
  std::array<char, 4096> bytes;
  const ssize_t got = ::recv(connection.fd.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (got < 0) {
    if (is_worth_waiting(errno)) {
      return true;
    }
    lose(connection);
    return false;
  }
  if (got == 0) {
    hear_end(connection);
    return false;
  }
  connection.said.append(bytes.data(), static_cast<std::size_t>(got));
  return hear(connection);
}

/// What is there so far; false: that is enough.
bool WordListener::hear(Connection& connection) {
  const std::string_view said = connection.said;
  const auto line_end = connection.protocol == Protocol::kLine ? said.find('\n') : said.npos;
  const std::size_t size = std::min(line_end, said.size());
  if (size > most_of(connection.protocol)) {
    connection.teller->complain(said);
    return false;
  }
  if (line_end == said.npos) {
    return true;
  }
  connection.teller->tell_line(without_return(said.substr(0, line_end)));
  return false;
}

void WordListener::hear_end(const Connection& connection) {
  const std::string_view said = connection.said;
  if (said.empty()) {
    return;  // somebody looked whether we are there
  }
  if (connection.protocol == Protocol::kLine) {
    connection.teller->tell_line(without_return(said));
    return;
  }
  for (const SaidWord& word : read_notification(said)) {
    connection.teller->tell(word);
  }
}

/// True: somebody has come.
bool WordListener::accept_from(Endpoint& endpoint) {
  bool came = false;
  for (unsigned i = 0; i < kMostAccepted; ++i) {
    sockaddr_storage peer{};
    socklen_t size = sizeof peer;
    UniqueFd fd(::accept4(endpoint.socket.get(), reinterpret_cast<sockaddr*>(&peer), &size,
                          SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd) {
      if (!is_worth_waiting(errno) && errno != ECONNABORTED && errno != EPROTO) {
        rest(endpoint, errno);
      }
      return came;
    }
    came = true;
    if (!options_.is_guest(peer)) {
      ++strangers_;
      continue;
    }
    ++accepted_;
    if (connections_.size() == kMostConnections) {
      lose(connections_.front());
      connections_.erase(connections_.begin());
    }
    connections_.push_back({.fd = std::move(fd),
                            .protocol = endpoint.protocol,
                            .teller = endpoint.teller,
                            .end = Clock::now() + options_.patience,
                            .said = {}});
  }
  return came;
}

/// What is wrong may be over soon (too many open files, no memory), and whoever has connected waits
/// in the socket's queue.
void WordListener::rest(Endpoint& endpoint, int error_number) {
  endpoint.rests_until = Clock::now() + kRest;
  if (rests_.fetch_add(1) == 0) {
    log::warn("The guest's words must wait: {}; this is tried again several times a second",
              std::generic_category().message(error_number));
  }
}

void WordListener::drop_expired() {
  const auto now = Clock::now();
  while (!connections_.empty() && connections_.front().end <= now) {
    lose(connections_.front());
    connections_.erase(connections_.begin());
  }
}

/// What it has said does not count: it may be half of what was meant.
void WordListener::lose(Connection& connection) {
  ++lost_;
  connection.fd.reset();
}

void WordListener::inspect(InspectNode& node) const {
  node.field("connections", accepted_.load());
  node.field("strangers", strangers_.load());
  node.field("broken_off", lost_.load());
  node.field("rests", rests_.load());
}

}  // namespace gpuvm
