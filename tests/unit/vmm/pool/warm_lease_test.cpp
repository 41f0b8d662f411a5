// SPDX-License-Identifier: Apache-2.0
// Who takes a guest, against a pool and a guest's control socket that are made up.
#include "vmm/pool/warm_lease.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <thread>

namespace gpuvm::pool::warm_lease_test {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
constexpr milliseconds kPatience{20000};

/// Accepts one client and does something with it.
class Server {
 public:
  Server(std::string path, std::function<void(UniqueFd)> serve) : path_(std::move(path)) {
    socket_.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path_.data(), path_.size());
    EXPECT_EQ(::bind(socket_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    EXPECT_EQ(::listen(socket_.get(), 8), 0);
    thread_ = std::thread([this, serve = std::move(serve)] {
      serve(UniqueFd(::accept(socket_.get(), nullptr, nullptr)));
    });
  }
  ~Server() {
    ::shutdown(socket_.get(), SHUT_RDWR);
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

 private:
  const std::string path_;
  UniqueFd socket_;
  std::thread thread_;
};

class WarmLeaseTest : public testing::Test {
 protected:
  WarmLeaseTest() {
    std::string name = "/tmp/warm-lease-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
    pools_end_.reset(ends[0]);
    guests_end_.reset(ends[1]);
  }
  ~WarmLeaseTest() override { std::filesystem::remove_all(folder_); }
  std::string path(const char* name) const { return folder_ + "/" + name; }
  /// A pool that gives the guest away.
  std::function<void(UniqueFd)> generous() {
    return [this](UniqueFd client) {
      LineReceiver lines(LineReceiver::Descriptors::kTaken);
      if (receive_line(lines, client.get(), kPatience, "client")) {
        asked_ = read_take_request(lines.line()).value_or(TakeRequest{}).machine;
        const TakenGuest guest{.name = "ci-1", .socket = path("guest.sock"), .pid = 5};
        const auto sent = send_line(client.get(), to_line(guest), kPatience, pools_end_.get());
        EXPECT_TRUE(sent);
        pools_end_.reset();
      }
    };
  }
  Result<WarmLease> take(milliseconds limit = kPatience, int interrupt = -1) {
    return WarmLease::take(path("x.pool"), "cpus = 1\n", limit, interrupt);
  }

  std::string folder_;
  UniqueFd pools_end_;
  UniqueFd guests_end_;
  std::string asked_;
};

TEST_F(WarmLeaseTest, IsGivenWithItsGuest) {
  const Server pool(path("x.pool"), generous());
  auto lease = take();
  ASSERT_TRUE(lease) << lease.error().to_string();
  EXPECT_EQ(lease->guest().name, "ci-1");
  ASSERT_TRUE(lease->say({.kind = LeaseWord::Kind::kGo, .words = "run=\n"}));
  LineReceiver lines(LineReceiver::Descriptors::kTaken);
  ASSERT_TRUE(receive_line(lines, guests_end_.get(), kPatience, "taker"));
  EXPECT_EQ(read_lease_word(lines.line())->words, "run=\n");
  MemberWord word;
  EXPECT_EQ(lease->hear(word), LineReceiver::Progress::kMore);
  ASSERT_TRUE(send_line(guests_end_.get(), to_line(MemberWord{.kind = MemberWord::Kind::kRuns}),
                        kPatience));
  const auto heard = lease->await(kPatience);
  ASSERT_TRUE(heard);
  EXPECT_EQ(heard->kind, MemberWord::Kind::kRuns);
  EXPECT_EQ(asked_, "cpus = 1\n");
}

// What ends the guest of a job that was killed.
TEST_F(WarmLeaseTest, ItsEndIsSeenByTheGuest) {
  const Server pool(path("x.pool"), generous());
  { const auto lease = take(); }
  LineReceiver lines(LineReceiver::Descriptors::kTaken);
  EXPECT_FALSE(receive_line(lines, guests_end_.get(), kPatience, "taker"));
}

// A gpuvm that its guest has taken over must not keep the job from its signals.
TEST_F(WarmLeaseTest, AGuestThatDoesNotStopTalkingIsHeardNoMore) {
  const Server pool(path("x.pool"), generous());
  auto lease = take();
  ASSERT_TRUE(lease);
  for (unsigned i = 0; i <= kMostMemberWords; ++i) {
    const auto said = send_line(guests_end_.get(), to_line(MemberWord{}), kPatience);
    ASSERT_TRUE(said);
  }
  MemberWord word;
  unsigned heard = 0;
  auto progress = LineReceiver::Progress::kLine;
  while ((progress = lease->hear(word)) == LineReceiver::Progress::kLine) {
    ++heard;
  }
  EXPECT_EQ(progress, LineReceiver::Progress::kWrong);
  EXPECT_EQ(heard, kMostMemberWords);
}

TEST_F(WarmLeaseTest, NoSuchPool) {
  const auto lease = take();
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(lease.error().message(), HasSubstr("There is no pool"));
}

// Also where it is said before anything was asked.
TEST_F(WarmLeaseTest, ARefusalIsThePools) {
  const Server pool(path("x.pool"), [](UniqueFd client) {
    const auto sent =
        send_line(client.get(), refusal_line(fail(ErrorKind::kConfig, "Other guests")), kPatience);
    EXPECT_TRUE(sent);
  });
  const auto lease = take();
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind(), ErrorKind::kConfig);
  EXPECT_EQ(lease.error().message(), "Other guests");
}

TEST_F(WarmLeaseTest, AGuestWithoutALease) {
  const Server pool(path("x.pool"), [](UniqueFd client) {
    const auto sent =
        send_line(client.get(), to_line(TakenGuest{.name = "x", .socket = "/x"}), kPatience);
    EXPECT_TRUE(sent);
  });
  EXPECT_FALSE(take());
}

TEST_F(WarmLeaseTest, APoolThatEnds) {
  const Server pool(path("x.pool"), [](UniqueFd client) {
    LineReceiver lines(LineReceiver::Descriptors::kTaken);
    EXPECT_TRUE(receive_line(lines, client.get(), kPatience, "client"));
  });
  const auto lease = take();
  ASSERT_FALSE(lease);
  EXPECT_THAT(lease.error().message(), HasSubstr("has ended"));
}

TEST_F(WarmLeaseTest, APoolThatHasNoGuestInTime) {
  UniqueFd kept;
  const Server pool(path("x.pool"), [&kept](UniqueFd client) { kept = std::move(client); });
  const auto lease = take(milliseconds(100));
  ASSERT_FALSE(lease);
  EXPECT_THAT(lease.error().message(), HasSubstr("had no guest"));
}

TEST_F(WarmLeaseTest, ASignalEndsTheWait) {
  UniqueFd kept;
  const Server pool(path("x.pool"), [&kept](UniqueFd client) { kept = std::move(client); });
  const UniqueFd signalled(::eventfd(1, EFD_CLOEXEC));
  const auto lease = take(kPatience, signalled.get());
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().kind(), ErrorKind::kCancelled);
}

/// Reads a request, which has no body, to its end, and answers.
std::function<void(UniqueFd)> answering(std::string& request, const std::string& answer) {
  return [&request, answer](UniqueFd client) {
    std::array<char, 4096> bytes{};
    while (request.find("\r\n\r\n") == std::string::npos) {
      const ssize_t count = ::read(client.get(), bytes.data(), bytes.size());
      if (count <= 0) {
        return;
      }
      request.append(bytes.data(), static_cast<std::size_t>(count));
    }
    EXPECT_EQ(::write(client.get(), answer.data(), answer.size()),
              static_cast<ssize_t>(answer.size()));
  };
}

TEST_F(WarmLeaseTest, PlugsACardIn) {
  std::string request;
  Status attached;
  {
    const Server guest(path("guest.sock"), answering(request, "HTTP/1.1 204 No Content\r\n\r\n"));
    const Server pool(path("x.pool"), generous());
    const auto lease = take();
    ASSERT_TRUE(lease);
    attached = lease->attach("0000:01:00.0");
  }
  EXPECT_TRUE(attached) << attached.error().to_string();
  EXPECT_TRUE(request.starts_with("PUT /v1/attach?device=0000:01:00.0 HTTP/1.1\r\n")) << request;
}

TEST_F(WarmLeaseTest, ACardThatIsRefused) {
  std::string request;
  const Server guest(path("guest.sock"),
                     answering(request,
                               "HTTP/1.1 409 Conflict\r\nContent-Type: application/json\r\n"
                               "Content-Length: 29\r\n\r\n{\"error\": \"No port is free.\"}"));
  const Server pool(path("x.pool"), generous());
  const auto lease = take();
  ASSERT_TRUE(lease);
  const auto attached = lease->attach("0000:01:00.0");
  ASSERT_FALSE(attached);
  EXPECT_EQ(attached.error().kind(), ErrorKind::kWrongState);
  EXPECT_THAT(attached.error().to_string(), HasSubstr("0000:01:00.0"));
}

TEST_F(WarmLeaseTest, AGuestThatIsGone) {
  const Server pool(path("x.pool"), generous());
  auto lease = take();
  ASSERT_TRUE(lease);
  guests_end_.reset();
  EXPECT_FALSE(lease->await(kPatience));
  EXPECT_FALSE(lease->attach("0000:01:00.0"));
}

}  // namespace
}  // namespace gpuvm::pool::warm_lease_test
