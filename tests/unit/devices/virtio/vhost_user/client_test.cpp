// SPDX-License-Identifier: Apache-2.0
// The front-end against a server that is good, and against ones that are not.
#include "devices/virtio/vhost_user/client.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/socket.h>

#include <array>
#include <future>

#include "tests/unit/devices/virtio/vhost_user/fake_server.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::vhost_user_client_test {
namespace {

using test::FakeServer;
using ::testing::HasSubstr;
using vhost_user::bytes_of;
using vhost_user::Client;
using vhost_user::Request;

constexpr std::chrono::seconds kLong{30};

TEST(VhostUserClientTest, WhatIsAgreedUpon) {
  FakeServer server;
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client) << client.error().to_string();
  EXPECT_EQ((*client)->features(), server.features & ~vhost_user::kFeatureProtocolFeatures);
  EXPECT_EQ((*client)->own_features(), vhost_user::kFeatureProtocolFeatures);
  EXPECT_TRUE((*client)->has(vhost_user::kProtocolConfig | vhost_user::kProtocolReplyAck));
  EXPECT_EQ((*client)->queue_limit(), 4U);
  EXPECT_FALSE((*client)->is_lost());
}

TEST(VhostUserClientTest, OfFeaturesThatWeDoNotKnowNoneIsTaken) {
  FakeServer server;
  server.protocol_features = ~std::uint64_t{0};
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client);
  const auto set = server.payloads(Request::kSetProtocolFeatures);
  ASSERT_EQ(set.size(), 1U);
  EXPECT_EQ(load_le(set[0]), vhost_user::kProtocolMq | vhost_user::kProtocolReplyAck |
                                 vhost_user::kProtocolBackendReq | vhost_user::kProtocolConfig);
}

TEST(VhostUserClientTest, AServerThatHasNoProtocolFeatures) {
  FakeServer server;
  server.features = virtio::kFeatureVersion1;
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client) << client.error().to_string();
  EXPECT_FALSE((*client)->has(vhost_user::kProtocolConfig));
  EXPECT_FALSE((*client)->queue_limit());
  const auto config = (*client)->config(8);
  ASSERT_FALSE(config);
  EXPECT_FALSE((*client)->is_lost());
  // Nobody waits for an answer that does not come.
  EXPECT_TRUE((*client)->tell(Request::kSetOwner, {}));
}

TEST(VhostUserClientTest, AServerOfOldVirtioIsRefused) {
  FakeServer server;
  server.features = 0;
  const auto client = Client::create(server.start(), {.name = "the disk's server"});
  ASSERT_FALSE(client);
  EXPECT_EQ(client.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(client.error().to_string(), HasSubstr("the disk's server knows no virtio 1"));
}

TEST(VhostUserClientTest, TheConfigurationAndItsChanges) {
  FakeServer server;
  server.set_config(vhost_user::Bytes(8, std::byte{1}));
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client);
  auto config = (*client)->config(8);
  ASSERT_TRUE(config);
  EXPECT_EQ(*config, vhost_user::Bytes(8, std::byte{1}));
  std::promise<vhost_user::Bytes> changed;
  (*client)->set_config_listener([&] { changed.set_value((*client)->config(8).value()); });
  server.set_config(vhost_user::Bytes(8, std::byte{2}));
  // One that wants an answer gets it, and before anybody asks for the configuration.
  ASSERT_TRUE(server.ask({.request = 2, .flags = 1 | vhost_user::kNeedReply}));
  const auto answer = server.receive_answer();
  ASSERT_TRUE(answer);
  EXPECT_EQ(load_le(answer->payload), 0U);
  auto future = changed.get_future();
  ASSERT_EQ(future.wait_for(kLong), std::future_status::ready);
  EXPECT_EQ(future.get(), vhost_user::Bytes(8, std::byte{2}));
  // What we do not know is refused, and does no harm.
  (*client)->set_config_listener({});
  ASSERT_TRUE(server.ask({.request = 99, .flags = 1 | vhost_user::kNeedReply}));
  const auto refusal = server.receive_answer();
  ASSERT_TRUE(refusal);
  EXPECT_EQ(load_le(refusal->payload), 1U);
  EXPECT_FALSE((*client)->is_lost());
}

TEST(VhostUserClientTest, ARefusalIsAnErrorAndNoLoss) {
  FakeServer server;
  server.on(Request::kSetFeatures,
            [](FakeServer& self, FakeServer::Received& message) { self.acknowledge(message, 1); });
  const auto client = Client::create(server.start(), {.name = "server"});
  ASSERT_TRUE(client);
  const std::uint64_t features = 0;
  const auto told = (*client)->tell(Request::kSetFeatures, bytes_of(features));
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().to_string(), "server refused SET_FEATURES");
  EXPECT_FALSE((*client)->is_lost());
  EXPECT_TRUE((*client)->config(4));
}

struct Loss {
  std::promise<std::string> promise;
  std::future<std::string> future = promise.get_future();
  Client::Options options(std::chrono::milliseconds timeout = kLong) {
    return {.name = "server", .timeout = timeout, .on_lost = [this](const Error& error) {
              promise.set_value(error.to_string());
            }};
  }
  std::string text() {
    return future.wait_for(kLong) == std::future_status::ready ? future.get() : "nothing";
  }
};

