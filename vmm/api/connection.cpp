// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/connection.hpp"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace gpuvm {
namespace {

using boost::asio::posix::descriptor_base;
using boost::system::error_code;

/// Of a client that goes on sending after the answer that ends its connection.
constexpr std::size_t kMostLingered = 256 * 1024;

}  // namespace

ApiConnection::ApiConnection(boost::asio::io_context& control, UniqueFd fd,
                             const ApiServerLimits& limits, Handlers handlers)
    : stream_(control), timer_(control), limits_(limits), handlers_(std::move(handlers)) {
  error_code error;
  stream_.assign(fd.get(), error);
  if (error) {
    mode_ = Mode::kClosed;  // no memory in the kernel; the client sees its connection end
  } else {
    fd.release();
  }
}

ApiConnection::~ApiConnection() = default;  // closes

void ApiConnection::start() {
  limit_time(limits_.request);
  wait_readable();
}

void ApiConnection::close() {
  if (mode_ == Mode::kClosed) {
    return;
  }
  mode_ = Mode::kClosed;
  ++timer_turn_;
  timer_.cancel();
  error_code ignored;
  stream_.close(ignored);
  if (handlers_.on_close) {
    handlers_.on_close(shared_from_this());
  }
}

// What comes from the client.

void ApiConnection::wait_readable() {
  const bool waits_for_room = mode_ == Mode::kConsole && !pending_typed_.empty();
  const bool has_more_to_do = mode_ == Mode::kRequest && !needs_more_;
  if (is_reading_ || has_input_end_ || waits_for_room || has_more_to_do || mode_ == Mode::kClosed ||
      mode_ == Mode::kAnswer) {
    return;
  }
  is_reading_ = true;
  stream_.async_wait(descriptor_base::wait_read, [self = shared_from_this()](error_code error) {
    self->is_reading_ = false;
    if (!error && !self->is_closed()) {
      self->read();
      self->wait_readable();
    }
  });
}

