// SPDX-License-Identifier: Apache-2.0
// The script of a warm guest, run by this host's shell with a terminal in the place of its port and
// folders in the place of /sys, /dev and /etc.
#include "vmm/first_boot/warm_agent.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "vmm/base/unique_fd.hpp"
#include "vmm/first_boot/command.hpp"
#include "vmm/first_boot/credentials.hpp"

namespace gpuvm::warm_agent_test {
namespace {

namespace fs = std::filesystem;

constexpr int kPatienceMs = 20000;

std::string contents(const fs::path& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void put(const fs::path& path, const std::string& text) {
  fs::create_directories(path.parent_path());
  std::ofstream(path) << text;
}

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  for (std::size_t at = text.find(from); at != std::string::npos;
       at = text.find(from, at + to.size())) {
    text.replace(at, from.size(), to);
  }
  return text;
}

class WarmAgent : public testing::Test {
 protected:
  WarmAgent() {
    std::string folder = "/tmp/warm-agent-XXXXXX";
    EXPECT_NE(::mkdtemp(folder.data()), nullptr);
    root_ = folder;
    master_.reset(::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC));
    EXPECT_EQ(::grantpt(master_.get()), 0);
    EXPECT_EQ(::unlockpt(master_.get()), 0);
    termios mode{};
    EXPECT_EQ(::tcgetattr(master_.get(), &mode), 0);
    ::cfmakeraw(&mode);
    EXPECT_EQ(::tcsetattr(master_.get(), TCSANOW, &mode), 0);
    put(root_ / "sys/class/virtio-ports/vport0p0/name", "org.gpuvm.other\n");
    put(root_ / "sys/class/virtio-ports/vport1p0/name", "org.gpuvm.status\n");
    fs::create_directories(root_ / "dev");
    fs::create_symlink(::ptsname(master_.get()), root_ / "dev/vport1p0");
    add_function("0000:00:00.0");
    add_function("0000:00:1f.0");
    put(root_ / "etc/machine-id", "0123\n");
    // What would change this host.
    add_program("date", "[ \"$1\" = -u ] || exec /bin/date \"$@\"\n" + note("date"));
    for (const char* const name : {"systemctl", "udevadm", "ssh-keygen"}) {
      add_program(name, note(name));
    }
  }
  ~WarmAgent() override {
    if (agent_ > 0) {
      ::kill(-agent_, SIGKILL);
      ::waitpid(agent_, nullptr, 0);
    }
    fs::remove_all(root_);
  }
  std::string note(const std::string& program) const {
    return "echo \"$@\" >>" + root_.string() + "/ran." + program;
  }
  void add_program(const std::string& name, const std::string& script) {
    put(root_ / "bin" / name, "#!/bin/sh\n" + script + "\n");
    fs::permissions(root_ / "bin" / name, fs::perms::owner_all);
  }
  std::string ran(const std::string& program) const { return contents(root_ / ("ran." + program)); }
  void add_function(const std::string& address) {
    fs::create_directories(root_ / "sys/bus/pci/devices" / address);
  }
  /// The script, with the folders of this test in the place of the guest's.
  std::string script() const {
    std::string text(warm_agent());
    for (const std::string folder : {"/sys/", "/etc/"}) {
      text = replaced(text, folder, root_.string() + folder);
    }
    text = replaced(text, "port=/dev/", "port=" + root_.string() + "/dev/");
    return replaced(text, ">/dev/urandom", ">" + root_.string() + "/seed");
  }
  void start() {
    agent_ = ::fork();
    ASSERT_GE(agent_, 0);
    if (agent_ == 0) {
      ::setpgid(0, 0);
      const char* const path = ::getenv("PATH");
      const std::string with_ours =
          root_.string() + "/bin:" + (path != nullptr ? path : "/usr/bin:/bin");
      ::setenv("PATH", with_ours.c_str(), 1);
      const int out = ::open((root_ / "out").c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
      const int nothing = ::open("/dev/null", O_RDONLY);
      ::dup2(nothing, STDIN_FILENO);
      ::dup2(out, STDOUT_FILENO);
      ::dup2(out, STDERR_FILENO);
      ::execl("/bin/sh", "sh", "-c", script().c_str(), nullptr);
      ::_exit(127);
    }
    ::setpgid(agent_, agent_);
  }
  std::string read_line() {
    std::string line;
    pollfd wait{.fd = master_.get(), .events = POLLIN, .revents = 0};
    char byte = 0;
    while (::poll(&wait, 1, kPatienceMs) > 0 && ::read(master_.get(), &byte, 1) == 1) {
      if (byte == '\n') {
        return line;
      }
      line += byte;
    }
    return line + "<nothing more>";
  }
  void say(const std::string& text) {
    ASSERT_EQ(::write(master_.get(), text.data(), text.size()), static_cast<ssize_t>(text.size()));
  }
  /// -1: it goes on.
  int status(int patience_ms = kPatienceMs) {
    int how = 0;
    for (int waited = 0; waited < patience_ms; waited += 20) {
      if (::waitpid(agent_, &how, WNOHANG) == agent_) {
        agent_ = -1;
        return WIFEXITED(how) ? WEXITSTATUS(how) : 256;
      }
      ::usleep(20000);
    }
    return -1;
  }
  HandIn hand_in(const std::string& command, std::size_t cards = 0) {
    HandIn what;
    what.time = ::time(nullptr);
    what.seed = std::string("\0seed\xff", 6);
    what.machine_id = "0123456789abcdef0123456789abcdef";
    what.cards = cards;
    what.command = command;
    return what;
  }
  std::string out() const { return contents(root_ / "out"); }

  fs::path root_;
  UniqueFd master_;
  pid_t agent_ = -1;
};

TEST_F(WarmAgent, RunsTheCommandAndEndsWithItsStatus) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("echo \"it's\" here\nexit 7")));
  EXPECT_EQ(status(), 7) << out();
  EXPECT_EQ(out(), "it's here\n");
}

