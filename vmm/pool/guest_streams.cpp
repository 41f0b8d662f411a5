// SPDX-License-Identifier: Apache-2.0
#include "vmm/pool/guest_streams.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "vmm/api_client/api_request.hpp"
#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/pool/event_reader.hpp"

namespace gpuvm::pool {
namespace {

using Time = std::chrono::system_clock::time_point;

constexpr std::chrono::milliseconds kReachTime{5000};
constexpr std::chrono::milliseconds kUpgradeTime{30000};
constexpr unsigned kSwitched = 101;
constexpr std::size_t kConsolePiece = std::size_t{16} << 10;
/// A guest that is paused prints nothing: what comes is what it has printed, all at once.
constexpr int kQuietMs = 50;
/// More than any console keeps: what goes on after these is no guest that is paused.
constexpr int kMostOldPieces = 1024;

Result<UniqueFd> reach(const std::string& socket) {
  auto connection = connect_to_guest(socket, kReachTime);
  if (!connection.fd) {
    return fail_errno(ErrorKind::kHost, "Cannot look at the warm guest at " + socket,
                      connection.error);
  }
  return std::move(connection.fd);
}

/// What the guest printed while it waited comes with the answer, and is nobody's.
Result<UniqueFd> connect_to_console(const std::string& socket) {
  auto console = TRY(reach(socket));
  const auto answer = TRY(upgrade(console, "/v1/console", "gpuvm-console", kUpgradeTime));
  if (answer.status != kSwitched) {
    return refusal(answer, socket);
  }
  std::array<char, kConsolePiece> old;
  pollfd wait{.fd = console.get(), .events = POLLIN, .revents = 0};
  int left = kMostOldPieces;
  while (left-- != 0 && ::poll(&wait, 1, kQuietMs) > 0 &&
         ::recv(console.get(), old.data(), old.size(), MSG_DONTWAIT) > 0) {
  }
  return console;
}

void hear_events(const UniqueFd& connection, Time since, GuestEvents& events) {
  const auto heard = read_lines(connection, "/v1/events?replay=1", {}, [&](std::string_view line) {
    publish_line(line, since, events);
    return true;
  });
  if (!heard) {
    log::debug("The warm guest's events: {}", heard.error().to_string());
  }
}

void hear_console(const UniqueFd& console, const GuestStreams::OnConsole& on_console) {
  std::array<std::byte, kConsolePiece> bytes;
  while (true) {
    const ssize_t count = ::recv(console.get(), bytes.data(), bytes.size(), 0);
    if (count == 0 || (count < 0 && errno != EINTR)) {
      return;
    }
    if (count > 0) {
      on_console(std::span(bytes).first(static_cast<std::size_t>(count)));
    }
  }
}

template <class Work>
std::thread thread_for(const char* name, Work work) {
  return std::thread([name, work = std::move(work)] {
    enter_background_thread(name);
    if (const auto thrown = thrown_by(work)) {
      log::error("The thread {} of a warm guest: {}", name, *thrown);
    }
  });
}

}  // namespace

Result<std::unique_ptr<GuestStreams>> GuestStreams::start(const std::string& socket, Time since,
                                                          GuestEvents& events,
                                                          OnConsole on_console) {
  auto of_events = TRY(reach(socket));
  auto of_console = TRY(connect_to_console(socket));
  std::unique_ptr<GuestStreams> streams(
      new GuestStreams(std::move(of_events), std::move(of_console)));
  try {
    streams->event_thread_ = thread_for("warm-events", [raw = streams.get(), since, &events] {
      hear_events(raw->events_, since, events);
    });
    streams->console_thread_ =
        thread_for("warm-console", [raw = streams.get(), heard = std::move(on_console)] {
          hear_console(raw->console_, heard);
        });
  } catch (const std::system_error& error) {
    ::shutdown(streams->events_.get(), SHUT_RDWR);
    return fail(ErrorKind::kHost, "Cannot start the threads of a warm guest: {} (`ulimit -u`)",
                error.what());
  }
  return streams;
}

void GuestStreams::break_off() const {
  for (const UniqueFd* const stream : {&events_, &console_}) {
    ::shutdown(stream->get(), SHUT_RDWR);
  }
}

void GuestStreams::finish() {
  for (std::thread* const thread : {&event_thread_, &console_thread_}) {
    if (thread->joinable()) {
      thread->join();
    }
  }
}

}  // namespace gpuvm::pool
