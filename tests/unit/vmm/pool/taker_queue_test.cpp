// SPDX-License-Identifier: Apache-2.0
// Who wants a guest of a pool, and who is turned away, over real sockets.
#include "vmm/pool/taker_queue.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace gpuvm::pool::taker_queue_test {
namespace {

using testing::HasSubstr;
constexpr std::chrono::milliseconds kPatience{10000};

class TakerQueueTest : public testing::Test {
 protected:
  TakerQueueTest() {
    listener_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    address_.sun_family = AF_UNIX;
    // An abstract name: nothing is left of it.
    const std::string name = fmt::format("gpuvm-taker-queue-{}", ::getpid());
    std::memcpy(address_.sun_path + 1, name.data(), name.size());
    size_ = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
    EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address_), size_), 0);
    EXPECT_EQ(::listen(listener_.get(), 128), 0);
  }
  UniqueFd connect() {
    UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address_), size_), 0);
    queue_.admit(listener_.get(), std::chrono::steady_clock::now());
    return fd;
  }
  /// All that has come is heard.
  void serve() {
    std::vector<pollfd> polled;
    queue_.add_to(polled);
    ASSERT_GE(::poll(polled.data(), polled.size(), 0), 0);
    queue_.serve(polled);
    queue_.drop_late(now_);
  }
  UniqueFd ask(const std::string& machine = "cpus = 1\n") {
    auto fd = connect();
    EXPECT_TRUE(send_line(fd.get(), to_line(TakeRequest{.machine = machine}), kPatience));
    serve();
    return fd;
  }
  static Error answer_to(const UniqueFd& fd) {
    LineReceiver lines(LineReceiver::Descriptors::kTaken);
    const auto received = receive_line(lines, fd.get(), kPatience, "The pool");
    EXPECT_TRUE(received);
    const auto answer = read_take_answer(lines.line());
    EXPECT_FALSE(answer);
    return answer ? Error(ErrorKind::kInternal, "a guest") : answer.error();
  }
  std::size_t waiting() {
    std::vector<pollfd> polled;
    queue_.add_to(polled);
    return polled.size();
  }

  sockaddr_un address_{};
  socklen_t size_ = 0;
  UniqueFd listener_;
  static constexpr gid_t kGroup = 4242;
  std::optional<Peer> who_ = {};  ///< in place of who it is
  TakerQueue queue_{{.pool = "ci", .machine = "cpus = 1\n", .group = kGroup, .who = [this](int fd) {
                       return who_ ? who_ : peer_of(fd);
                     }}};
  TakerQueue::Time now_ = std::chrono::steady_clock::now();
};

TEST_F(TakerQueueTest, InTheOrderInWhichTheyCame) {
  EXPECT_EQ(queue_.first(), -1);
  const auto silent = connect();
  const auto one = ask();
  const auto two = ask();
  const int first = queue_.first();
  ASSERT_GE(first, 0);
  ASSERT_TRUE(send_line(first, "you", kPatience));
  queue_.first_is_served();
  LineReceiver lines(LineReceiver::Descriptors::kTaken);
  ASSERT_TRUE(receive_line(lines, one.get(), kPatience, "x"));
  EXPECT_EQ(lines.line(), "you");
  EXPECT_GE(queue_.first(), 0);
  queue_.first_is_served();
  EXPECT_EQ(queue_.first(), -1);
  EXPECT_EQ(waiting(), 1U) << "who has not asked yet";
}

TEST_F(TakerQueueTest, WhoWantsAnotherMachine) {
  const auto fd = ask("cpus = 4\n");
  EXPECT_EQ(queue_.first(), -1);
  const Error refused = answer_to(fd);
  EXPECT_EQ(refused.kind(), ErrorKind::kConfig);
  EXPECT_THAT(refused.message(), HasSubstr("`cpus = 4` is wanted"));
}

TEST_F(TakerQueueTest, WhoAsksNonsense) {
  const auto fd = connect();
  ASSERT_TRUE(send_line(fd.get(), "GET /v1/vm HTTP/1.1", kPatience));
  serve();
  EXPECT_EQ(answer_to(fd).kind(), ErrorKind::kUsage);
  EXPECT_EQ(waiting(), 0U);
}