TEST_F(WarmAgent, TakesWhatIsNew) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("true")));
  EXPECT_EQ(status(), 0) << out();
  EXPECT_EQ(contents(root_ / "etc/machine-id"), "0123456789abcdef0123456789abcdef\n");
  EXPECT_EQ(contents(root_ / "seed"), std::string("\0seed\xff", 6));
}

TEST_F(WarmAgent, AClockThatIsRightIsLeftAlone) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("true")));
  EXPECT_EQ(status(), 0) << out();
  EXPECT_EQ(ran("date"), "");
}

TEST_F(WarmAgent, AClockThatStoodStillIsSet) {
  start();
  ASSERT_EQ(read_line(), "READY");
  HandIn what = hand_in("true");
  what.time = 2000000000;
  say(hand_in_text(what));
  EXPECT_EQ(status(), 0) << out();
  EXPECT_EQ(ran("date"), "-u -s @2000000000\n");
}

TEST_F(WarmAgent, AnImageWithoutSshHasNoKeys) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("true")));
  EXPECT_EQ(status(), 0) << out();
  EXPECT_EQ(ran("ssh-keygen"), "");
}

// The image's own keys would be those of every guest.
TEST_F(WarmAgent, KeysOfSshAreNew) {
  put(root_ / "etc/ssh/ssh_host_rsa_key", "the image's");
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("true")));
  EXPECT_EQ(status(), 0) << out();
  EXPECT_FALSE(fs::exists(root_ / "etc/ssh/ssh_host_rsa_key"));
  EXPECT_EQ(ran("ssh-keygen"), "-A\n");
  EXPECT_EQ(ran("systemctl"), "try-restart ssh.service sshd.service\n");
}

// The command begins when as many are there as were announced, and not before.
TEST_F(WarmAgent, WaitsForTheCards) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("echo run", 2)));
  add_function("0000:01:00.0");
  add_function("0000:01:00.1");  // of the same card
  EXPECT_EQ(status(500), -1) << out();
  add_function("0000:02:00.0");
  EXPECT_EQ(status(), 0) << out();
  EXPECT_EQ(out(), "run\n");
}

TEST_F(WarmAgent, WithoutACommandTheGuestGoesOn) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("")));
  EXPECT_EQ(status(500), -1) << out();
}

// A pool that ends in the middle of its word is no command.
TEST_F(WarmAgent, ATextWithoutAnEndRunsNothing) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say("time=1\nseed=\ncards=0\n");
  EXPECT_EQ(status(300), -1);
  master_.reset();
  EXPECT_EQ(status(), 119) << out();
}

// The port can be opened once at a time: the command has to be able to.
TEST_F(WarmAgent, ThePortIsClosedBeforeTheCommand) {
  start();
  ASSERT_EQ(read_line(), "READY");
  say(hand_in_text(hand_in("ls -l /proc/$$/fd")));
  EXPECT_EQ(status(), 0);
  EXPECT_EQ(out().find("pts"), std::string::npos) << out();
}

TEST(WarmGuests, HaveTheAgentAsTheirCommand) {
  Config config;
  config.disks.emplace_back();
  config.boot.kernel = "/k";
  config.boot.cmdline = "quiet";
  ASSERT_TRUE(add_warm_agent(config));
  EXPECT_EQ(config.boot.cmdline, "quiet") << "which has no room for it";
  EXPECT_TRUE(config.test.status_port);
  const auto has_agent = [](const CredentialConfig& each) {
    return each.name == "gpuvm.run" && each.text == std::string(warm_agent());
  };
  EXPECT_TRUE(std::any_of(config.credentials.begin(), config.credentials.end(), has_agent));
}

TEST(WarmGuests, AnInitrdIsToldByAWord) {
  Config config;
  config.boot.kernel = "/k";
  config.boot.cmdline = "quiet";
  ASSERT_TRUE(add_warm_agent(config));
  EXPECT_EQ(config.boot.cmdline, "quiet gpuvm.warm");
  EXPECT_TRUE(config.test.status_port);
}

TEST(HandIns, AreFresh) {
  const auto one = fresh_hand_in("true", 1);
  const auto other = fresh_hand_in("true", 1);
  ASSERT_TRUE(one);
  ASSERT_TRUE(other);
  EXPECT_EQ(one->machine_id.size(), 32U);
  EXPECT_EQ(one->machine_id.find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_NE(one->machine_id, other->machine_id);
  EXPECT_NE(one->seed, other->seed);
  EXPECT_GT(one->time, 1700000000);
}

TEST(HandIns, OfCommandsThatNoGuestTakes) {
  EXPECT_TRUE(fresh_hand_in("", 0)) << "none at all is one that goes on";
  EXPECT_FALSE(fresh_hand_in("  ", 0));
  EXPECT_FALSE(fresh_hand_in(std::string("a\0b", 3), 0));
  EXPECT_FALSE(fresh_hand_in(std::string(kMostCommandBytes + 1, 'x'), 0));
}

TEST(HandIns, AsText) {
  HandIn what;
  what.time = 5;
  what.seed = "abc";
  what.machine_id = "00ff";
  what.cards = 2;
  what.command = "true";
  EXPECT_EQ(hand_in_text(what),
            "time=5\nseed=YWJj\nmachine-id=00ff\ncards=2\nrun=" + to_base64("true") + "\n");
}

}  // namespace
}  // namespace gpuvm::warm_agent_test
