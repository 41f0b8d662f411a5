// SPDX-License-Identifier: Apache-2.0
// The start of a program: what is prepared, and what its process does between fork(2) and
// execve(2).
#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "vmm/base/inherited_files.hpp"
#include "vmm/helper/program.hpp"

namespace gpuvm {
namespace {

/// More than any program is given.
constexpr std::size_t kMostFiles = 16;

using Outcome = PreparedConfinement::Outcome;

/// What the new process needs, made before it is: afterwards it may do nothing but system calls.
struct Start {
  const char* path = nullptr;
  std::vector<char*> arguments = {};
  std::array<int, kMostFiles> files{};
  std::size_t file_count = 0;
  int null = -1;  ///< /dev/null
  int error_output = -1;
  int report = -1;  ///< where the outcome goes, and errno if it cannot be started; close-on-exec
  int parent = -1;  ///< pidfd of gpuvm
  const char* read_only_folder = nullptr;  ///< null: none
  std::optional<FileLimit> file_limit = {};
  const PreparedConfinement* confinement = nullptr;  ///< null: none
  bool has_new_processes = false;                    ///< a process namespace
  bool keeps_privileges = false;
  bool dies_with_thread = false;
};

/// Of root's capabilities those for files remain, which images of any user need. Without
/// capabilities this fails and does no harm.
void give_up_privileges() {
  constexpr auto kFiles =
      sandbox::capability(CAP_DAC_OVERRIDE) | sandbox::capability(CAP_DAC_READ_SEARCH);
  sandbox::keep_capabilities(kFiles);
  sandbox::set_no_new_privileges();
}

/// Not above what gpuvm itself may.
rlimit limit_of(const FileLimit& limit, rlim_t above) {
  const auto most = std::min<rlim_t>(limit.most, above);
  return {.rlim_cur = std::min<rlim_t>(limit.now, most), .rlim_max = most};
}

/// Without a signal: the write is to fail, and not the program.
void set_file_limit(const FileLimit& limit) {
  rlimit old{};
  ::getrlimit(RLIMIT_FSIZE, &old);
  const rlimit wanted = limit_of(limit, old.rlim_max);
  ::setrlimit(RLIMIT_FSIZE, &wanted);
  ::signal(SIGXFSZ, SIG_IGN);
}

/// Descriptors go to their places by way of higher numbers, so that none is overwritten before it
/// is copied; all others are closed, also such that a launcher left open for gpuvm (taps, say).
bool place_files(Start& start) {
  constexpr int kAway = 64;
  const int null_away = ::fcntl(start.null, F_DUPFD_CLOEXEC, kAway);
  const int error_away = ::fcntl(start.error_output, F_DUPFD_CLOEXEC, kAway);
  start.report = ::fcntl(start.report, F_DUPFD_CLOEXEC, kAway);
  bool is_done = null_away >= 0 && error_away >= 0 && start.report >= 0;
  for (std::size_t i = 0; i < start.file_count; ++i) {
    start.files[i] = ::fcntl(start.files[i], F_DUPFD_CLOEXEC, kAway);
    is_done = is_done && start.files[i] >= 0;
  }
  if (!is_done) {
    return false;
  }
  is_done = ::dup2(null_away, STDIN_FILENO) >= 0 && ::dup2(null_away, STDOUT_FILENO) >= 0 &&
            ::dup2(error_away, STDERR_FILENO) >= 0;
  for (std::size_t i = 0; i < start.file_count; ++i) {
    is_done = is_done && ::dup2(start.files[i], kFirstFileOfProgram + static_cast<int>(i)) >= 0;
  }
  // The one for reports closes itself.
  close_inherited({&start.report, 1}, static_cast<unsigned>(kFirstFileOfProgram) +
                                          static_cast<unsigned>(start.file_count));
  return is_done;
}

/// The kernel kills it with the thread that started it, unless that has ended already.
bool is_bound_to_parent(const Start& start) {
  pollfd parent{.fd = start.parent, .events = POLLIN, .revents = 0};
  return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::poll(&parent, 1, 0) == 0;
}

bool is_separated(const Start& start, Outcome& outcome) {
  if (start.confinement != nullptr) {
    return start.confinement->separate(start.read_only_folder, start.has_new_processes, outcome);
  }
  return start.read_only_folder == nullptr || mount_read_only(start.read_only_folder);
}

bool has_given_up(const Start& start, Outcome& outcome) {
  if (start.confinement != nullptr) {
    return start.confinement->give_up(outcome);
  }
  sandbox::forbid_core_files();  // of a server that has the guest's memory mapped
  if (!start.keeps_privileges) {
    give_up_privileges();
  }
  return true;
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) {
    if (number != SIGCHLD) {  // who ignores it ignores it for its children, too
      ::signal(number, SIG_DFL);
    }
  }
}

void execute(const Start& start, Outcome& outcome) {
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  if (start.confinement == nullptr) {
    ::execve(start.path, start.arguments.data(), environ);
    return;
  }
  if (!start.confinement->filter(outcome)) {
    return;
  }
  [[maybe_unused]] const auto told = ::write(start.report, &outcome, sizeof outcome);
  start.confinement->execute(start.path, start.arguments.data());
}

/// In the child of a process with threads: nothing but system calls. A change of user unbinds it
/// from its parent.
[[noreturn]] void become(Start& start) {
  Outcome outcome;
  const auto is_wanted = [&start] { return !start.dies_with_thread || is_bound_to_parent(start); };
  if (is_wanted() && is_separated(start, outcome) && has_given_up(start, outcome) && is_wanted() &&
      place_files(start)) {
    reset_signals();
    if (start.file_limit) {
      set_file_limit(*start.file_limit);
    }
    execute(start, outcome);
  }
  const int error = errno;
  [[maybe_unused]] const auto said = ::write(start.report, &error, sizeof error);
  ::_exit(127);
}

/// As fork(2), which makes no process namespaces. Signals are blocked meanwhile: handlers are ours,
/// and none runs in the child. Without the right to a namespace it is a child like any other.
pid_t make_process(Start& start) {
  const std::uint64_t flags = start.confinement == nullptr ? 0 : start.confinement->clone_flags();
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  start.has_new_processes = flags != 0;
  auto child = flags == 0 ? pid_t{-1}
                          : static_cast<pid_t>(::syscall(SYS_clone, flags | SIGCHLD, nullptr,
                                                         nullptr, nullptr, 0UL));
  if (child < 0) {
    start.has_new_processes = false;
    child = ::fork();
  }
  if (child == 0) {
    become(start);
  }
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  errno = error;
  return child;
}

/// What the child tells until execve(2) closes its end: an outcome, an errno, or both.
struct Told {
  bool is_started = false;
  int error = 0;
  Outcome outcome;
};
Told hear_child(int report) {
  std::array<char, sizeof(Outcome) + sizeof(int)> bytes{};
  std::size_t size = 0;
  while (size < bytes.size()) {
    pollfd said{.fd = report, .events = POLLIN, .revents = 0};
    if (::poll(&said, 1, -1) < 0 && errno == EINTR) {
      continue;
    }
    const auto got = ::read(report, bytes.data() + size, bytes.size() - size);
    if (got <= 0) {
      break;
    }
    size += static_cast<std::size_t>(got);
  }
  Told told;
  const bool has_outcome = size >= sizeof told.outcome;
  if (has_outcome) {
    std::memcpy(&told.outcome, bytes.data(), sizeof told.outcome);
  }
  const std::size_t behind = has_outcome ? sizeof told.outcome : 0;
  told.is_started = size < behind + sizeof told.error;
  if (!told.is_started) {
    std::memcpy(&told.error, bytes.data() + behind, sizeof told.error);
  }
  return told;
}

/// What it takes besides the program's own words.
struct Ends {
  OutputPipe report;
  UniqueFd null;
  UniqueFd parent;
};
Result<Ends> open_ends() {
  Ends ends;
  ends.report = TRY(make_output_pipe());
  ends.null.reset(::open("/dev/null", O_RDWR | O_CLOEXEC));
  ends.parent.reset(static_cast<int>(::syscall(SYS_pidfd_open, ::getpid(), 0)));
  if (!ends.null || !ends.parent) {
    return fail_errno(ErrorKind::kHost, "Cannot start a program");
  }
  return ends;
}

Start start_of(const Program& program, const Ends& ends) {
  Start start;
  start.path = program.path.c_str();
  start.file_count = program.files.size();
  std::copy(program.files.begin(), program.files.end(), start.files.begin());
  start.null = ends.null.get();
  start.report = ends.report.theirs.get();
  start.parent = ends.parent.get();
  start.read_only_folder =
      program.read_only_folder.empty() ? nullptr : program.read_only_folder.c_str();
  start.file_limit = program.file_limit;
  start.keeps_privileges = program.keeps_privileges;
  start.dies_with_thread = program.dies_with_thread;
  return start;
}

}  // namespace

