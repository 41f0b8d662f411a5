// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/program.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>

namespace gpuvm {
namespace {

constexpr std::size_t kMostSaid = 4096;

/// Folders with ":" between.
std::string search_path() {
  const std::string usual = "/usr/local/bin:/usr/bin:/bin";
  const char* const variable = ::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return variable == nullptr || ::geteuid() == 0 ? usual : variable + (":" + usual);
}

/// Reads what is there, up to the limit of what is kept.
std::string read_output(int fd) {
  std::string text(kMostSaid, '\0');
  const auto got = ::read(fd, text.data(), text.size());
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

}  // namespace

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

std::string text_of_end(int status) {
  return WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status))
                           : fmt::format("signal {}", WTERMSIG(status));
}

/// Lines about the host's missing log are about no trouble.
std::string text_of_output(const std::string& printed) {
  std::string line;
  for (std::size_t begin = 0; begin < printed.size();) {
    const auto end = std::min(printed.find('\n', begin), printed.size());
    const auto part = printed.substr(begin, end - begin);
    if (!part.empty() && part.find("to syslog") == std::string::npos) {
      line += (line.empty() ? "" : "; ") + part;
    }
    begin = end + 1;
  }
  std::replace_if(
      line.begin(), line.end(), [](char c) { return c < ' ' || c == '\x7f'; }, '?');
  return line;
}

Result<OutputPipe> make_output_pipe() {
  std::array<int, 2> fds{-1, -1};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a pipe");
  }
  OutputPipe pipe{.ours = UniqueFd(fds[0]), .theirs = UniqueFd(fds[1])};
  ::fcntl(pipe.ours.get(), F_SETFL, O_NONBLOCK);
  return pipe;
}

Result<ProgramEnd> run_program(const Program& program, std::chrono::milliseconds limit) {
  auto pipe = TRY(make_output_pipe());
  auto started = TRY(start_program(program, pipe.theirs.get()));
  const pid_t child = started.pid;
  pipe.theirs.reset();
  // glibc 2.36 declares pidfd_open() for C only.
  const UniqueFd watched(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{.fd = watched.get(), .events = POLLIN, .revents = 0};
  if (watched && ::poll(&ended, 1, static_cast<int>(limit.count())) == 0) {
    ::kill(child, SIGKILL);
  }
  ProgramEnd end;
  end.layers = std::move(started.layers);
  while (::waitpid(child, &end.status, 0) < 0) {
    if (errno == ECHILD) {
      return fail(ErrorKind::kHost,
                  "Whether {} has started is not known: whoever started gpuvm ignores SIGCHLD, "
                  "which it must not",
                  program.name());
    }
  }
  end.text = text_of_output(read_output(pipe.ours.get()));
  return end;
}

}  // namespace gpuvm
