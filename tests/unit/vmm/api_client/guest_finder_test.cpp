// SPDX-License-Identifier: Apache-2.0
// Guests by name: those that answer, those that do not, those that are gone, and those of others.
#include "vmm/api_client/guest_finder.hpp"

#include <gmock/gmock.h>
#include <grp.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "tests/unit/vmm/api_client/fake_guest.hpp"
#include "vmm/api_client/api_request.hpp"

namespace gpuvm::guest_finder_test {
namespace {

using std::chrono::milliseconds;
using test::FakeConnection;
using test::FakeGuest;
using testing::HasSubstr;

class GuestFinder : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return folder_.path() + "/" + name + ".sock"; }
  std::vector<std::string> folders() const { return {folder_.path()}; }
  static std::string answer(const std::string& name) { return answer_of(name, 1, 0); }
  static std::string answer_of(const std::string& name, pid_t pid, pid_t monitor) {
    const std::string body = fmt::format(
        R"({{"name":"{}","state":"running","pid":{},"monitor_pid":{}}})", name, pid, monitor);
    return fmt::format("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{}", body.size(), body);
  }
  std::string error_of(const std::string& name) const {
    auto found = reach_guest(folders(), name);
    return found ? "there" : found.error().to_string();
  }
  void leave_dead(const std::string& name) const {
    const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path(name).data(), path(name).size());
    ASSERT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }

  test::ScratchFolder folder_;
};

TEST_F(GuestFinder, FindsByNameAndByPath) {
  const FakeGuest guest(path("one"), answer("one"));
  for (const std::string& name : {std::string("one"), path("one")}) {
    auto found = reach_guest(folders(), name);
    ASSERT_TRUE(found) << found.error().to_string();
    EXPECT_EQ(found->name, name);
    EXPECT_EQ(found->path, path("one"));
    EXPECT_EQ(found->pid, ::getpid());
  }
  EXPECT_TRUE(is_guest_there(path("one"), ::getpid()));
  EXPECT_TRUE(is_guest_there(path("one"), 0));
  EXPECT_FALSE(is_guest_there(path("one"), ::getpid() + 1)) << "another one of the same name";
  EXPECT_FALSE(is_guest_there(path("two"), 0));
}

TEST_F(GuestFinder, AnUnknownNameSaysWhichThereAre) {
  EXPECT_THAT(error_of("x"), HasSubstr("No guest named x runs here; none"));
  const FakeGuest one(path("one"), answer("one"));
  const FakeGuest two(path("two"), answer("two"));
  leave_dead("gone");
  EXPECT_THAT(error_of("x"), HasSubstr("those that do: one, two"));
  EXPECT_FALSE(std::filesystem::exists(path("gone")));
  EXPECT_THAT(error_of("/no/such.sock"), HasSubstr("There is no control socket /no/such.sock"));
}

TEST_F(GuestFinder, WhatCanBeNoName) {
  for (const std::string name : {"", "A", "a b", ".", "..", "-x", "_x"}) {
    auto found = reach_guest(folders(), name);
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind(), ErrorKind::kUsage);
  }
}

TEST_F(GuestFinder, WhatIsNoControlSocketIsTold) {
  const std::string file = folder_.path() + "/file";
  std::ofstream(file) << "x";
  EXPECT_THAT(error_of(file), HasSubstr(file + " is a file, and no control socket"));
  EXPECT_THAT(error_of(folder_.path() + "/"), HasSubstr("is a folder, and no control socket"));
  EXPECT_THAT(error_of("/" + std::string(120, 'x')), HasSubstr("too long for a socket's path"));
  std::ofstream(path("named")) << "x";
  EXPECT_THAT(error_of("named"), HasSubstr("gpuvm ps lists them"));
  EXPECT_TRUE(std::filesystem::exists(path("named")));
}

TEST_F(GuestFinder, ADeadOneIsRemovedAndTold) {
  leave_dead("gone");
  EXPECT_THAT(error_of("gone"), HasSubstr("does not run any more"));
  EXPECT_THAT(error_of("gone"), HasSubstr("No guest named gone"));
}

TEST_F(GuestFinder, OneThatStartsIsLeft) {
  auto claim = GuestSocketClaim::take(path("new"));
  ASSERT_TRUE(claim);
  leave_dead("new");  // bound, not listening yet
  EXPECT_THAT(error_of("new"), HasSubstr("just starting"));
  const auto guests = list_guests(folders(), milliseconds(1000));
  ASSERT_EQ(guests.size(), 1U);
  EXPECT_EQ(guests[0].problem, "not listening");
  EXPECT_TRUE(std::filesystem::exists(path("new")));
}

