// SPDX-License-Identifier: Apache-2.0
// WordListener at Unix sockets, which are heard as vsock's are.
#include "vmm/channels/word_listener.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>

#include "vmm/base/mutex.hpp"

namespace gpuvm::word_listener_test {
namespace {

using std::chrono_literals::operator""s;
using std::chrono_literals::operator""ms;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Protocol = WordListener::Protocol;

constexpr auto kPatience = 20s;  // of the test

class WordListenerTest : public ::testing::Test {
 protected:
  WordListenerTest() {
    std::string pattern = ::testing::TempDir() + "/gpuvm-words-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~WordListenerTest() override {
    listener_.reset();
    std::filesystem::remove_all(folder_);
  }
  sockaddr_un address_of(const std::string& name) const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const auto path = folder_ + "/" + name;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    return address;
  }
  UniqueFd listen_at(const std::string& name) const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const auto address = address_of(name);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(fd.get(), 256), 0);
    return fd;
  }
  void start(std::chrono::milliseconds patience = 10s, bool hears = true) {
    WordListener::Options options;
    options.endpoints.push_back(
        {.socket = listen_at("line"), .protocol = Protocol::kLine, .teller = &lines_});
    options.endpoints.push_back({.socket = listen_at("notify"),
                                 .protocol = Protocol::kNotification,
                                 .teller = &notifications_});
    options.is_guest = [hears](const sockaddr_storage&) { return hears; };
    options.patience = patience;
    auto listener = WordListener::start(std::move(options));
    ASSERT_TRUE(listener) << listener.error().to_string();
    listener_ = std::move(listener).value();
  }
  UniqueFd connect_to(const std::string& name) const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const auto address = address_of(name);
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  static void say(const UniqueFd& fd, std::string_view text) {
    const auto sent = ::send(fd.get(), text.data(), text.size(), MSG_NOSIGNAL);
    EXPECT_EQ(sent, static_cast<ssize_t>(text.size()));
  }
  /// The other side has closed it.
  static bool is_closed(const UniqueFd& fd) {
    char byte = 0;
    return ::recv(fd.get(), &byte, 1, 0) <= 0;
  }
  void say_all(const std::string& name, std::string_view text) const {
    const auto fd = connect_to(name);
    say(fd, text);
    ::shutdown(fd.get(), SHUT_WR);
    EXPECT_TRUE(is_closed(fd));
  }
  std::vector<std::string> words() {
    const MutexLock lock(mutex_);
    return words_;
  }
  std::string inspected(std::string_view field) const {
    InspectNode node;
    listener_->inspect(node);
    return std::string(node.get(field));
  }
  bool wait_inspected(std::string_view field, std::string_view value) const {
    const auto end = std::chrono::steady_clock::now() + kPatience;
    while (inspected(field) != value) {
      if (std::chrono::steady_clock::now() > end) {
        return false;
      }
      std::this_thread::yield();
    }
    return true;
  }
  void note(const GuestWord& word) {
    const MutexLock lock(mutex_);
    words_.push_back(word.channel + " " + word.word +
                     (word.status ? " " + std::to_string(*word.status) : ""));
  }

  std::string folder_;
  Mutex mutex_;
  std::vector<std::string> words_ GPUVM_GUARDED_BY(mutex_);
  WordTeller lines_{"vsock", "vsock", [this](const GuestWord& word) { note(word); }};
  WordTeller notifications_{"notify", "notifications",
                            [this](const GuestWord& word) { note(word); }};
  std::unique_ptr<WordListener> listener_;
};

