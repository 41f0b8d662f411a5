// SPDX-License-Identifier: Apache-2.0
#include "vmm/console/backend.hpp"

#include <fcntl.h>
#include <pty.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/output_file.hpp"

namespace gpuvm {

namespace {

/// A process in the background would be stopped for touching the terminal's input.
bool in_foreground(int terminal) {
  const pid_t group = ::tcgetpgrp(terminal);
  return group < 0 || group == ::getpgrp();
}

Result<ConsoleBackend> open_stdio(const StandardFds& standard, std::string_view console) {
  ConsoleBackend backend;
  backend.description = "standard input and output";
  backend.flush_at_end = true;
  backend.output = TRY(HostStream::from_inherited(standard.output, O_WRONLY, console));
  backend.terminal = ::isatty(standard.input) == 1;
  if (backend.terminal && !in_foreground(standard.input)) {
    log::info("Running in the background: the {} shows output only", console);
    backend.terminal = false;
    return backend;
  }
  if (::fcntl(standard.input, F_GETFD) < 0) {
    return backend;  // started without a standard input
  }
  backend.input = TRY(HostStream::from_inherited(standard.input, O_RDONLY, console));
  if (backend.terminal) {
    backend.has_size = true;
    backend.mode = TerminalMode::make_raw(standard.input);
  }
  return backend;
}

Result<ConsoleBackend> open_pty(std::string_view console) {
  termios raw{};
  ::cfmakeraw(&raw);
  raw.c_cflag |= CREAD;
  ::cfsetspeed(&raw, B115200);
  int master = -1;
  int slave = -1;
  if (::openpty(&master, &slave, nullptr, &raw, nullptr) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot open a pseudoterminal for the {}", console));
  }
  ConsoleBackend backend;
  backend.peer = UniqueFd(slave);
  UniqueFd owned(master);
  ::fcntl(master, F_SETFD, FD_CLOEXEC);
  ::fcntl(slave, F_SETFD, FD_CLOEXEC);
  if (::fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot use a pseudoterminal for the {}", console));
  }
  std::array<char, 64> path{};
  if (::ttyname_r(slave, path.data(), path.size()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot find the path of the console's pseudoterminal");
  }
  backend.description = path.data();
  backend.has_size = true;
  backend.may_wait = false;  // our own descriptor of its other side hides whether there is a reader
  UniqueFd second(::fcntl(master, F_DUPFD_CLOEXEC, 0));
  if (!second) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot use a pseudoterminal for the {}", console));
  }
  backend.input = HostStream(std::move(owned));
  backend.output = HostStream(std::move(second));
  return backend;
}

/// A regular file waits for its file system, and has a limit; a FIFO or a device has neither.
Result<ConsoleBackend> open_file(const std::string& path, std::string_view console,
                                 std::uint64_t most) {
  UniqueFd fd = TRY_CONTEXT(open_output(path, {.start = OutputRules::Start::kEmpty,
                                               .nonblocking = true,
                                               .kind = ErrorKind::kConfig}),
                            fmt::format("The {}'s file", console));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) {
    return fail_errno(ErrorKind::kConfig,
                      fmt::format("Cannot examine the {}'s file {}", console, path));
  }
  ConsoleBackend backend;
  backend.description = path;
  if (S_ISREG(status.st_mode)) {
    backend.flush_at_end = true;
    backend.file = TRY(FileOutput::start(
        std::move(fd), {.name = fmt::format("{}'s file {}", console, path), .most = most}));
    fd = backend.file->take_pipe();
  }
  backend.output = HostStream(std::move(fd));
  return backend;
}

/// Removes a socket file that nobody listens on any more.
Status remove_stale(const std::string& path, const sockaddr_un& address, std::string_view console) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    return {};  // nothing there; any other trouble shows when the socket is bound
  }
  if (!S_ISSOCK(status.st_mode)) {
    return fail(ErrorKind::kConfig,
                "{} exists and is no socket: remove it or name another path for the {}", path,
                console);
  }
  const UniqueFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(probe.get(), generic, sizeof address) == 0 || errno != ECONNREFUSED) {
    return fail(ErrorKind::kConfig, "Another process listens on {}: name another path for the {}",
                path, console);
  }
  if (::unlink(path.c_str()) != 0) {
    return fail_errno(ErrorKind::kConfig, "Cannot replace the stale socket " + path);
  }
  return {};
}

Result<ConsoleBackend> open_socket(const std::string& path, std::string_view console) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    return fail(ErrorKind::kConfig, "The {}'s socket path {} has over {} characters", console, path,
                sizeof address.sun_path - 1);
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  TRY(remove_stale(path, address, console));
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot create the {}'s socket", console));
  }
  // Linux gives the socket file this mode (less the umask): only its owner may type into the guest.
  ::fchmod(fd.get(), 0600);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::bind(fd.get(), generic, sizeof address) != 0) {
    return fail_errno(ErrorKind::kConfig,
                      fmt::format("Cannot create the {}'s socket {}", console, path));
  }
  ConsoleBackend backend;
  backend.description = path;
  backend.socket_file = OwnedPath(path);
  if (::listen(fd.get(), 1) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot listen on the socket " + path);
  }
  backend.listener = std::move(fd);
  return backend;
}

}  // namespace

Result<HostStream> HostStream::from_inherited(int fd, int access, std::string_view console) {
  const int flags = ::fcntl(fd, F_GETFL);
  struct stat status {};
  if (flags < 0 || ::fstat(fd, &status) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot use descriptor {} for the {}", fd, console));
  }
  // Terminals and pipes can be opened anew. A regular file cannot (its position is shared with who
  // else writes to it) and need not (it never makes us wait for a reader).
  if (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode)) {
    const std::string path = fmt::format("/proc/self/fd/{}", fd);
    UniqueFd own(::open(path.c_str(), access | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own) {
      return HostStream(std::move(own));
    }
  }
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 3));
  if (!copy) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot duplicate a descriptor for the {}", console));
  }
  if (S_ISREG(status.st_mode) || (flags & O_NONBLOCK) != 0) {
    return HostStream(std::move(copy));
  }
  if (::fcntl(copy.get(), F_SETFL, flags | O_NONBLOCK) != 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot make the {} non-blocking", console));
  }
  return HostStream(std::move(copy), flags);
}

HostStream& HostStream::operator=(HostStream&& other) noexcept {
  if (this != &other) {
    restore();
    fd_ = std::move(other.fd_);
    flags_ = std::exchange(other.flags_, -1);
  }
  return *this;
}

void HostStream::restore() {
  if (fd_ && flags_ >= 0) {
    ::fcntl(fd_.get(), F_SETFL, flags_);
    flags_ = -1;
  }
}

Result<ConsoleBackend> open_backend(const SerialTarget& target, const StandardFds& standard,
                                    std::string_view console, std::uint64_t most) {
  switch (target.kind) {
    case SerialTarget::Kind::kStdio:
      return open_stdio(standard, console);
    case SerialTarget::Kind::kPty:
      return open_pty(console);
    case SerialTarget::Kind::kFile:
      return open_file(target.path, console, most);
    case SerialTarget::Kind::kSocket:
      return open_socket(target.path, console);
  }
  return fail(ErrorKind::kInternal, "A {} of kind {} is not known", console,
              static_cast<int>(target.kind));
}

}  // namespace gpuvm
