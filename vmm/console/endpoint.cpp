// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/endpoint.hpp"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

using boost::asio::posix::descriptor_base;
using boost::system::error_code;

/// What a user types while the guest does not listen; more is lost. A terminal is read on all the
/// same, for the escape key.
constexpr std::size_t kTypeAhead = 4096;

/// How long a client waits while this process has no descriptor left for it.
constexpr std::chrono::seconds kUntilNextTry{1};

/// How long a byte waits for the rest of its line: nobody sees it, and a line of 80 bytes at the
/// rate of a guest that prints as fast as it can takes less.
constexpr std::chrono::milliseconds kHoldTime{4};

}  // namespace

void Console::Endpoint::start() {
  if (backend_.listener) {
    listener_.assign(backend_.listener.release());
    wait_client();
  } else {
    attach(backend_.input.get(), backend_.output.get());
  }
}

void Console::Endpoint::close() {
  closed_ = true;
  output_.push_held();
  output_.discard();
  error_code ignored;
  if (input_.is_open()) {
    input_.release();
  }
  if (writable_.is_open()) {
    writable_.release();
  }
  listener_.close(ignored);
  next_try_.cancel();
  held_.cancel();
  backend_ = ConsoleBackend{};
  client_input_ = HostStream{};
  client_output_ = HostStream{};
}

void Console::Endpoint::write(std::span<const std::byte> bytes) {
  const auto progress = output_.write(bytes);
  if (progress != EndpointOutput::Progress::kDone) {
    boost::asio::post(control_, [self = shared_from_this(), progress] { self->handle(progress); });
  }
}

std::size_t Console::Endpoint::room() const {
  return backend_.may_wait ? output_.room() : std::numeric_limits<std::size_t>::max();
}

void Console::Endpoint::tell_room() {
  if (callbacks_.output_ready) {
    callbacks_.output_ready();
  }
}

/// Of a pty nothing tells when it changes: it is asked whenever something is typed there.
void Console::Endpoint::tell_size() {
  winsize size{};
  if (closed_ || !backend_.has_size || !callbacks_.resized || !backend_.input ||
      ::ioctl(backend_.input.get(), TIOCGWINSZ, &size) != 0) {
    return;
  }
  if (size.ws_col != size_.ws_col || size.ws_row != size_.ws_row) {
    size_ = size;
    callbacks_.resized(size.ws_col, size.ws_row);
  }
}

void Console::Endpoint::resume() {
  boost::asio::post(control_, [self = shared_from_this()] {
    if (!self->closed_) {
      self->deliver();
      self->wait_readable();
    }
  });
}

void Console::Endpoint::flush(std::chrono::steady_clock::time_point deadline) {
  if (backend_.flush_at_end || client_output_) {
    output_.flush(deadline);
  } else {
    output_.push_held();  // as far as it goes without waiting
  }
}

void Console::Endpoint::inspect(InspectNode& node) const {
  const auto counts = output_.counts();
  node.field("written", counts.written);
  node.field("dropped", counts.dropped);
  node.field("waiting", counts.waiting);
}

void Console::Endpoint::attach(int input, int output) {
  error_code error;
  if (input >= 0) {
    input_.assign(input, error);
  }
  if (output >= 0 && !error) {
    writable_.assign(output, error);
  }
  if (error) {
    log::warn("The {} on {} cannot be waited for: {}", name_, description(), error.message());
  }
  if (output >= 0) {
    output_.attach(output);
  }
  wait_readable();
  handle(output_.push_waiting());
}

void Console::Endpoint::wait_client() {
  listener_.async_wait(descriptor_base::wait_read, [self = shared_from_this()](error_code error) {
    if (!error && !self->closed_) {
      self->accept_client();
    }
  });
}