// As where other threads have all files open that the process may have, for a moment.
TEST_F(WordListenerTest, HearsAgainWhenFilesCanBeOpenedAgain) {
  start();
  const UniqueFd early = connect_to("line");
  say(early, "3\n");
  EXPECT_TRUE(is_closed(early));
  UniqueFd late(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  rlimit none = before;
  none.rlim_cur = 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  const auto address = address_of("line");
  EXPECT_EQ(::connect(late.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  say(late, "4\n");
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (inspected("rests") == "0" && std::chrono::steady_clock::now() < end) {
    std::this_thread::yield();
  }
  const bool has_rested = inspected("rests") != "0";
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_TRUE(has_rested);
  EXPECT_TRUE(is_closed(late));
  EXPECT_THAT(words(), ElementsAre("vsock exit 3", "vsock exit 4"));
}

// The answer to a line is the end of the connection, which whoever writes need not ask for.
TEST_F(WordListenerTest, OneLineThenClosed) {
  start();
  const auto fd = connect_to("line");
  say(fd, "{\"exit\"");
  say(fd, ":3}\r\n4\n");
  EXPECT_TRUE(is_closed(fd));
  say_all("line", "READY");
  say_all("line", "nonsense\n");
  EXPECT_THAT(words(), ElementsAre("vsock exit 3", "vsock ready"));
}

TEST_F(WordListenerTest, ANotificationCountsAtItsEnd) {
  start();
  const auto fd = connect_to("notify");
  say(fd, "READY=1\nEXIT_STATUS=1");
  EXPECT_THAT(words(), IsEmpty());
  say(fd, "2");
  ::shutdown(fd.get(), SHUT_WR);
  EXPECT_TRUE(is_closed(fd));
  EXPECT_THAT(words(), ElementsAre("notify ready", "notify exit 12"));
}

// systemd's first process says one thing after the other and waits for the end of each: hundreds
// are a boot's, and none may wait for another.
TEST_F(WordListenerTest, ManyMessagesTakeNoTime) {
  start();
  const auto idle = connect_to("notify");
  const auto begin = std::chrono::steady_clock::now();
  for (unsigned i = 0; i < 300; ++i) {
    say_all("notify", "X_SYSTEMD_UNIT_ACTIVE=a.target\n");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 10s) << "2 s for each, where nobody closes";
  EXPECT_THAT(words(), IsEmpty());
}

TEST_F(WordListenerTest, StrangersAreNotHeard) {
  start(10s, false);
  const auto fd = connect_to("line");
  ::send(fd.get(), "3\n", 2, MSG_NOSIGNAL);
  EXPECT_TRUE(is_closed(fd));
  EXPECT_TRUE(wait_inspected("strangers", "1"));
  listener_->finish();
  EXPECT_THAT(words(), IsEmpty());
}

TEST_F(WordListenerTest, ConnectionsAreBounded) {
  start();
  std::vector<UniqueFd> fds;
  for (unsigned i = 0; i < 100; ++i) {
    fds.push_back(connect_to("line"));
  }
  EXPECT_TRUE(wait_inspected("connections", "100"));
  EXPECT_TRUE(wait_inspected("broken_off", "84"));
  EXPECT_TRUE(is_closed(fds.front())) << "the oldest";
  say(fds.back(), "3\n");
  EXPECT_TRUE(is_closed(fds.back()));
  EXPECT_THAT(words(), ElementsAre("vsock exit 3"));
}

TEST_F(WordListenerTest, AnEndlessLineAndAnEndlessMessage) {
  start();
  for (const std::string name : {"line", "notify"}) {
    const auto fd = connect_to(name);
    const std::string much(1000, '1');
    while (::send(fd.get(), much.data(), much.size(), MSG_NOSIGNAL) > 0) {
    }
    EXPECT_TRUE(is_closed(fd)) << name;
  }
  EXPECT_THAT(words(), IsEmpty());
}

// Half a status is not a status.
TEST_F(WordListenerTest, WhoTakesTooLongIsNotHeard) {
  start(100ms);
  const auto line = connect_to("line");
  say(line, "1");
  const auto message = connect_to("notify");
  say(message, "EXIT_STATUS=1");
  EXPECT_TRUE(is_closed(line));
  EXPECT_TRUE(is_closed(message));
  EXPECT_EQ(inspected("broken_off"), "2");
  EXPECT_THAT(words(), IsEmpty());
}

// The guest powers off right behind its last word.
TEST_F(WordListenerTest, WhatHasArrivedIsHeardAtTheEnd) {
  start();
  std::vector<UniqueFd> fds;
  for (unsigned i = 0; i < 10; ++i) {
    fds.push_back(connect_to("line"));
    say(fds.back(), std::to_string(i) + "\n");
  }
  const auto open = connect_to("line");
  listener_->finish();
  EXPECT_EQ(words().size(), 10U);
  EXPECT_TRUE(is_closed(open));
  listener_->finish();
}

}  // namespace
}  // namespace gpuvm::word_listener_test