// Nobody asks it anything: its end is noticed all the same.
TEST(VhostUserClientTest, AServerThatGoesIsNoticedAtOnce) {
  FakeServer server;
  Loss loss;
  const auto client = Client::create(server.start(), loss.options());
  ASSERT_TRUE(client);
  std::promise<void> also;
  (*client)->set_loss_listener([&](const Error&) { also.set_value(); });
  server.hang_up();
  EXPECT_EQ(loss.text(), "server does not serve any more: it closed the connection");
  EXPECT_EQ(also.get_future().wait_for(kLong), std::future_status::ready);
  const auto told = (*client)->tell(Request::kSetOwner, {});
  ASSERT_FALSE(told);
  EXPECT_THAT(told.error().to_string(), HasSubstr("it closed the connection"));
}

TEST(VhostUserClientTest, ASilentServerIsLost) {
  FakeServer server;
  Loss loss;
  server.on(Request::kGetConfig, [](FakeServer&, FakeServer::Received&) {});
  const auto client = Client::create(server.start(), loss.options(std::chrono::milliseconds(50)));
  ASSERT_TRUE(client);
  EXPECT_FALSE((*client)->config(8));
  EXPECT_EQ(loss.text(), "server does not serve any more: it does not answer in time");
}

/// What a server answers GET_CONFIG with, and what is said about it.
struct BadAnswer {
  const char* about;
  std::function<void(FakeServer&, const FakeServer::Received&)> answer;
  const char* text;
};

std::vector<BadAnswer> bad_answers() {
  using Received = FakeServer::Received;
  const std::uint64_t nothing = 0;
  return {
      {"another request",
       [](FakeServer& self, const Received& message) {
         auto other = Received{.header = {.request = 1}};
         self.answer(other, message.payload);
       },
       "it answered GET_CONFIG with message 1 of 20 bytes"},
      {"too short",
       [nothing](FakeServer& self, const Received& message) {
         self.answer(message, bytes_of(nothing));
       },
       "it answered GET_CONFIG with message 24 of 8 bytes"},
      {"too long for anything",
       [](FakeServer& self, const Received&) {
         self.send({.request = 24, .flags = 5, .size = 0xffffffff}, {});
       },
       "it sent a message of 4294967295 bytes"},
      {"another version",
       [](FakeServer& self, const Received&) {
         self.send({.request = 24, .flags = 6, .size = 0}, {});
       },
       "it sent a message of 0 bytes with flags 0x6"},
      {"no answer but a request",
       [](FakeServer& self, const Received& message) {
         self.send({.request = 24, .flags = 1, .size = 20}, message.payload);
       },
       "it answered GET_CONFIG with message 24"},
      {"half of one",
       [](FakeServer& self, const Received&) {
         self.send({.request = 24, .flags = 5, .size = 20}, {});
       },
       "it does not answer in time"},
      {"with descriptors",
       [](FakeServer& self, const Received& message) {
         const std::array<int, 2> fds{STDIN_FILENO, STDERR_FILENO};
         self.send({.request = 24, .flags = 5, .size = 20}, message.payload, fds);
       },
       "it sent file descriptors that nobody asked for"},
      {"hanging up", [](FakeServer& self, const Received&) { self.hang_up(); },
       "it closed the connection"},
  };
}

TEST(VhostUserClientTest, AServerThatBreaksTheProtocolIsLost) {
  for (const auto& bad : bad_answers()) {
    FakeServer server;
    Loss loss;
    server.on(Request::kGetConfig, [&bad](FakeServer& self, FakeServer::Received& message) {
      bad.answer(self, message);
    });
    const auto client =
        Client::create(server.start(), loss.options(std::chrono::milliseconds(200)));
    ASSERT_TRUE(client) << bad.about;
    EXPECT_FALSE((*client)->config(8)) << bad.about;
    EXPECT_THAT(loss.text(), HasSubstr(bad.text)) << bad.about;
  }
}

TEST(VhostUserClientTest, ABackendMessageThatIsNoneIsALoss) {
  FakeServer server;
  Loss loss;
  const auto client = Client::create(server.start(), loss.options());
  ASSERT_TRUE(client);
  ASSERT_TRUE(server.ask({.request = 2, .flags = 1, .size = 0x10000}));
  EXPECT_THAT(loss.text(), HasSubstr("it sent a message of 65536 bytes"));
}

TEST(VhostUserClientTest, WhatIsDestroyedTellsNobody) {
  FakeServer server;
  bool is_told = false;
  {
    const auto client = Client::create(
        server.start(), {.name = "server", .on_lost = [&](const Error&) { is_told = true; }});
    ASSERT_TRUE(client);
  }
  EXPECT_FALSE(is_told);
}

TEST(VhostUserClientTest, NobodyThere) {
  std::array<int, 2> ends{-1, -1};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()), 0);
  UniqueFd(ends[0]).reset();
  const auto client = Client::create(UniqueFd(ends[1]), {.name = "server"});
  ASSERT_FALSE(client);
  EXPECT_THAT(client.error().to_string(), HasSubstr("it closed the connection"));
}

}  // namespace
}  // namespace gpuvm::vhost_user_client_test