TEST_F(TakerQueueTest, WhoAsksTwice) {
  const auto fd = ask();
  ASSERT_GE(queue_.first(), 0);
  ASSERT_TRUE(send_line(fd.get(), to_line(TakeRequest{.machine = "cpus = 1\n"}), kPatience));
  serve();
  EXPECT_EQ(queue_.first(), -1);
}

TEST_F(TakerQueueTest, WhoIsGone) {
  auto fd = ask();
  fd.reset();
  serve();
  EXPECT_EQ(queue_.first(), -1);
  EXPECT_EQ(waiting(), 0U);
}

// The socket stays readable then: the pool does not turn for it all the time.
TEST_F(TakerQueueTest, WithoutAFileToOpenItRestsForASecond) {
  const UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(fd.get(), reinterpret_cast<sockaddr*>(&address_), size_), 0);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit none{.rlim_cur = 0, .rlim_max = before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
  queue_.admit(listener_.get(), now_);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &before), 0);
  const auto later = now_ + std::chrono::seconds(1);
  EXPECT_FALSE(queue_.listens(now_));
  EXPECT_EQ(queue_.drop_late(now_), later);
  EXPECT_EQ(waiting(), 0U);
  ASSERT_TRUE(queue_.listens(later));
  queue_.admit(listener_.get(), later);
  EXPECT_EQ(waiting(), 1U);
}

// Who waits is told why in vain, whether he has asked yet or not.
TEST_F(TakerQueueTest, ThePoolEnds) {
  const auto patient = ask();
  const auto silent = connect();
  queue_.refuse_all();
  EXPECT_EQ(waiting(), 0U);
  for (const UniqueFd* const fd : {&patient, &silent}) {
    const Error refused = answer_to(*fd);
    EXPECT_EQ(refused.kind(), ErrorKind::kHost);
    EXPECT_THAT(refused.message(), HasSubstr("The pool ci ends"));
  }
}

TEST_F(TakerQueueTest, WhoSaysNothing) {
  const auto silent = connect();
  const auto next = queue_.drop_late(now_);
  ASSERT_TRUE(next);
  EXPECT_LE(*next, std::chrono::steady_clock::now() + std::chrono::seconds(5));
  const auto patient = ask();
  EXPECT_EQ(queue_.drop_late(*next + std::chrono::seconds(1)), std::nullopt);
  EXPECT_EQ(waiting(), 1U) << "who has asked waits as long as he likes";
}

TEST_F(TakerQueueTest, TooMany) {
  std::vector<UniqueFd> all;
  for (int i = 0; i < 64; ++i) {
    all.push_back(connect());
  }
  const auto one_more = connect();
  EXPECT_THAT(answer_to(one_more).message(), HasSubstr("try later"));
  EXPECT_EQ(waiting(), 64U);
}

TEST_F(TakerQueueTest, AMemberOfTheGroupKeepsNobodyElseAway) {
  const uid_t member = ::geteuid() + 1000;
  who_ = Peer{.user = member, .groups = {kGroup}};
  std::vector<UniqueFd> all;
  for (int i = 0; i < 16; ++i) {
    all.push_back(connect());
  }
  EXPECT_THAT(answer_to(connect()).message(), HasSubstr("of this user"));
  for (uid_t other = 1; other <= 2; ++other) {
    who_->user = member + other;
    for (int i = 0; i < 16; ++i) {
      all.push_back(connect());
    }
  }
  EXPECT_EQ(waiting(), 48U);
  who_->user = member + 3;
  EXPECT_THAT(answer_to(connect()).message(), HasSubstr("try later"));
  who_.reset();
  all.push_back(connect());
  EXPECT_EQ(waiting(), 49U) << "the pool's own user";
}

TEST_F(TakerQueueTest, ADescriptorThatComesAlongIsNotKept) {
  const auto fd = connect();
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK), 0);
  const UniqueFd reading(ends[0]);
  UniqueFd writing(ends[1]);
  const std::string request = to_line(TakeRequest{.machine = "cpus = 1\n"});
  ASSERT_TRUE(send_line(fd.get(), request, kPatience, writing.get()));
  writing.reset();
  serve();
  EXPECT_GE(queue_.first(), 0);
  char byte = 0;
  EXPECT_EQ(::read(reading.get(), &byte, 1), 0) << "the last one who could write is gone";
}

}  // namespace
}  // namespace gpuvm::pool::taker_queue_test