TEST_F(GuestFinder, TheListHasAllThatLive) {
  const FakeGuest good(path("a"), answer("a"));
  const FakeGuest mute(path("b"), [](FakeConnection& connection) { connection.hang(); });
  const FakeGuest odd(path("c"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]");
  const FakeGuest strict(path("d"), "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\n{}");
  const FakeGuest huge(path("e"), "HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n");
  const FakeGuest good_too(path("f"), answer("f"));
  leave_dead("gone");
  const auto guests = list_guests(folders(), milliseconds(1500));
  std::vector<std::string> said;
  for (const ListedGuest& guest : guests) {
    said.push_back(guest.name + ": " + (guest.status ? guest.status->state : guest.problem));
  }
  EXPECT_THAT(said, testing::ElementsAre("a: running", "b: no answer", "c: odd answer",
                                         "d: not allowed", "e: no answer", "f: running"));
  EXPECT_FALSE(std::filesystem::exists(path("gone")));
}

/// A stopped gpuvm takes no connections once its queue is full.
TEST_F(GuestFinder, OneWithAFullQueueCostsTheOthersNothing) {
  auto claim = GuestSocketClaim::take(path("a"));
  ASSERT_TRUE(claim);
  auto listening = claim->listen();
  ASSERT_TRUE(listening);
  std::vector<UniqueFd> waiting;
  for (int i = 0; i < 1000; ++i) {
    auto connected = connect_to_guest(path("a"), milliseconds(0));
    if (!connected.fd) {
      ASSERT_EQ(connected.error, ETIMEDOUT);
      break;
    }
    waiting.push_back(std::move(connected.fd));
  }
  const FakeGuest good(path("b"), [](FakeConnection& connection) {
    connection.read_request();
    connection.pause(milliseconds(300));
    connection.write(answer("b"));
  });
  const auto guests = list_guests(folders(), milliseconds(1500));
  ASSERT_EQ(guests.size(), 2U);
  EXPECT_EQ(guests[0].problem, "no answer");
  EXPECT_TRUE(guests[1].status) << guests[1].problem;
}

/// More than are asked at the same time: a silent one among the first has not the others' time.
TEST_F(GuestFinder, ASilentOneCostsThoseFarBehindNothing) {
  const FakeGuest mute(path("a"), [](FakeConnection& connection) { connection.hang(); });
  std::vector<std::unique_ptr<FakeGuest>> others;
  for (int i = 0; i < 70; ++i) {
    const std::string name = fmt::format("b{}", i);
    others.push_back(std::make_unique<FakeGuest>(path(name), [name](FakeConnection& connection) {
      connection.read_request();
      connection.pause(milliseconds(200));
      connection.write(answer(name));
    }));
  }
  const auto guests = list_guests(folders(), milliseconds(4000));
  ASSERT_EQ(guests.size(), 71U);
  EXPECT_EQ(guests[0].problem, "no answer");
  for (std::size_t i = 1; i < guests.size(); ++i) {
    EXPECT_TRUE(guests[i].status) << guests[i].name << ": " << guests[i].problem;
  }
}

/// As at the reset of many devices, and at a gpuvm that is stopped.
TEST_F(GuestFinder, WhoHangsIsToldFromWhoIsAtWork) {
  const HangLimits soon{.before = milliseconds(50), .answer = milliseconds(500)};
  const FakeGuest mute(path("mute"), [](FakeConnection& connection) { connection.hang(); });
  auto guest = reach_guest(folders(), "mute");
  ASSERT_TRUE(guest);
  EXPECT_EQ(wait_for_answer(*guest, milliseconds(600000), soon), AnswerWait::kHangs);

  // Somebody else has its socket's name now, and answers: this one's connection says nothing.
  const FakeGuest alive(path("alive"), answer("alive"));
  guest->path = path("alive");
  EXPECT_EQ(wait_for_answer(*guest, milliseconds(300), soon), AnswerWait::kTooLate);

  auto asked = reach_guest(folders(), "alive");
  ASSERT_TRUE(asked);
  ASSERT_TRUE(send_request(asked->connection, "PUT", "/v1/vm/stop", milliseconds(1000)));
  EXPECT_EQ(wait_for_answer(*asked, milliseconds(60000), soon), AnswerWait::kCame);
}

TEST_F(GuestFinder, TheEndIsThatOfTheProcess) {
  const pid_t child = ::fork();
  if (child == 0) {
    auto claim = GuestSocketClaim::take(path("child"));
    auto listening = claim->listen();
    ::pause();
    ::_exit(0);
  }
  auto guest = reach_guest(folders(), "child");
  for (int i = 0; !guest && i < 1000; ++i) {
    ::usleep(10000);
    guest = reach_guest(folders(), "child");
  }
  ASSERT_TRUE(guest) << guest.error().to_string();
  EXPECT_EQ(guest->pid, child);
  std::filesystem::remove(path("child"));
  EXPECT_FALSE(wait_for_end(*guest, milliseconds(200))) << "its socket alone has gone";
  ::kill(child, SIGKILL);
  EXPECT_TRUE(wait_for_end(*guest, milliseconds(20000))) << "nobody has waited for it";
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
}

/// Here the test is the owner, and the process that listens its child. What the guest says counts
/// where the kernel says so, too.
TEST_F(GuestFinder, AnOwnerIsTheParentOfWhoListens) {
  for (const bool is_true : {true, false}) {
    const std::string name = is_true ? "owned" : "liar";
    const pid_t test = ::getpid();
    const pid_t child = ::fork();
    if (child == 0) {
      const FakeGuest guest(path(name), answer_of(name, is_true ? test : 1, ::getpid()));
      ::pause();
      ::_exit(0);
    }
    auto guest = reach_guest(folders(), name);
    for (int i = 0; !guest && i < 1000; ++i) {
      ::usleep(10000);
      guest = reach_guest(folders(), name);
    }
    ASSERT_TRUE(guest) << guest.error().to_string();
    guest->connection.reset();  // the guest of this test has one at a time
    find_owner(*guest);
    EXPECT_EQ(guest->owner, is_true ? test : 0);
    ::kill(child, SIGKILL);
    EXPECT_EQ(wait_for_end(*guest, milliseconds(is_true ? 200 : 20000)), !is_true);
    int status = 0;
    EXPECT_EQ(::waitpid(child, &status, 0), child);
  }
}

TEST_F(GuestFinder, WithoutAProcessTheEndIsThatOfTheSocket) {
  {
    const FakeGuest one(path("one"), answer("one"));
    auto guest = reach_guest(folders(), "one");
    ASSERT_TRUE(guest);
    guest->process.reset();
    EXPECT_FALSE(wait_for_end(*guest, milliseconds(200)));
  }
  const FoundGuest gone{.name = "one", .path = path("one")};
  EXPECT_TRUE(wait_for_end(gone, milliseconds(20000)));
}

/// /run/gpuvm as the package makes it, for who is not in its group. In a child.
TEST_F(GuestFinder, AFolderThatIsClosedHidesNoGuestOfOnesOwn) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can be somebody else";
  }
  constexpr uid_t kNobody = 65534;
  const std::string closed = folder_.path() + "/closed";
  const std::string own = folder_.path() + "/own";
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  ASSERT_EQ(::mkdir(closed.c_str(), 0700), 0);
  ASSERT_EQ(::mkdir(own.c_str(), 0700), 0);
  ASSERT_EQ(::chown(own.c_str(), kNobody, kNobody), 0);
  const pid_t child = ::fork();
  if (child == 0) {
    const bool is_nobody = ::setgroups(0, nullptr) == 0 &&
                           ::setresgid(kNobody, kNobody, kNobody) == 0 &&
                           ::setresuid(kNobody, kNobody, kNobody) == 0;
    const std::vector<std::string> both = {closed, own};
    auto claim = GuestSocketClaim::take(own + "/mine.sock");
    if (!claim) {
      ::_exit(2);
    }
    auto listening = claim->listen();
    auto other = reach_guest(both, "other");
    const bool ok = is_nobody && listening && reach_guest(both, "mine").has_value() && !other &&
                    other.error().to_string().find("is closed to others") != std::string::npos &&
                    closed_folders(both) == std::vector<std::string>{closed};
    ::_exit(ok ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

/// Another user's guest, as this test's process sees it once it is nobody. In a child.
TEST_F(GuestFinder, WithoutTheRightItIsToldWho) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can be somebody else";
  }
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0755), 0);
  auto mine = GuestSocketClaim::take(path("mine"));
  auto shared = GuestSocketClaim::take(path("shared"));
  auto listening = mine->listen();
  auto listening_too = shared->listen(gid_t{0});
  const pid_t child = ::fork();
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    const bool is_nobody = ::setgroups(0, nullptr) == 0 &&
                           ::setresgid(kNobody, kNobody, kNobody) == 0 &&
                           ::setresuid(kNobody, kNobody, kNobody) == 0;
    const bool ok = is_nobody &&
                    error_of("mine").find("Only the user root may use") != std::string::npos &&
                    error_of("mine").find("[control] group") != std::string::npos &&
                    error_of("shared").find("the group root may use") != std::string::npos &&
                    list_guests(folders(), milliseconds(1000)).at(0).problem == "not allowed";
    ::_exit(ok ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace gpuvm::guest_finder_test