void Console::Endpoint::accept_client() {
  UniqueFd client(
      ::accept4(listener_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  UniqueFd copy(client ? ::fcntl(client.get(), F_DUPFD_CLOEXEC, 0) : -1);
  if (!copy) {
    const bool has_left = errno == EAGAIN || errno == ECONNABORTED || errno == EINTR;
    return has_left ? wait_client() : wait_before_client();
  }
  client_input_ = HostStream(std::move(client));
  client_output_ = HostStream(std::move(copy));
  attach(client_input_.get(), client_output_.get());
}

/// Without a descriptor for it the client stays in the listener's queue, and who waits for the
/// listener finds it ready at once, again and again.
void Console::Endpoint::wait_before_client() {
  next_try_.expires_after(kUntilNextTry);
  next_try_.async_wait([self = shared_from_this()](error_code error) {
    if (!error && !self->closed_) {
      self->wait_client();
    }
  });
}

/// A socket waits for its next client; any other place is done with.
void Console::Endpoint::lose_reader() {
  if (!listener_.is_open()) {
    log::warn("The {} on {} cannot be written any more; its output is dropped", name_,
              description());
    output_.discard();
    tell_room();
    return;
  }
  if (!client_input_) {
    return;  // both directions noticed
  }
  output_.detach();
  tell_room();
  input_.release();
  writable_.release();
  client_input_ = HostStream{};
  client_output_ = HostStream{};
  wait_client();
}

void Console::Endpoint::wait_readable() {
  if (closed_ || reading_ || !input_.is_open() || (!pending_.empty() && !backend_.terminal)) {
    return;
  }
  reading_ = true;
  input_.async_wait(descriptor_base::wait_read, [self = shared_from_this()](error_code error) {
    self->reading_ = false;
    if (self->closed_ || !self->input_.is_open()) {
      return;
    }
    // Regular files cannot be waited for; they are always readable. A wait that ended because its
    // client was lost finds the next client's descriptor, or none.
    if (!error || error == boost::asio::error::operation_not_supported) {
      self->read_input();
    }
    self->wait_readable();
  });
}

void Console::Endpoint::read_input() {
  std::array<std::byte, 4096> buffer;
  const ssize_t count = ::read(input_.native_handle(), buffer.data(), buffer.size());
  if (count > 0) {
    tell_size();
    type(std::span(buffer).first(static_cast<std::size_t>(count)));
  } else if (count == 0 || (errno != EAGAIN && errno != EINTR)) {
    if (client_input_) {
      lose_reader();
    } else {
      input_.release();  // the end of a piped input just ends the input
    }
  }
}

void Console::Endpoint::type(std::span<const std::byte> bytes) {
  bool escaped = false;
  if (escape_key_ != 0) {
    const auto at = std::find(bytes.begin(), bytes.end(), std::byte{escape_key_});
    escaped = at != bytes.end();
    bytes = bytes.first(static_cast<std::size_t>(at - bytes.begin()));
  }
  // Other places are not read at all while something waits, so nothing of theirs is cut off here.
  const std::size_t room = kTypeAhead - std::min(kTypeAhead, pending_.size());
  bytes = bytes.first(std::min(bytes.size(), room));
  pending_.insert(pending_.end(), bytes.begin(), bytes.end());
  deliver();
  if (escaped && callbacks_.escape) {
    callbacks_.escape();
  }
}

void Console::Endpoint::deliver() {
  if (pending_.empty()) {
    return;
  }
  const std::size_t taken = callbacks_.input ? callbacks_.input(pending_) : pending_.size();
  const auto end = static_cast<std::ptrdiff_t>(std::min(taken, pending_.size()));
  pending_.erase(pending_.begin(), pending_.begin() + end);
}

void Console::Endpoint::wait_writable() {
  writable_.async_wait(descriptor_base::wait_write, [self = shared_from_this()](error_code) {
    // Whatever ended the wait, one waiter is registered with the output: settle it.
    if (!self->closed_) {
      self->handle(self->output_.push_waiting());
      self->tell_room();
    }
  });
}

void Console::Endpoint::wait_for_line() {
  held_.expires_after(kHoldTime);
  held_.async_wait([self = shared_from_this()](error_code) {
    // Whatever ended the wait, one holder is registered with the output: settle it.
    if (!self->closed_) {
      self->handle(self->output_.push_held());
      self->tell_room();
    }
  });
}

void Console::Endpoint::handle(EndpointOutput::Progress progress) {
  if (closed_ || progress == EndpointOutput::Progress::kDone) {
    return;
  }
  if (progress == EndpointOutput::Progress::kHeld) {
    wait_for_line();
    return;
  }
  if (progress == EndpointOutput::Progress::kLost) {
    if (!output_.attached()) {  // else this is late news of a client that has been replaced
      lose_reader();
    }
  } else if (writable_.is_open()) {
    wait_writable();
  } else {
    output_.push_waiting();  // lost meanwhile: settles that nobody waits
  }
}

}  // namespace gpuvm
