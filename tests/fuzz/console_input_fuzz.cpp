// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the host's side of a console, between a user who types, a reader who is slow or
// leaves, and a guest that takes as little as it likes. Byte 0: bit 0 a terminal (else a socket),
// bits 1 to 3 the size of the buffer. Then steps: the guest prints, the user types, the reader
// reads, the guest has room, the control thread works. What must hold: what is typed arrives once
// and in order; every byte of output was written, was dropped, or waits; an end.
#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <charconv>
#include <string>
#include <vector>

#include "tests/fuzz/input.hpp"
#include "tests/fuzz/quiet.hpp"
#include "vmm/base/asio.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/console/console.hpp"

namespace gpuvm {
namespace {

using fuzz::Input;
using fuzz::must;

constexpr unsigned kMostSteps = 64;

/// The two ends of what the console is on.
struct Ends {
  explicit Ends(bool is_terminal) {
    int fds[2] = {-1, -1};
    if (is_terminal) {
      termios raw{};
      ::cfmakeraw(&raw);
      must(::openpty(&fds[0], &fds[1], nullptr, &raw, nullptr) == 0, "there is a terminal");
    } else {
      must(::socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "there is a socket");
    }
    must(::fcntl(fds[0], F_SETFL, O_RDWR | O_NONBLOCK) == 0, "a user does not wait");
    user = UniqueFd(fds[0]);
    console = UniqueFd(fds[1]);
  }
  UniqueFd user;
  UniqueFd console;
};

class ConsoleUser {
 public:
  explicit ConsoleUser(std::uint8_t how) : is_terminal_((how & 1) != 0), ends_(is_terminal_) {
    ConsoleOptions options;
    options.serial = {{SerialTarget::Kind::kStdio}};
    options.output_buffer = std::size_t{16} << (how >> 1 & 7);
    options.standard_input = ends_.console.get();
    options.standard_output = ends_.console.get();
    ConsoleCallbacks callbacks;
    callbacks.input = [this](std::span<const std::byte> bytes) { return take(bytes); };
    callbacks.escape = [this] { ++escapes_; };
    callbacks.output_ready = [] {};
    console_ = Console::create(control_, options, callbacks).value();
  }

  void print(std::span<const std::byte> bytes) {
    console_->write(bytes);
    printed_ += bytes.size();
    check_output();
  }
  void print_some(std::span<const std::byte> bytes) {
    const auto taken = console_->write_some(bytes);
    must(taken <= bytes.size(), "no more is taken than there is");
    printed_ += taken;
    check_output();
  }
  void type(std::span<const std::byte> bytes) {
    if (ends_.user && !bytes.empty()) {
      const ssize_t sent = ::write(ends_.user.get(), bytes.data(), bytes.size());
      const auto count = static_cast<std::ptrdiff_t>(std::max<ssize_t>(sent, 0));
      typed_.insert(typed_.end(), bytes.begin(), bytes.begin() + count);
    }
  }
  void read() {
    std::array<std::byte, 256> bytes{};
    if (ends_.user) {
      static_cast<void>(!::read(ends_.user.get(), bytes.data(), bytes.size()));
    }
  }
  void leave() { ends_.user.reset(); }
  void give_room(std::size_t room) {
    room_ = room;
    console_->resume_input();
  }
  void work() {
    control_.restart();
    control_.poll();
    check_output();
  }
  /// All that was typed arrives, where nobody left and no key is the monitor's.
  void finish() {
    room_ = typed_.size();
    for (unsigned i = 0; i < kMostSteps; ++i) {
      console_->resume_input();
      work();
    }
    must(is_terminal_ || !ends_.user || arrived_ == typed_.size(), "what is typed arrives");
    must(is_terminal_ || escapes_ == 0, "only a terminal has a key for the monitor");
    console_->flush(std::chrono::milliseconds(0));
  }

 private:
  std::size_t take(std::span<const std::byte> bytes) {
    must(!bytes.empty(), "nothing is no input");
    const auto taken = std::min(bytes.size(), room_);
    room_ -= taken;
    if (!is_terminal_) {
      must(arrived_ + taken <= typed_.size() &&
               std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken),
                          typed_.begin() + static_cast<std::ptrdiff_t>(arrived_)),
           "what is typed arrives in order");
    }
    arrived_ += taken;
    must(arrived_ <= typed_.size(), "nothing arrives that was not typed");
    return taken;
  }
  void check_output() {
    InspectNode node;
    console_->inspect(node);
    const auto& place = node.child(console_->places().at(0));
    const auto number = [&place](std::string_view key) {
      const std::string text(place.get(key));
      std::uint64_t value = 0;
      std::from_chars(text.data(), text.data() + text.size(), value);
      return value;
    };
    must(number("written") + number("dropped") + number("waiting") == printed_,
         "every byte of output is somewhere");
  }

  const bool is_terminal_;
  Ends ends_;
  boost::asio::io_context control_;
  std::vector<std::byte> typed_;
  std::size_t arrived_ = 0;
  std::size_t room_ = 0;
  std::uint64_t printed_ = 0;
  unsigned escapes_ = 0;
  std::unique_ptr<Console> console_;
};

void run(Input input) {
  ConsoleUser user(input.byte());
  for (unsigned step = 0; step < kMostSteps && !input.empty(); ++step) {
    const auto what = input.byte();
    switch (what % 8) {
      case 0:
        user.print(input.rest(what >> 2));
        break;
      case 1:
        user.print_some(input.rest(what >> 2));
        break;
      case 2:
      case 3:
        user.type(input.rest(what >> 2));
        break;
      case 4:
        user.read();
        break;
      case 5:
        user.give_room(what >> 3);
        break;
      case 6:
        if (what == 0xfe) {
          user.leave();
        }
        break;
      default:
        user.work();
    }
  }
  user.finish();
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::be_quiet();
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
