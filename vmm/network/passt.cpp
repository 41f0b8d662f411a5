// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/passt.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <poll.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

constexpr int kSocketOfChild = 3;
constexpr int kStartPatienceMs = 10000;
constexpr int kEndPatienceMs = 2000;
constexpr std::size_t kMostSaid = 4096;

/// Folders with ":" between. The caller's PATH must not decide what runs as root.
std::string search_path() {
  const std::string usual = "/usr/local/bin:/usr/bin:/bin";
  const char* const variable = ::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return variable == nullptr || ::geteuid() == 0 ? usual : variable + (":" + usual);
}

/// The program's path; empty: there is none. Not where the caller happens to be.
std::string find_program(const std::string& name) {
  if (name.find('/') != std::string::npos) {
    return ::access(name.c_str(), X_OK) == 0 ? name : std::string();
  }
  const std::string path = search_path();
  for (std::size_t begin = 0; begin <= path.size();) {
    const auto end = std::min(path.find(':', begin), path.size());
    const auto folder = path.substr(begin, end - begin);
    const auto candidate = folder + "/" + name;
    if (!folder.empty() && folder.front() == '/' && ::access(candidate.c_str(), X_OK) == 0) {
      return candidate;
    }
    begin = end + 1;
  }
  return {};
}

Error missing(const std::string& program) {
  return fail(
      ErrorKind::kHost,
      "mode = \"user\" needs the program {}, which is not installed: apt install passt (dnf "
      "install passt), or take mode = \"tap\"",
      program);
}

struct SocketAddress {
  sockaddr_storage bytes = {};
  socklen_t size = 0;
};

/// Of a forward; all of the host's IPv4 ones where it names none.
SocketAddress address_of(const Passt::Forward& forward) {
  SocketAddress address;
  auto* const four = reinterpret_cast<sockaddr_in*>(&address.bytes);
  auto* const six = reinterpret_cast<sockaddr_in6*>(&address.bytes);
  if (::inet_pton(AF_INET6, forward.address.c_str(), &six->sin6_addr) == 1) {
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(forward.host);
    address.size = sizeof *six;
    return address;
  }
  address.bytes = {};
  ::inet_pton(AF_INET, forward.address.c_str(), &four->sin_addr);
  four->sin_family = AF_INET;
  four->sin_port = htons(forward.host);
  address.size = sizeof *four;
  return address;
}

