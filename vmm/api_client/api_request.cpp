// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/api_request.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "vmm/base/text.hpp"

namespace gpuvm {
namespace {

using ApiClock = std::chrono::steady_clock;
using Deadline = std::optional<ApiClock::time_point>;  ///< nothing: none

constexpr unsigned kOk = 200;
constexpr unsigned kSwitchingProtocols = 101;
constexpr unsigned kConflict = 409;
constexpr std::uint64_t kMostErrorText = 65536;
constexpr std::size_t kPiece = 65536;

Deadline in(std::chrono::milliseconds limit) {
  return ApiClock::now() + limit;
}

/// False: not before the deadline.
bool wait_for(int fd, short events, const Deadline& deadline) {
  for (;;) {
    int left = -1;
    if (deadline) {
      const auto rest = std::chrono::ceil<std::chrono::milliseconds>(*deadline - ApiClock::now());
      left = static_cast<int>(std::clamp<std::int64_t>(rest.count(), 0, 1 << 30));
    }
    pollfd waiting{.fd = fd, .events = events, .revents = 0};
    const int got = ::poll(&waiting, 1, left);
    if (got > 0 || (got < 0 && errno != EINTR)) {
      return true;  // what is wrong, the next call says
    }
    if (got == 0) {
      return false;
    }
  }
}

Error too_late() {
  return fail(ErrorKind::kHost,
              "The guest does not answer in time at its control socket: its gpuvm hangs, or this "
              "host is very busy");
}

Status send_all(const UniqueFd& connection, std::string_view text, const Deadline& deadline) {
  while (!text.empty()) {
    const ssize_t sent =
        ::send(connection.get(), text.data(), text.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) {
      text.remove_prefix(static_cast<std::size_t>(sent));
    } else if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) {
      return {};  // an answer may be there nevertheless: too many connections
    } else if (sent < 0 && errno != EAGAIN && errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "Cannot write to the control socket");
    } else if (!wait_for(connection.get(), POLLOUT, deadline)) {
      return too_late();
    }
  }
  return {};
}

/// What is there, at least a byte; "" at the end. Nothing: not before the deadline.
Result<std::optional<std::string>> receive(const UniqueFd& connection, const Deadline& deadline) {
  std::string piece(kPiece, '\0');
  for (;;) {
    if (!wait_for(connection.get(), POLLIN, deadline)) {
      return std::optional<std::string>();
    }
    const ssize_t got = ::recv(connection.get(), piece.data(), piece.size(), MSG_DONTWAIT);
    if (got >= 0 || errno == ECONNRESET) {
      piece.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
      return std::optional(std::move(piece));
    }
    if (errno != EAGAIN && errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "Cannot read from the control socket");
    }
  }
}

/// Gives the reader what there is. False: the deadline is over. At the end of the connection the
/// response is complete, or it is an error.
Result<bool> feed(const UniqueFd& connection, ResponseReader& reader, const Deadline& deadline) {
  const auto piece = TRY(receive(connection, deadline));
  if (!piece) {
    return false;
  }
  TRY(piece->empty() ? reader.end() : reader.add(*piece));
  return true;
}

std::string request_text(std::string_view method, std::string_view target,
                         std::string_view connection) {
  return fmt::format(
      "{} {} HTTP/1.1\r\nHost: gpuvm\r\nUser-Agent: gpuvm\r\nConnection: {}\r\n{}\r\n", method,
      target, connection, method == "GET" ? "" : "Content-Length: 0\r\n");
}

/// The rest of an answer that says why not.
Result<ApiAnswer> rest_of(const UniqueFd& connection, ResponseReader& reader,
                          const Deadline& deadline) {
  std::string body = reader.take_body();
  while (!reader.is_done() && body.size() < kMostErrorText) {
    if (!TRY(feed(connection, reader, deadline))) {
      return too_late();
    }
    body += reader.take_body();
  }
  body.resize(std::min<std::size_t>(body.size(), kMostErrorText));
  return ApiAnswer{.status = reader.status(), .body = std::move(body)};
}

