// SPDX-License-Identifier: Apache-2.0
// A guest of a pool and its lease: what it says, what it obeys, and that it ends with the lease.
#include "vmm/pool/member.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <array>
#include <atomic>
#include <vector>

namespace gpuvm::pool::member_test {
namespace {

constexpr std::chrono::milliseconds kPatience{20000};

/// Notes what is asked, and answers at once, on the thread of the call: the real one answers later.
class FakeControl : public GuestControl {
 public:
  LifecycleState state() const override {
    return is_resumed ? LifecycleState::kRunning : LifecycleState::kPaused;
  }
  void inspect(InspectNode&) const override {}
  void press_power_button(Done) override { note("button"); }
  void reboot(Done) override {}
  void pause(Done done) override { keep("pause", std::move(done)); }
  void resume(Done done) override { keep("resume", std::move(done)); }
  void stop(Done) override { note("stop"); }
  void attach(std::string, Done) override {}
  void detach(std::string, Done) override {}
  std::uint64_t subscribe(GuestObserver) override { return 0; }
  void unsubscribe(std::uint64_t) override {}

  void keep(const std::string& what, Done done) {
    {
      const MutexLock lock(mutex_);
      kept_.push_back(std::move(done));
    }
    note(what);
  }
  /// What the control thread does: answers come from elsewhere.
  void answer(const Status& status = {}) {
    std::vector<Done> all;
    {
      const MutexLock lock(mutex_);
      all.swap(kept_);
    }
    for (const auto& done : all) {
      done(status);
    }
  }
  std::atomic<bool> is_resumed{false};  ///< by somebody else
  bool wait_for(const std::string& all) {
    MutexLock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (noted_ != all) {
      if (!changed_.wait_until(lock, end)) {
        return noted_ == all;
      }
    }
    return true;
  }
  std::string noted() {
    const MutexLock lock(mutex_);
    return noted_;
  }
  void note(const std::string& what) {
    {
      const MutexLock lock(mutex_);
      noted_ += what + " ";
    }
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::string noted_ GPUVM_GUARDED_BY(mutex_);
  std::vector<Done> kept_ GPUVM_GUARDED_BY(mutex_);
};

class MemberTest : public testing::Test {
 protected:
  MemberTest() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    lease_.reset(ends[0]);
    UniqueFd guests(ends[1]);
    ::fcntl(guests.get(), F_SETFL, O_NONBLOCK);
    member_ = Member::start(std::move(guests)).value();
    member_->listen(run_);
  }
  ~MemberTest() override {
    run_.on_control_over();
    member_.reset();
  }
  /// The machine is built and its guest boots.
  void boot() {
    run_.on_control(control_);
    run_.on_warm([this](std::string words, std::function<void(Status)> done) {
      words_ = std::move(words);
      control_.keep("anew", std::move(done));
    });
  }
  void say_ready(const std::string& channel = "status_port") {
    GuestEvent event;
    event.what = GuestWord{.channel = channel, .word = "ready"};
    run_.observers.front()(event);
  }
  void wait_ready() {
    boot();
    say_ready();
    control_.answer();
    ASSERT_EQ(heard(), MemberWord::Kind::kReady);
  }
  std::optional<MemberWord::Kind> heard() {
    if (!receive_line(lines_, lease_.get(), kPatience, "The guest")) {
      return std::nullopt;
    }
    const auto word = read_member_word(lines_.line());
    return word ? std::optional(word->kind) : std::nullopt;
  }
  void tell(const LeaseWord& word) {
    ASSERT_TRUE(send_line(lease_.get(), to_line(word), kPatience));
  }

