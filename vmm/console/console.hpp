// SPDX-License-Identifier: Apache-2.0
// Console: the host side of a console of the guest, its serial or its virtio one, in several places
// at once (`[console]`). What the guest prints goes to all of them; what any of them types goes to
// the guest.
//
// Output is written by the vCPU thread itself while the place takes it (a file, which never says
// that it would wait, behind a pipe and a thread), else it waits in a bounded buffer that the
// control thread empties; a reader that stays behind loses the oldest bytes, which
// are counted. A pty or socket without a reader keeps the last output for who comes later. Who can
// wait with his output (write_some()) loses nothing to a reader that is there and slow.
//
// Missing: sending a break, more than one client of a socket at a time (the next one waits).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "devices/platform/console_sink.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"
#include "vmm/config/serial_target.hpp"

namespace boost::asio {
class io_context;
}

namespace gpuvm {

class SizeWatch;

struct ConsoleOptions {
  std::string name = "serial console";  ///< in messages
  /// The places, none twice; nothing for no console.
  std::vector<SerialTarget> serial;
  /// On a terminal, this control character presses the power button (Ctrl-]); 0 for none.
  std::uint8_t escape_key = 0x1d;
  std::size_t output_buffer = 1_MiB;    ///< bytes that wait for each place's reader
  std::uint64_t most_of_file = 64_MiB;  ///< bytes that a file gets in a run
  int standard_input = 0;
  int standard_output = 1;
};

/// Called on the control thread.
struct ConsoleCallbacks {
  /// Takes what was typed and returns how many bytes fitted; after less than all, resume_input()
  /// must follow once there is room.
  std::function<std::size_t(std::span<const std::byte>)> input;
  /// The escape key was typed.
  std::function<void()> escape;
  /// write_some() may take more again; may be empty.
  std::function<void()> output_ready = {};
  /// The terminal has this size, in characters; at the beginning, and when it changes. May be
  /// empty.
  std::function<void(std::uint16_t columns, std::uint16_t rows)> resized = {};
};

class Console : public ConsoleSink, public Inspectable {
 public:
  /// Opens the places; a terminal is in raw mode from here to the destructor. SIGPIPE is ignored
  /// from here on, if it was not handled: a reader that leaves must not end the guest. `control`
  /// must outlive the console; it need not run yet.
  /// Errors: kConfig and kHost, naming the place.
  static Result<std::unique_ptr<Console>> create(boost::asio::io_context& control,
                                                 const ConsoleOptions& options,
                                                 const ConsoleCallbacks& callbacks);
  /// Restores the terminal and removes the socket. On the control thread or with none running; no
  /// vCPU may write any more. Flush before, where the end of the output matters.
  ~Console() override;
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  void write(std::span<const std::byte> bytes) override;
  /// Takes from the front what no reader loses anything for, and returns how much. After less than
  /// all, output_ready follows. Any thread.
  std::size_t write_some(std::span<const std::byte> bytes);
  /// The guest has room for input again. Any thread; returns at once.
  void resume_input();
  /// Writes what waits for stdio, files and connected sockets, for at most this long in all. On the
  /// control thread, once the guest has stopped.
  void flush(std::chrono::milliseconds limit);
  /// Where the console is: "/dev/pts/3", a path, "standard input and output".
  std::vector<std::string> places() const;
  void inspect(InspectNode& node) const override;

 private:
  class Endpoint;
  explicit Console(std::vector<std::shared_ptr<Endpoint>> endpoints);

  std::vector<std::shared_ptr<Endpoint>> endpoints_;
  std::shared_ptr<SizeWatch> size_watch_;  ///< null where nobody asks for the size
};

}  // namespace gpuvm