void ApiConnection::read() {
  if (mode_ == Mode::kAnswer) {
    return;  // an answer was begun since the wait was
  }
  std::array<std::byte, 16384> buffer;
  const ssize_t count = ::recv(stream_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
  if (count > 0) {
    take(std::span(buffer).first(static_cast<std::size_t>(count)));
  } else if (count == 0) {
    end_of_input();
  } else if (errno != EAGAIN && errno != EINTR) {
    close();
  }
}

void ApiConnection::take(std::span<const std::byte> bytes) {
  switch (mode_) {
    case Mode::kRequest:
      if (reader_.is_idle()) {
        limit_time(limits_.request);
      }
      reader_.add(bytes);
      next_request();
      break;
    case Mode::kConsole:
      type(bytes);
      break;
    case Mode::kLinger:
      lingered_ += bytes.size();
      if (lingered_ > kMostLingered) {
        close();
      }
      break;
    case Mode::kStream:  // there is nothing to say
    case Mode::kAnswer:
    case Mode::kClosed:
      break;
  }
}

/// One who looks at a stream may have shut the other direction down, as nc(1) does at the end of
/// its input.
void ApiConnection::end_of_input() {
  has_input_end_ = true;
  if (is_stream()) {
    wait_for_hangup();
  } else {
    close();
  }
}

/// Otherwise a guest that prints nothing would keep a viewer who has left.
void ApiConnection::wait_for_hangup() {
  stream_.async_wait(descriptor_base::wait_error, [self = shared_from_this()](error_code error) {
    if (!error && !self->is_closed()) {
      self->close();
    }
  });
}

void ApiConnection::next_request() {
  if (mode_ != Mode::kRequest) {
    return;
  }
  switch (reader_.next()) {
    case RequestReader::Progress::kMore:
      needs_more_ = true;
      return;
    case RequestReader::Progress::kWrong:
      mode_ = Mode::kAnswer;
      keeps_alive_ = false;
      respond(reader_.error());
      return;
    case RequestReader::Progress::kRequest:
      mode_ = Mode::kAnswer;
      ++timer_turn_;  // what was asked for takes the time that it takes
      timer_.cancel();
      keeps_alive_ = reader_.request().keep_alive;
      in_chunks_ = reader_.request().is_http_1_1;
      handlers_.on_request(shared_from_this(), reader_.request());
      return;
  }
}

void ApiConnection::type(std::span<const std::byte> bytes) {
  pending_typed_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  deliver_typed();
}

void ApiConnection::deliver_typed() {
  if (!pending_typed_.empty() && typed_) {
    pending_typed_.erase(0, typed_(std::as_bytes(std::span(pending_typed_))));
  }
}

void ApiConnection::resume_input() {
  if (mode_ == Mode::kConsole) {
    deliver_typed();
    wait_readable();
  }
}

// What goes to the client.

void ApiConnection::respond(const ApiResponse& response) {
  if (mode_ != Mode::kAnswer || has_answer_) {
    return;
  }
  has_answer_ = true;
  limit_time(limits_.request);
  queue(to_text(response, !keeps_alive_));
}

void ApiConnection::begin_stream(std::string_view content_type) {
  if (mode_ == Mode::kAnswer && !has_answer_) {
    mode_ = Mode::kStream;
    queue(stream_head(content_type, in_chunks_));
    wait_readable();  // notices that it leaves
  }
}

void ApiConnection::send_piece(std::string_view text) {
  if (mode_ == Mode::kStream && !text.empty()) {
    queue(in_chunks_ ? fmt::format("{:x}\r\n{}\r\n", text.size(), text) : std::string(text));
  }
}

void ApiConnection::begin_console(Typed typed) {
  if (mode_ != Mode::kAnswer || has_answer_) {
    return;
  }
  mode_ = Mode::kConsole;
  typed_ = std::move(typed);
  queue(console_head());
  const std::string already = reader_.take_rest();
  if (mode_ == Mode::kConsole && !already.empty()) {
    type(std::as_bytes(std::span(already)));
  }
  wait_readable();
}

void ApiConnection::send(std::span<const std::byte> bytes) {
  if (mode_ != Mode::kConsole) {
    return;
  }
  const std::size_t room =
      gap_ > 0 ? 0 : limits_.stream_waiting - std::min(limits_.stream_waiting, waiting());
  const auto taken = bytes.first(std::min(room, bytes.size()));
  if (taken.size() < bytes.size()) {
    note_slow();
    gap_ += bytes.size() - taken.size();
  }
  if (!taken.empty()) {
    queue({reinterpret_cast<const char*>(taken.data()), taken.size()});
  }
}

void ApiConnection::miss(std::uint64_t bytes) {
  if (mode_ == Mode::kConsole) {
    note_slow();
    gap_ += bytes;
    if (waiting() == 0) {
      tell_gap();
    }
  }
}

/// What waited is read: the console goes on behind a line that says what is not there.
void ApiConnection::tell_gap() {
  if (mode_ == Mode::kConsole && gap_ > 0) {
    queue(console_gap(std::exchange(gap_, 0)));
  }
}

/// Once for each gap.
void ApiConnection::note_slow() {
  if (gap_ == 0 && handlers_.on_slow) {
    handlers_.on_slow();
  }
}

/// Written at once where the client takes it.
void ApiConnection::queue(std::string_view bytes) {
  output_.append(bytes);
  if (!is_writing_) {
    flush();
  }
  if (mode_ == Mode::kStream && waiting() > limits_.stream_waiting) {
    note_slow();
    close();
  }
}

void ApiConnection::flush() {
  while (mode_ != Mode::kClosed && written_ < output_.size()) {
    const ssize_t count = ::send(stream_.native_handle(), output_.data() + written_,
                                 output_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
      written_ += static_cast<std::size_t>(count);
    } else if (count < 0 && errno == EINTR) {
      continue;
    } else if (count < 0 && errno == EAGAIN) {
      output_.erase(0, std::exchange(written_, 0));
      wait_writable();
      return;
    } else {
      close();
      return;
    }
  }
  output_.clear();
  written_ = 0;
  drained();
}

void ApiConnection::wait_writable() {
  is_writing_ = true;
  stream_.async_wait(descriptor_base::wait_write, [self = shared_from_this()](error_code error) {
    self->is_writing_ = false;
    if (!error && !self->is_closed()) {
      self->flush();
    }
  });
}

/// Everything is written. A next request that has come already waits for its turn in the loop.
void ApiConnection::drained() {
  tell_gap();
  if (mode_ != Mode::kAnswer || !has_answer_) {
    return;
  }
  has_answer_ = false;
  if (!keeps_alive_) {
    linger();
    return;
  }
  mode_ = Mode::kRequest;
  needs_more_ = false;  // what is there is looked at first: a client may send faster than it reads
  limit_time(limits_.request);
  boost::asio::post(stream_.get_executor(), [self = shared_from_this()] {
    self->next_request();
    self->wait_readable();
  });
}

/// A client that still sends would see an error in place of the answer, were its socket closed at
/// once.
void ApiConnection::linger() {
  mode_ = Mode::kLinger;
  ::shutdown(stream_.native_handle(), SHUT_WR);
  limit_time(limits_.linger);
  wait_readable();
}

void ApiConnection::limit_time(std::chrono::milliseconds limit) {
  timer_.expires_after(limit);
  timer_.async_wait([self = shared_from_this(), turn = ++timer_turn_](error_code error) {
    if (!error && turn == self->timer_turn_) {
      self->close();
    }
  });
}

void ApiConnection::finish(std::chrono::steady_clock::time_point deadline) {
  if (mode_ == Mode::kStream && in_chunks_) {
    output_ += "0\r\n\r\n";
  }
  if (mode_ == Mode::kConsole && gap_ > 0) {
    output_ += console_gap(std::exchange(gap_, 0));
  }
  while (!is_closed() && written_ < output_.size()) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd writable{.fd = stream_.native_handle(), .events = POLLOUT, .revents = 0};
    if (left.count() < 0 || ::poll(&writable, 1, static_cast<int>(left.count())) <= 0) {
      break;
    }
    const ssize_t count = ::send(stream_.native_handle(), output_.data() + written_,
                                 output_.size() - written_, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count <= 0) {
      break;
    }
    written_ += static_cast<std::size_t>(count);
  }
  close();
}

}  // namespace gpuvm