Result<StartedProgram> start_program(const Program& program, int error_output) {
  if (program.arguments.empty() || program.files.size() > kMostFiles) {
    return fail(ErrorKind::kInternal, "{} cannot be given this", program.path);
  }
  auto arguments = program.arguments;
  auto ends = TRY(open_ends());
  std::optional<PreparedConfinement> confinement;
  if (program.confinement) {
    confinement = TRY(PreparedConfinement::create(*program.confinement, program.path));
  }
  Start start = start_of(program, ends);
  start.error_output = error_output;
  start.confinement = confinement ? &*confinement : nullptr;
  for (auto& argument : arguments) {
    start.arguments.push_back(argument.data());
  }
  start.arguments.push_back(nullptr);
  const pid_t child = make_process(start);
  if (child < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot start a process");
  }
  ends.report.theirs.reset();
  const Told told = hear_child(ends.report.ours.get());
  if (!told.is_started) {
    ::waitpid(child, nullptr, 0);
    return fail_errno(ErrorKind::kHost, "Cannot run " + program.path, told.error);
  }
  StartedProgram started;
  started.pid = child;
  if (confinement) {
    started.layers = confinement->layers_of(told.outcome);
  }
  return started;
}

Status limit_files(pid_t program, const FileLimit& limit) {
  rlimit old{};
  if (::prlimit(program, RLIMIT_FSIZE, nullptr, &old) == 0) {
    const rlimit wanted = limit_of(limit, old.rlim_max);
    if (::prlimit(program, RLIMIT_FSIZE, &wanted, nullptr) == 0) {
      return {};
    }
  }
  return fail_errno(ErrorKind::kHost, "Cannot limit the files of a program");
}

}  // namespace gpuvm