/// Lines out of pieces.
class LineCutter {
 public:
  LineCutter(std::size_t longest, const std::function<bool(std::string_view)>& on_line)
      : longest_(longest), on_line_(on_line) {}

  /// False: no more lines are wanted. Errors: kHost.
  Result<bool> add(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::size_t end = bytes.find('\n');
      line_ += bytes.substr(0, end);
      if (line_.size() > longest_) {
        return fail(ErrorKind::kHost,
                    "The guest's control socket sent a line of more than {} bytes", longest_);
      }
      if (end == std::string_view::npos) {
        return true;
      }
      bytes.remove_prefix(end + 1);
      if (!on_line_(line_)) {
        return false;
      }
      line_.clear();
    }
    return true;
  }

 private:
  std::size_t longest_;
  const std::function<bool(std::string_view)>& on_line_;
  std::string line_;
};

}  // namespace

Status send_request(const UniqueFd& connection, std::string_view method, std::string_view target,
                    std::chrono::milliseconds limit) {
  return send_all(connection, request_text(method, target, "close"), in(limit));
}

Result<ApiAnswer> receive_answer(const UniqueFd& connection, const ApiLimits& limits) {
  const Deadline deadline = in(limits.time);
  ResponseReader reader(limits.body);
  while (!reader.is_done()) {
    if (!TRY(feed(connection, reader, deadline))) {
      return too_late();
    }
  }
  return ApiAnswer{.status = reader.status(), .body = reader.take_body()};
}

Result<ApiAnswer> ask(const UniqueFd& connection, std::string_view method, std::string_view target,
                      const ApiLimits& limits) {
  TRY(send_request(connection, method, target, limits.time));
  return receive_answer(connection, limits);
}

Result<ApiAnswer> read_lines(const UniqueFd& connection, std::string_view target,
                             const LineOptions& options,
                             const std::function<bool(std::string_view)>& on_line) {
  const Deadline first = in(options.first_answer);
  TRY(send_request(connection, "GET", target, options.first_answer));
  ResponseReader reader({});
  while (!reader.has_header()) {
    if (!TRY(feed(connection, reader, first))) {
      return too_late();
    }
  }
  if (reader.status() != kOk) {
    return rest_of(connection, reader, first);
  }
  LineCutter lines(options.longest_line, on_line);
  bool goes_on = TRY(lines.add(reader.take_body()));
  while (goes_on && !reader.is_done()) {
    if (!TRY(feed(connection, reader, options.quiet ? in(*options.quiet) : Deadline()))) {
      break;
    }
    goes_on = TRY(lines.add(reader.take_body()));
  }
  return ApiAnswer{.status = kOk};
}

Result<ApiAnswer> upgrade(const UniqueFd& connection, std::string_view target,
                          std::string_view protocol, std::chrono::milliseconds limit) {
  const Deadline deadline = in(limit);
  const std::string how = fmt::format("Upgrade\r\nUpgrade: {}", protocol);
  TRY(send_all(connection, request_text("GET", target, how), deadline));
  ResponseReader reader({});
  while (!reader.has_header()) {
    if (!TRY(feed(connection, reader, deadline))) {
      return too_late();
    }
  }
  if (reader.status() != kSwitchingProtocols) {
    return rest_of(connection, reader, deadline);
  }
  return ApiAnswer{.status = kSwitchingProtocols, .body = reader.take_rest()};
}

Error refusal(const ApiAnswer& answer, std::string_view guest) {
  const auto json = nlohmann::json::parse(answer.body, nullptr, false);
  std::string text;
  if (json.is_object() && json.contains("error") && json["error"].is_string()) {
    text = terminal_text(json["error"].get<std::string>());
    std::replace(text.begin(), text.end(), '\n', ' ');
  }
  constexpr unsigned kFirstError = 400;
  if (text.empty()) {
    text = fmt::format("{} (HTTP status {})",
                       answer.status < kFirstError ? "answered what gpuvm does not" : "refused",
                       answer.status);
  }
  return fail(answer.status == kConflict ? ErrorKind::kWrongState : ErrorKind::kHost, "{}: {}",
              guest, text);
}

}  // namespace gpuvm