/// passt itself goes on without a port that is in use.
Status check_port(const Passt::Forward& forward) {
  const SocketAddress address = address_of(forward);
  const UniqueFd socket(::socket(address.bytes.ss_family,
                                 (forward.udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
  if (!socket) {
    return {};  // no IPv6, say: passt tells
  }
  const int yes = 1;
  if (!forward.udp) {  // connections that have ended do not matter
    ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  }
  const auto* const raw = reinterpret_cast<const sockaddr*>(&address.bytes);
  if (::bind(socket.get(), raw, address.size) == 0 &&
      (forward.udp || ::listen(socket.get(), 1) == 0)) {
    return {};
  }
  const int error = errno;
  const std::string port =
      fmt::format("{} port {}{}{}", forward.udp ? "UDP" : "TCP", forward.address,
                  forward.address.empty() ? "" : "/", forward.host);
  if (error == EADDRINUSE) {
    return fail(ErrorKind::kHost, "forward: {} of this host is in use (ss -lnp); take another one",
                port);
  }
  return fail_errno(ErrorKind::kHost, "forward: cannot have " + port + " of this host", error);
}

std::vector<std::string> arguments_of(const Passt::Options& options) {
  std::vector<std::string> arguments{"passt", "--quiet", "--fd", std::to_string(kSocketOfChild)};
  if (!options.host_loopback) {
    arguments.emplace_back("--no-map-gw");
  }
  for (const auto& server : options.name_servers) {
    arguments.insert(arguments.end(), {"--dns", server});
  }
  if (options.mtu) {
    arguments.insert(arguments.end(), {"--mtu", std::to_string(*options.mtu)});
  }
  for (const auto& forward : options.forward) {
    arguments.emplace_back(forward.udp ? "--udp-ports" : "--tcp-ports");
    arguments.push_back(fmt::format("{}{}{}:{}", forward.address,
                                    forward.address.empty() ? "" : "/", forward.host,
                                    forward.guest));
  }
  return arguments;
}

/// Both ends close-on-exec.
Result<std::array<UniqueFd, 2>> make_pair(bool is_pipe) {
  std::array<int, 2> fds{-1, -1};
  const int made = is_pipe ? ::pipe2(fds.data(), O_CLOEXEC | O_NONBLOCK)
                           : ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds.data());
  if (made != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket for passt");
  }
  return std::array<UniqueFd, 2>{UniqueFd(fds[0]), UniqueFd(fds[1])};
}

/// Starts it with nothing of ours but these.
Result<pid_t> spawn(const std::string& program, std::vector<std::string> arguments, int socket,
                    int said) {
  std::vector<char*> raw;
  for (auto& argument : arguments) {
    raw.push_back(argument.data());
  }
  raw.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDWR, 0);
  ::posix_spawn_file_actions_adddup2(&actions, STDIN_FILENO, STDOUT_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, said, STDERR_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, socket, kSocketOfChild);
  // Whoever started gpuvm may have handed it descriptors that are not close-on-exec, such as taps.
  ::posix_spawn_file_actions_addclosefrom_np(&actions, kSocketOfChild + 1);
  sigset_t none;
  ::sigemptyset(&none);  // our threads block signals
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, program.c_str(), &actions, &attributes, raw.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (error != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot run " + program, error);
  }
  return child;
}

/// Its exit status; one that takes too long is killed. Errors: kHost.
Result<int> wait_for(pid_t child) {
  // glibc 2.36 declares pidfd_open() for C only.
  const UniqueFd watched(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{.fd = watched.get(), .events = POLLIN, .revents = 0};
  if (watched && ::poll(&ended, 1, kStartPatienceMs) == 0) {
    ::kill(child, SIGKILL);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno == ECHILD) {
      return fail(ErrorKind::kHost,
                  "Whether passt has started is not known: whoever started gpuvm ignores SIGCHLD, "
                  "which it must not");
    }
  }
  return status;
}

/// What it printed, in one line. Lines about the host's missing log are about no trouble.
std::string text_of(int said) {
  std::string text(kMostSaid, '\0');
  const auto got = ::read(said, text.data(), text.size());
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  std::string line;
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    const auto part = text.substr(begin, end - begin);
    if (!part.empty() && part.find("to syslog") == std::string::npos) {
      line += (line.empty() ? "" : "; ") + part;
    }
    begin = end + 1;
  }
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < ' ' || c == '\x7f'; }, '?');
  return line;
}

}  // namespace

Status Passt::check(const Options& options) {
  if (find_program(options.program).empty()) {
    return missing(options.program);
  }
  for (const auto& forward : options.forward) {
    TRY(check_port(forward));
  }
  return {};
}

Result<std::unique_ptr<Passt>> Passt::start(const Options& options) {
  TRY(check(options));
  auto sockets = TRY(make_pair(false));
  auto said = TRY(make_pair(true));
  const pid_t child = TRY(
      spawn(find_program(options.program), arguments_of(options), sockets[1].get(), said[1].get()));
  sockets[1].reset();
  said[1].reset();
  const int status = TRY(wait_for(child));
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return fail(ErrorKind::kHost, "passt does not start ({}): {}",
                WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status))
                                  : fmt::format("signal {}", WTERMSIG(status)),
                text_of(said[0].get()));
  }
  return std::unique_ptr<Passt>(new Passt(std::move(sockets[0])));
}

Passt::~Passt() {
  ::shutdown(socket_.get(), SHUT_WR);
  pollfd gone{.fd = socket_.get(), .events = 0, .revents = 0};
  if (::poll(&gone, 1, kEndPatienceMs) == 0) {
    log::warn("passt is still there {} ms after its socket was closed", kEndPatienceMs);
  }
}

Result<UniqueFd> Passt::socket() const {
  UniqueFd another(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 0));
  if (!another) {
    return fail_errno(ErrorKind::kHost, "Cannot have another descriptor of passt's socket");
  }
  return another;
}

}  // namespace gpuvm