  UniqueFd lease_;
  LineReceiver lines_{LineReceiver::Descriptors::kTaken};
  std::string words_;
  FakeControl control_;
  RunOptions run_;
  std::unique_ptr<Member> member_;
};

TEST_F(MemberTest, RestsWhenItsAgentIsReady) {
  boot();
  say_ready("vsock");  // another's word
  say_ready();
  say_ready();
  EXPECT_TRUE(control_.wait_for("pause "));
  control_.answer();
  EXPECT_EQ(heard(), MemberWord::Kind::kReady);
}

TEST_F(MemberTest, GoesOnOnce) {
  wait_ready();
  tell({.kind = LeaseWord::Kind::kGo, .words = "run=\n"});
  EXPECT_TRUE(control_.wait_for("pause anew "));
  EXPECT_EQ(words_, "run=\n");
  control_.answer();
  EXPECT_TRUE(control_.wait_for("pause anew resume ")) << "after its new identity";
  control_.answer();
  EXPECT_EQ(heard(), MemberWord::Kind::kRuns);
  tell({.kind = LeaseWord::Kind::kGo, .words = "another"});
  tell({.kind = LeaseWord::Kind::kPressPowerButton});
  EXPECT_TRUE(control_.wait_for("pause anew resume button "));
}

TEST_F(MemberTest, WhoeverHadItGoOn) {
  wait_ready();
  control_.is_resumed = true;
  tell({.kind = LeaseWord::Kind::kGo});
  EXPECT_TRUE(control_.wait_for("pause anew "));
  control_.answer();
  EXPECT_EQ(heard(), MemberWord::Kind::kRuns);
  EXPECT_EQ(control_.noted(), "pause anew ");
}

// It may have services of its own that say so.
TEST_F(MemberTest, WhatAJobSaysDoesNotPauseIt) {
  wait_ready();
  tell({.kind = LeaseWord::Kind::kGo});
  EXPECT_TRUE(control_.wait_for("pause anew "));
  control_.answer();
  EXPECT_TRUE(control_.wait_for("pause anew resume "));
  say_ready();
  tell({.kind = LeaseWord::Kind::kPressPowerButton});
  EXPECT_TRUE(control_.wait_for("pause anew resume button "));
}

TEST_F(MemberTest, WithoutANewIdentityItDoesNotGoOn) {
  wait_ready();
  tell({.kind = LeaseWord::Kind::kGo});
  EXPECT_TRUE(control_.wait_for("pause anew "));
  control_.answer(fail(ErrorKind::kHost, "No random numbers"));
  EXPECT_EQ(heard(), MemberWord::Kind::kRefused);
  EXPECT_EQ(control_.noted(), "pause anew ");
}

// Whoever is not waiting yet has no agent that would hear it.
TEST_F(MemberTest, DoesNotGoBeforeItIsReady) {
  boot();
  tell({.kind = LeaseWord::Kind::kGo});
  tell({.kind = LeaseWord::Kind::kStop});
  EXPECT_TRUE(control_.wait_for("stop "));
}

TEST_F(MemberTest, EndsWithItsLease) {
  wait_ready();
  lease_.reset();
  EXPECT_TRUE(control_.wait_for("pause stop "));
}

TEST_F(MemberTest, EndsWithALeaseThatWasGoneBeforeItsMachine) {
  lease_.reset();
  // The thread may see it before or after: either way the guest ends.
  boot();
  EXPECT_TRUE(control_.wait_for("stop "));
}

TEST_F(MemberTest, EndsWhereItHearsNonsense) {
  wait_ready();
  ASSERT_TRUE(send_line(lease_.get(), "dance", kPatience));
  EXPECT_TRUE(control_.wait_for("pause stop "));
}

TEST_F(MemberTest, EndsWhereItCannotRest) {
  boot();
  say_ready();
  EXPECT_TRUE(control_.wait_for("pause "));
  control_.answer(fail(ErrorKind::kWrongState, "The guest is about to end"));
  EXPECT_TRUE(control_.wait_for("pause stop "));
}

TEST_F(MemberTest, ItsEndIsTold) {
  wait_ready();
  MemberWord word;
  word.kind = MemberWord::Kind::kEnded;
  word.result.end = RunEnd::kPoweredOff;
  member_->say(word);
  EXPECT_EQ(heard(), MemberWord::Kind::kEnded);
}

}  // namespace
}  // namespace gpuvm::pool::member_test
