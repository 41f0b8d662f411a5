// SPDX-License-Identifier: Apache-2.0
// Clients of the control socket that are broken, slow, many or hostile: the guest is not asked for
// anything, no descriptor is left, and others are served.
#include <sys/syscall.h>

#include <atomic>

#include "tests/unit/vmm/api/api_fixture.hpp"

namespace gpuvm::api_hostile_test {
namespace {

using test::ApiClient;
using testing::AnyOf;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class ApiHostileTest : public test::ApiTest {
 protected:
  static ApiServer::Options impatient() {
    auto made = options();
    made.limits.request = std::chrono::milliseconds(200);
    made.limits.linger = std::chrono::milliseconds(100);
    made.limits.stream_waiting = 64 * 1024;
    return made;
  }
  std::string answer_to(std::string_view bytes) {
    ApiClient client(path());
    client.send(bytes);
    return client.read_all();
  }
  void expect_well() {
    EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 200 "));
    EXPECT_THAT(control_.asked(), IsEmpty());
    EXPECT_TRUE(comes_to(0));
  }
};

TEST_F(ApiHostileTest, WhatIsNoRequest) {
  serve(impatient());
  const std::string zeros(100, '\0');
  for (const std::string& bytes :
       {std::string("\r\n\r\n\r\n\r\nhello\r\n\r\n"), zeros, std::string("GET\r\n\r\n"),
        std::string("PUT /v1/vm/stop HTTP/9.9\r\n\r\n"),
        std::string("PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
        std::string("PUT /v1/vm/stop HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        std::string("PUT http://x/v1/vm/stop HTTP/1.1\r\n\r\n"),
        std::string("PUT * HTTP/1.1\r\n\r\n"),
        std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11) + "\r\n\r\n"}) {
    const std::string answer = answer_to(bytes);
    EXPECT_THAT(answer, AnyOf(IsEmpty(), StartsWith("HTTP/1.1 400 "))) << bytes;
  }
  expect_well();
}

TEST_F(ApiHostileTest, TooLongHeadersAndBodies) {
  serve(impatient());
  const std::string much(1 << 20, 'x');
  EXPECT_THAT(answer_to("GET /v1/vm HTTP/1.1\r\nX: " + much.substr(0, 9000) + "\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(answer_to("GET /" + much.substr(0, 9000) + " HTTP/1.1\r\n\r\n"),
              StartsWith("HTTP/1.1 431 "));
  EXPECT_THAT(
      answer_to("PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 4097\r\n\r\n" + much.substr(0, 4097)),
      StartsWith("HTTP/1.1 413 "));
  EXPECT_THAT(answer_to("PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n"),
              StartsWith("HTTP/1.1 413 "));
  // A client that goes on sending sees its connection end, and the answer where it looks.
  ApiClient endless(path());
  endless.send("PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n" + much);
  EXPECT_THAT(endless.read_all(), StartsWith("HTTP/1.1 413 "));
  expect_well();
}

TEST_F(ApiHostileTest, SlowOnesAreDropped) {
  serve(impatient());
  ApiClient silent(path());
  ApiClient slow(path());
  slow.send("GET /v1/vm HTTP");
  ApiClient body(path());
  body.send("PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 4\r\n\r\nxx");
  EXPECT_TRUE(silent.is_over());
  EXPECT_TRUE(slow.is_over());
  EXPECT_TRUE(body.is_over());
  expect_well();
}

TEST_F(ApiHostileTest, AByteAtATimeIsARequestToo) {
  serve();
  ApiClient client(path());
  for (const char c : std::string_view("GET /v1/vm HTTP/1.1\r\nConnection: close\r\n\r\n")) {
    client.send({&c, 1});
  }
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ApiHostileTest, OnlySoManyAtATime) {
  serve();
  const std::size_t before = open_descriptors();
  {
    std::vector<std::unique_ptr<ApiClient>> clients;
    for (int i = 0; i < 32; ++i) {
      clients.push_back(std::make_unique<ApiClient>(path()));
      ASSERT_TRUE(clients.back()->is_connected());
    }
    ASSERT_TRUE(comes_to(32));
    ApiClient one_more(path());
    EXPECT_THAT(one_more.read_all(), StartsWith("HTTP/1.1 503 "));
    EXPECT_TRUE(one_more.is_over());
    EXPECT_EQ(connections(), 32U);
    clients[0]->send("GET /v1/vm HTTP/1.1\r\n\r\n");
    EXPECT_THAT(clients[0]->read_until("}\n"), StartsWith("HTTP/1.1 200 "));
  }
  EXPECT_TRUE(comes_to(0));
  EXPECT_EQ(open_descriptors(), before);
  EXPECT_THAT(control_.asked(), IsEmpty());
}

// Clients of another user, in the socket's group: none of them keeps root and gpuvm's user out.
TEST_F(ApiHostileTest, AMemberOfTheGroupLeavesRoomForRoot) {
  auto made = options();
  made.group = ::getegid();
  std::atomic<uid_t> user{12345};
  made.who = [&user](int socket) {
    auto peer = peer_of(socket);
    if (peer) {
      peer->user = user;
    }
    return peer;
  };
  serve(std::move(made));
  std::vector<std::unique_ptr<ApiClient>> clients;
  const auto connect = [&](std::size_t count, std::size_t in_all) {
    for (std::size_t i = 0; i < count; ++i) {
      clients.push_back(std::make_unique<ApiClient>(path()));
    }
    return comes_to(in_all);
  };
  ASSERT_TRUE(connect(12, 12));
  EXPECT_THAT(ask("GET", "/v1/vm"),
              AllOf(StartsWith("HTTP/1.1 503 "), HasSubstr("clients of this user")));
  user = 12346;
  ASSERT_TRUE(connect(12, 24));
  user = 12347;
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 503 "));
  user = 0;
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 200 "));
  user = ::geteuid();
  ASSERT_TRUE(connect(8, 32));
  clients.clear();
  EXPECT_TRUE(comes_to(0));
  user = 12345;
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 200 ")) << "seats are given back";
}

/// With an owner's process the control thread becomes sandbox.user, whose processes are not
/// gpuvm's.
TEST_F(ApiHostileTest, WhomTheControlThreadBecomesMaySteerNoGuest) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  auto made = options();
  std::atomic<uid_t> user{65534};
  made.who = [&user](int socket) {
    auto peer = peer_of(socket);
    if (peer) {
      peer->user = user;
    }
    return peer;
  };
  serve(std::move(made));
  long error = -1;
  on_control([&error] { error = ::syscall(SYS_setresuid, 65534, 65534, 65534); });  // of the thread
  ASSERT_EQ(error, 0);
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 403 "));
  user = 0;
  EXPECT_THAT(ask("GET", "/v1/vm"), StartsWith("HTTP/1.1 200 "));
}

TEST_F(ApiHostileTest, AThousandConnections) {
  serve();
  const std::size_t before = open_descriptors();
  std::size_t served = 0;
  std::size_t refused = 0;
  for (int i = 0; i < 1000; ++i) {
    ApiClient client(path());
    ASSERT_TRUE(client.is_connected());
    client.send(i % 3 == 0 ? "GET /v1/ev" : "GET /v1/openapi HTTP/1.1\r\n\r\n");
    if (i % 3 == 1) {
      const std::string& answer = client.read_until("\r\n");
      served += answer.starts_with("HTTP/1.1 200 ") ? 1U : 0U;
      refused += answer.starts_with("HTTP/1.1 503 ") ? 1U : 0U;
    }
  }
  EXPECT_EQ(served + refused, 333U);
  EXPECT_GT(served, 0U);
  EXPECT_TRUE(comes_to(0));
  EXPECT_EQ(open_descriptors(), before);
  expect_well();
}

TEST_F(ApiHostileTest, OneThatClosesWhileItsRequestIsCarriedOut) {
  serve();
  for (int i = 0; i < 50; ++i) {
    ApiClient client(path());
    client.send("GET /v1/inspect HTTP/1.1\r\n\r\n");
  }
  EXPECT_TRUE(comes_to(0));
  EXPECT_THAT(control_.asked(), IsEmpty());
}

TEST_F(ApiHostileTest, HalfClosedOnesGetTheirAnswer) {
  serve();
  ApiClient client(path());
  client.send("GET /v1/vm HTTP/1.1\r\n\r\n");
  client.end_input();
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 200 "));
  EXPECT_TRUE(client.is_over());
  EXPECT_TRUE(comes_to(0));
}

// nc(1) closes its direction at the end of its input, and reads on.
TEST_F(ApiHostileTest, AHalfClosedStreamGoesOnUntilItsReaderLeaves) {
  serve();
  ApiClient client(path());
  client.send("GET /v1/events HTTP/1.1\r\n\r\n");
  client.read_until("\r\n\r\n");
  client.end_input();
  control_.emit({.what = VsockReady{.cid = 5}});
  EXPECT_THAT(client.read_until("\"cid\":5"), HasSubstr("\"cid\":5"));
  EXPECT_EQ(connections(), 1U);
  client.leave();  // the guest says nothing more: this must be noticed all the same
  EXPECT_TRUE(comes_to(0));
}

TEST_F(ApiHostileTest, AReaderOfEventsThatDoesNotReadIsDropped) {
  serve(impatient());
  ApiClient client(path());
  client.send("GET /v1/events HTTP/1.1\r\n\r\n");
  client.read_until("\r\n\r\n");
  for (int i = 0; i < 2000; ++i) {
    control_.emit({.what = NetworkLost{.network = "net-0", .text = std::string(1000, 'x')}});
  }
  EXPECT_TRUE(comes_to(0));
  expect_well();
}

// Requests that come faster than their answers are read wait in the kernel, not here.
TEST_F(ApiHostileTest, ASenderThatDoesNotReadIsDropped) {
  serve(impatient());
  ApiClient client(path());
  std::string requests;
  for (int i = 0; i < 100; ++i) {
    requests += "GET /v1/openapi HTTP/1.1\r\n\r\n";
  }
  std::thread sender([&] {
    while (client.send(requests)) {
    }
  });
  sender.join();  // the server has closed
  EXPECT_TRUE(comes_to(0));
  expect_well();
}

// One who reads his answers and sends faster than they come: what is not answered yet must wait in
// the kernel's buffers, not in ours.
TEST_F(ApiHostileTest, RequestsAheadOfTheirAnswersStayInTheKernel) {
  serve();
  constexpr std::string_view kRequest = "GET /x HTTP/1.1\r\n\r\n";
  constexpr std::size_t kRequests = (1 << 20) / kRequest.size();
  ApiClient client(path());
  client.send(kRequest);
  const std::size_t answer = client.read_until("}\n").size();
  std::atomic<std::size_t> received{0};
  std::thread reader([&] {
    std::array<char, 65536> buffer;
    while (received < answer * kRequests) {
      const ssize_t count = ::recv(client.fd(), buffer.data(), buffer.size(), 0);
      if (count <= 0) {
        break;
      }
      received += static_cast<std::size_t>(count);
    }
  });
  std::string requests;
  for (std::size_t i = 0; i < kRequests; ++i) {
    requests += kRequest;
  }
  EXPECT_TRUE(client.send(requests));
  const std::size_t ahead = requests.size() - received / answer * kRequest.size();
  EXPECT_LT(ahead, 640U * 1024) << "buffers of a Unix socket are about 208 KiB";
  reader.join();
  EXPECT_EQ(received, answer * kRequests);
}

}  // namespace
}  // namespace gpuvm::api_hostile_test
