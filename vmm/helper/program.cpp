// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/program.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
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
/// More than any program is given.
constexpr std::size_t kMostFiles = 16;

/// Folders with ":" between.
std::string search_path() {
  const std::string usual = "/usr/local/bin:/usr/bin:/bin";
  const char* const variable = ::getenv("PATH");  // NOLINT(concurrency-mt-unsafe): nobody sets it
  return variable == nullptr || ::geteuid() == 0 ? usual : variable + (":" + usual);
}

/// What the new process needs, made before it is: afterwards it may do nothing but system calls.
struct Start {
  const char* path = nullptr;
  std::vector<char*> arguments = {};
  std::array<int, kMostFiles> files{};
  std::size_t file_count = 0;
  int error_output = -1;
  int report = -1;  ///< where errno goes if it cannot be started; close-on-exec
  pid_t parent = 0;
  const char* read_only_folder = nullptr;  ///< null: none
  std::optional<FileLimit> file_limit = {};
  bool keeps_privileges = false;
  bool dies_with_thread = false;
};

/// In a mount namespace of its own, whose changes nobody else sees. Linux 5.12.
bool mount_read_only(const char* folder) {
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY;
  return ::unshare(CLONE_NEWNS) == 0 &&
         ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         ::mount(folder, folder, nullptr, MS_BIND | MS_REC, nullptr) == 0 &&
         ::mount_setattr(AT_FDCWD, folder, AT_RECURSIVE, &read_only, sizeof read_only) == 0;
}

/// Of root's capabilities those for files remain, which images of any user need. Without
/// capabilities this fails and does no harm.
void give_up_privileges() {
  constexpr std::uint32_t kFiles = 1U << CAP_DAC_OVERRIDE | 1U << CAP_DAC_READ_SEARCH;
  for (int capability = 0; capability <= CAP_LAST_CAP; ++capability) {
    if (capability != CAP_DAC_OVERRIDE && capability != CAP_DAC_READ_SEARCH) {
      ::prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    }
  }
  ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
  std::array<__user_cap_data_struct, 2> sets{};
  if (::syscall(SYS_capget, &header, sets.data()) == 0) {
    sets[0] = {.effective = sets[0].effective & kFiles,
               .permitted = sets[0].permitted & kFiles,
               .inheritable = 0};
    sets[1] = {};
    ::syscall(SYS_capset, &header, sets.data());
  }
  ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

/// Servers of a guest's disks and folders have its memory mapped. With 0 the kernel still pipes a
/// dump into a program (core(5), core_pattern); with 1 it makes none at all.
void forbid_core_dumps() {
  const rlimit no_core{.rlim_cur = 1, .rlim_max = 1};
  ::setrlimit(RLIMIT_CORE, &no_core);
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
  const int null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const int null_away = ::fcntl(null, F_DUPFD_CLOEXEC, kAway);
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
  // The one for reports closes itself. Linux 5.9; older kernels have the files closed by number.
  const auto first =
      static_cast<unsigned>(kFirstFileOfProgram) + static_cast<unsigned>(start.file_count);
  const auto report = static_cast<unsigned>(start.report);
  if (::syscall(SYS_close_range, first, report - 1, 0U) != 0 ||
      ::syscall(SYS_close_range, report + 1, ~0U, 0U) != 0) {
    for (unsigned fd = first; fd < 65536; ++fd) {
      if (fd != report) {
        ::close(static_cast<int>(fd));
      }
    }
  }
  return is_done;
}

/// In the child of a process with threads: nothing but system calls.
[[noreturn]] void become(Start& start) {
  bool is_wanted = true;
  if (start.dies_with_thread) {
    is_wanted = ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() == start.parent;
  }
  if (is_wanted && place_files(start) &&
      (start.read_only_folder == nullptr || mount_read_only(start.read_only_folder))) {
    if (!start.keeps_privileges) {
      give_up_privileges();
    }
    forbid_core_dumps();
    for (int number = 1; number < NSIG; ++number) {
      if (number != SIGCHLD) {  // who ignores it ignores it for its children, too
        ::signal(number, SIG_DFL);
      }
    }
    if (start.file_limit) {
      set_file_limit(*start.file_limit);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(start.path, start.arguments.data(), environ);
  }
  const int error = errno;
  [[maybe_unused]] const auto said = ::write(start.report, &error, sizeof error);
  ::_exit(127);
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

Result<pid_t> start_program(const Program& program, int error_output) {
  if (program.arguments.empty() || program.files.size() > kMostFiles) {
    return fail(ErrorKind::kInternal, "{} cannot be given this", program.path);
  }
  auto arguments = program.arguments;
  auto report = TRY(make_output_pipe());
  Start start{.path = program.path.c_str(),
              .file_count = program.files.size(),
              .error_output = error_output,
              .report = report.theirs.get(),
              .parent = ::getpid(),
              .read_only_folder =
                  program.read_only_folder.empty() ? nullptr : program.read_only_folder.c_str(),
              .file_limit = program.file_limit,
              .keeps_privileges = program.keeps_privileges,
              .dies_with_thread = program.dies_with_thread};
  std::copy(program.files.begin(), program.files.end(), start.files.begin());
  for (auto& argument : arguments) {
    start.arguments.push_back(argument.data());
  }
  start.arguments.push_back(nullptr);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // handlers are ours, and none runs in the child
  const pid_t child = ::fork();
  if (child == 0) {
    become(start);
  }
  const int error = errno;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (child < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot start a process", error);
  }
  report.theirs.reset();
  int failure = 0;
  pollfd started{.fd = report.ours.get(), .events = POLLIN, .revents = 0};
  while (::poll(&started, 1, -1) < 0 && errno == EINTR) {
  }
  if (::read(report.ours.get(), &failure, sizeof failure) == sizeof failure) {
    ::waitpid(child, nullptr, 0);
    return fail_errno(ErrorKind::kHost, "Cannot run " + program.path, failure);
  }
  return child;
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

Result<ProgramEnd> run_program(const Program& program, std::chrono::milliseconds limit) {
  auto pipe = TRY(make_output_pipe());
  const pid_t child = TRY(start_program(program, pipe.theirs.get()));
  pipe.theirs.reset();
  // glibc 2.36 declares pidfd_open() for C only.
  const UniqueFd watched(static_cast<int>(::syscall(SYS_pidfd_open, child, 0)));
  pollfd ended{.fd = watched.get(), .events = POLLIN, .revents = 0};
  if (watched && ::poll(&ended, 1, static_cast<int>(limit.count())) == 0) {
    ::kill(child, SIGKILL);
  }
  ProgramEnd end;
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
