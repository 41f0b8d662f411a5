// SPDX-License-Identifier: Apache-2.0
// Log mode: what is noted, and that nothing changes but who carries calls out.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/unit/vmm/sandbox/in_child.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::sandbox::log_mode_test {
namespace {

using testing::HasSubstr;
using testing::Not;

class LogMode : public testing::Test {
 protected:
  void SetUp() override {
    if (kHasThreadSanitizer) {
      GTEST_SKIP() << "the handler must run at once";
    }
  }
};

void set_handler_that_calls(int number);

std::string log_of(ThreadRole role, const std::function<void()>& work) {
  std::string path = testing::TempDir() + "gpuvm-calls-XXXXXX";
  ::close(::mkstemp(path.data()));
  const auto end = in_child([&](int fd) {
    Policy policy;
    policy.mode = Mode::kLog;
    policy.has_owner = true;
    policy.writes_line = false;
    policy.call_log = path;
    if (!prepare(policy)) {
      say(fd, "not prepared");
      return;
    }
    set_handler_that_calls(SIGUSR1);
    std::thread([&] {
      enter(role);
      work();
    }).join();
    if (!finish()) {
      say(fd, "not finished");
    }
  });
  EXPECT_TRUE(end.ended_well()) << end.status;
  EXPECT_EQ(end.said, "");
  std::ifstream file(path);
  std::string text{std::istreambuf_iterator<char>(file), {}};
  ::unlink(path.c_str());
  return text;
}

TEST_F(LogMode, CarriesOutWhatIsNotListedAndNotesIt) {
  const auto text = log_of(ThreadRole::kVcpu, [] {
    const int fd = ::open("/etc/passwd", O_RDWR | O_NONBLOCK | O_CLOEXEC | O_APPEND);
    if (fd < 0 && errno == EPERM) {
      ::_exit(4);
    }
    ::close(fd);
    ::syscall(SYS_socket, 2, 1, 0);
    ::syscall(SYS_socket, 2, 1, 0);
  });
  EXPECT_THAT(text, HasSubstr("role\tvcpu\t1\n"));
  EXPECT_THAT(text, HasSubstr("role\tqueue\t0\n"));
  EXPECT_THAT(text, HasSubstr("unlisted\tvcpu\tsocket\t41\t0x1\t2\n"));
  EXPECT_THAT(text, HasSubstr("unlisted\tvcpu\topenat\t257\t"));
}

TEST_F(LogMode, CountsWhatIsListed) {
  const auto text = log_of(ThreadRole::kQueue, [] {
    for (int i = 0; i < 5; ++i) {
      ::syscall(SYS_fdatasync, -1);
    }
  });
  EXPECT_THAT(text, HasSubstr("row\tqueue\talways\t5\tfdatasync\t"));
  EXPECT_THAT(text, HasSubstr("row\tqueue\talways\t0\tfallocate\t"));
  EXPECT_THAT(text, Not(HasSubstr("unlisted")));
}

/// As every file that gpuvm writes.
TEST(LogModeFile, OneWithASecondNameIsRefused) {
  std::string path = testing::TempDir() + "gpuvm-calls-XXXXXX";
  ::close(::mkstemp(path.data()));
  const std::string other = path + ".other";
  ASSERT_EQ(::link(path.c_str(), other.c_str()), 0);
  const auto end = in_child([&path](int fd) {
    Policy policy;
    policy.mode = Mode::kLog;
    policy.call_log = path;
    const auto prepared = prepare(policy);
    say(fd, prepared ? "prepared" : prepared.error().to_string());
  });
  EXPECT_THAT(end.said, HasSubstr("sandbox.log"));
  EXPECT_THAT(end.said, HasSubstr("second name (hard link)"));
  ::unlink(path.c_str());
  ::unlink(other.c_str());
}

/// Waits, locks, masks of signals, threads and children go on as without.
TEST_F(LogMode, ChangesNothing) {
  const auto text = log_of(ThreadRole::kWorker, [] {
    sigset_t all;
    sigset_t before;
    sigset_t now;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    const bool is_masked = ::sigismember(&now, SIGTERM) == 1 && ::sigismember(&now, SIGSYS) == 0;
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::pthread_sigmask(SIG_SETMASK, nullptr, &now);
    const bool is_back = ::sigismember(&now, SIGTERM) == 0;
    int answer = 0;
    std::thread([&answer] {
      std::this_thread::sleep_for(std::chrono::milliseconds(2));
      answer = 42;
    }).join();
    const pid_t child = ::fork();
    if (child == 0) {
      ::_exit(::syscall(SYS_getppid) > 0 ? 7 : 8);
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    if (!is_masked || !is_back || answer != 42 || WEXITSTATUS(status) != 7) {
      ::_exit(5);
    }
  });
  EXPECT_THAT(text, HasSubstr("unlisted\tworker\tgetppid\t"));
}

/// As a vCPU's thread is kicked out of KVM_RUN.
TEST_F(LogMode, ASignalInterruptsACall) {
  const auto text = log_of(ThreadRole::kVcpu, [] {
    struct sigaction action {};
    action.sa_handler = [](int) {};
    ::sigaction(SIGRTMIN, &action, nullptr);
    const pthread_t self = ::pthread_self();
    std::atomic<bool> over{false};
    std::thread kicker([self, &over] {
      while (!over) {
        ::usleep(1000);
        ::pthread_kill(self, SIGRTMIN);
      }
    });
    const int result = ::poll(nullptr, 0, 10'000);
    const int error = errno;
    over = true;
    kicker.join();
    if (result != -1 || error != EINTR) {
      ::_exit(6);
    }
  });
  EXPECT_THAT(text, HasSubstr("row\tvcpu\talways\t"));
}

void set_handler_that_calls(int number) {
  struct sigaction action {};
  action.sa_handler = [](int) { static_cast<void>(::write(-1, "", 0)); };
  sigfillset(&action.sa_mask);  // as Asio has it
  ::sigaction(number, &action, nullptr);
}

TEST_F(LogMode, HandlersThatBlockAllSignalsMayMakeCalls) {
  const auto text = log_of(ThreadRole::kControl, [] {
    ::raise(SIGUSR1);  // log_of() has set its handler before
    set_handler_that_calls(SIGUSR2);
    ::raise(SIGUSR2);
  });
  EXPECT_THAT(text, HasSubstr("role	control	1"));
}

}  // namespace
}  // namespace gpuvm::sandbox::log_mode_test
