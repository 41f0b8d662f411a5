// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/spawn.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

#include "vmm/base/file.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {
namespace {

/// posix_spawn(3)'s two objects, which want to be destroyed.
class SpawnPlan {
 public:
  SpawnPlan() {
    ::posix_spawn_file_actions_init(&files);
    ::posix_spawnattr_init(&attributes);
  }
  ~SpawnPlan() {
    ::posix_spawn_file_actions_destroy(&files);
    ::posix_spawnattr_destroy(&attributes);
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;

  posix_spawn_file_actions_t files{};
  posix_spawnattr_t attributes{};
};

}  // namespace

Result<pid_t> spawn(const Spawn& program) {
  SpawnPlan plan;
  const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ::posix_spawn_file_actions_adddup2(&plan.files, program.input >= 0 ? program.input : null.get(),
                                     STDIN_FILENO);
  if (program.output >= 0) {
    ::posix_spawn_file_actions_adddup2(&plan.files, program.output, STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&plan.files, program.output, STDERR_FILENO);
  }
  ::posix_spawn_file_actions_addclosefrom_np(&plan.files, STDERR_FILENO + 1);
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&plan.attributes, &none);
  ::posix_spawnattr_setflags(
      &plan.attributes,
      static_cast<short>(POSIX_SPAWN_SETSIGMASK | (program.own_session ? POSIX_SPAWN_SETSID : 0)));
  std::vector<std::string> words = program.arguments;
  std::vector<char*> raw;
  for (auto& word : words) {
    raw.push_back(word.data());
  }
  raw.push_back(nullptr);
  pid_t pid = 0;
  const int error =
      ::posix_spawn(&pid, raw.front(), &plan.files, &plan.attributes, raw.data(), environ);
  if (error != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot run " + words.front(), error);
  }
  return pid;
}

Result<int> await_end(pid_t pid) {
  int status = 0;
  pid_t got = 0;
  do {
    got = ::waitpid(pid, &status, 0);
  } while (got < 0 && errno == EINTR);
  if (got != pid) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot wait for process {}", pid));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

ProcessIdentity identify(pid_t pid) {
  constexpr int kStateField = 3;
  constexpr int kStartTimeField = 22;
  ProcessIdentity process{.pid = pid, .start_time = 0};
  const auto text = read_attribute(fmt::format("/proc/{}/stat", pid));
  // The name, in brackets, may have anything in it.
  const auto name_end = text ? text->rfind(')') : std::string::npos;
  if (name_end == std::string::npos || name_end + 2 >= text->size()) {
    return process;
  }
  std::string_view rest = std::string_view(*text).substr(name_end + 2);
  if (rest.front() == 'Z' || rest.front() == 'X') {
    return process;
  }
  for (int field = kStateField; field < kStartTimeField; ++field) {
    rest.remove_prefix(std::min(rest.find(' '), rest.size() - 1) + 1);
    if (rest.empty()) {
      return process;
    }
  }
  std::from_chars(rest.data(), rest.data() + rest.size(), process.start_time);
  return process;
}

bool is_alive(const ProcessIdentity& process) {
  return process.pid > 0 && process.start_time != 0 && identify(process.pid) == process;
}

}  // namespace gpuvm
