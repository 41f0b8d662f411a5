// SPDX-License-Identifier: Apache-2.0
// The host's ends of a console of the guest (terminal, pty, file, socket): opening them. Console
// moves the bytes.
#pragma once

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/config/serial_target.hpp"
#include "vmm/console/file_output.hpp"
#include "vmm/console/terminal_mode.hpp"

namespace gpuvm {

/// A descriptor in non-blocking mode. O_NONBLOCK belongs to the open file, which a shell and our
/// own stderr share with us; so this opens the file anew where it can, and else puts the flags back
/// in its destructor.
class HostStream {
 public:
  HostStream() = default;
  /// fd stays the caller's. Errors: kHost. access: O_RDONLY or O_WRONLY.
  static Result<HostStream> from_inherited(int fd, int access,
                                           std::string_view console = "serial console");
  explicit HostStream(UniqueFd fd) : fd_(std::move(fd)) {}
  HostStream(HostStream&& other) noexcept
      : fd_(std::move(other.fd_)), flags_(std::exchange(other.flags_, -1)) {}
  HostStream& operator=(HostStream&& other) noexcept;
  HostStream(const HostStream&) = delete;
  HostStream& operator=(const HostStream&) = delete;
  ~HostStream() { restore(); }

  int get() const { return fd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  HostStream(UniqueFd fd, int flags) : fd_(std::move(fd)), flags_(flags) {}
  void restore();

  UniqueFd fd_;
  int flags_ = -1;  ///< to be restored; -1: nothing to do
};

/// A file that is removed with this object.
class OwnedPath {
 public:
  OwnedPath() = default;
  explicit OwnedPath(std::string path) : path_(std::move(path)) {}
  OwnedPath(OwnedPath&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  OwnedPath& operator=(OwnedPath&& other) noexcept {
    std::swap(path_, other.path_);
    return *this;
  }
  OwnedPath(const OwnedPath&) = delete;
  OwnedPath& operator=(const OwnedPath&) = delete;
  ~OwnedPath() {
    if (!path_.empty()) {
      ::unlink(path_.c_str());
    }
  }

 private:
  std::string path_;
};

/// What open_backend() leaves behind; destroying it restores and removes what it changed.
struct ConsoleBackend {
  std::string description;  ///< for log and inspect, for instance "/dev/pts/3"
  HostStream input;
  HostStream output;
  UniqueFd listener;  ///< a listening socket whose clients become input and output
  UniqueFd peer;      ///< the terminal's side of a pty: kept open, so that it never hangs up
  OwnedPath socket_file;
  std::unique_ptr<FileOutput> file;  ///< writes what comes through output to a regular file
  bool terminal = false;             ///< input is a user's terminal: the escape key works
  bool flush_at_end = false;         ///< somebody is sure to read what is left at the end of a run
  bool has_size = false;             ///< input is a terminal or a pty
  bool may_wait = true;  ///< whether somebody reads is known, so that output can wait for him
  std::optional<TerminalMode> mode;
};

struct StandardFds {
  int input = 0;
  int output = 1;
};

/// Opens what the target names: standard input and output, a new pty, a file (emptied first) or a
/// UNIX stream listener (a socket file that nobody listens on is replaced). `console`: which one,
/// in messages. `most`: bytes that a file gets in a run. Errors: kConfig where the path cannot be
/// used, kHost otherwise.
Result<ConsoleBackend> open_backend(const SerialTarget& target, const StandardFds& standard,
                                    std::string_view console, std::uint64_t most);

}  // namespace gpuvm
