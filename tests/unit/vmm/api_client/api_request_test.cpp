// SPDX-License-Identifier: Apache-2.0
// Requests to a control socket whose other side is slow, huge, garbage, or gone.
#include "vmm/api_client/api_request.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/api_client/fake_guest.hpp"

namespace gpuvm::api_request_test {
namespace {

using std::chrono::milliseconds;
using test::FakeConnection;
using test::FakeGuest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr milliseconds kShort{300};
constexpr milliseconds kLong{20000};

class ApiRequests : public testing::Test {
 protected:
  std::string path() const { return folder_.path() + "/g.sock"; }
  UniqueFd connect() const {
    auto connected = connect_to_guest(path(), kLong);
    EXPECT_TRUE(connected.fd) << connected.error;
    return std::move(connected.fd);
  }
  Result<ApiAnswer> get(const ApiLimits& limits = {}) const {
    return ask(connect(), "GET", "/v1/vm", limits);
  }
  /// What is said to an answer that is none.
  std::string error_of(const std::string& answer, const ApiLimits& limits = {}) const {
    const FakeGuest guest(path(), answer);
    auto got = get(limits);
    return got ? "none: " + got->body : got.error().to_string();
  }
  Result<ApiAnswer> lines(std::vector<std::string>& said, const LineOptions& options = {}) const {
    return read_lines(connect(), "/v1/events", options, [&said](std::string_view line) {
      said.emplace_back(line);
      return line != "last";
    });
  }

  test::ScratchFolder folder_;
};

/// Time that something takes.
class Watch {
 public:
  milliseconds elapsed() const {
    return std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - start_);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

TEST_F(ApiRequests, AskAndAnswer) {
  std::string request;
  {
    const FakeGuest guest(path(), [&request](FakeConnection& connection) {
      request = connection.read_request();
      connection.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    });
    auto answer = get();
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->status, 200U);
    EXPECT_EQ(answer->body, "hello");
  }
  EXPECT_THAT(request, testing::StartsWith("GET /v1/vm HTTP/1.1\r\nHost: "));
  EXPECT_THAT(request, HasSubstr("\r\nConnection: close\r\n"));
}

TEST_F(ApiRequests, AnAnswerWithoutABody) {
  std::string request;
  {
    const FakeGuest guest(path(), [&request](FakeConnection& connection) {
      request = connection.read_request();
      connection.write("HTTP/1.1 204 No Content\r\n\r\n");
      connection.hang();  // it is complete without the end of the connection
    });
    auto answer = ask(connect(), "PUT", "/v1/vm/pause");
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->status, 204U);
    EXPECT_EQ(answer->body, "");
  }
  EXPECT_THAT(request, HasSubstr("\r\nContent-Length: 0\r\n"));
}

TEST_F(ApiRequests, BytesOneByOne) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    for (const char c : std::string_view("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                         "3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n")) {
      connection.write(std::string_view(&c, 1));
    }
  });
  auto answer = get();
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->body, "abc0123456789");
}

TEST_F(ApiRequests, UntilTheConnectionEnds) {
  const FakeGuest guest(path(), "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it");
  auto answer = get();
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->body, "all of it");
}

TEST_F(ApiRequests, ASilentOneIsNotWaitedForForEver) {
  const FakeGuest guest(path(), [](FakeConnection& connection) { connection.hang(); });
  const Watch watch;
  auto answer = get({.time = kShort});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(answer.error().to_string(), HasSubstr("in time"));
  EXPECT_GE(watch.elapsed(), kShort);
  EXPECT_LT(watch.elapsed(), kLong);
}

TEST_F(ApiRequests, NorOneThatDrips) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    connection.write("HTTP/1.1 200 OK\r\n\r\n");
    while (connection.write("x")) {
      connection.pause(milliseconds(20));
    }
  });
  const Watch watch;
  EXPECT_THAT(get({.time = kShort}).error().to_string(), HasSubstr("in time"));
  EXPECT_LT(watch.elapsed(), kLong);
}

TEST_F(ApiRequests, Garbage) {
  for (const std::string& answer :
       {std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string(4096, '\0'), std::string("\xff\xfe{}"),
        std::string("HTTP/9.9 200 OK\r\n\r\n"), std::string("{\"name\":\"g\"}\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")}) {
    EXPECT_THAT(error_of(answer), HasSubstr("none of gpuvm")) << answer;
  }
}

TEST_F(ApiRequests, HugeAnswers) {
  EXPECT_THAT(error_of("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n"),
              HasSubstr("body limit"));
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    while (connection.write("5\r\nabcde\r\n")) {
    }
  });
  EXPECT_THAT(get({.body = 10000}).error().to_string(), HasSubstr("body limit"));
}

TEST_F(ApiRequests, AHeaderWithoutEnd) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    connection.write("HTTP/1.1 200 OK\r\n");
    while (connection.write("X-Long: xxxxxxxxxxxxxxxx\r\n")) {
    }
  });
  EXPECT_THAT(get().error().to_string(), HasSubstr("header limit"));
}

TEST_F(ApiRequests, TheOtherSideCloses) {
  EXPECT_THAT(error_of(""), HasSubstr("without an answer"));
  EXPECT_THAT(error_of("HTTP/1.1 200"), HasSubstr("in the middle"));
  EXPECT_THAT(error_of("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc"),
              HasSubstr("in the middle"));
  EXPECT_THAT(error_of("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
              HasSubstr("in the middle"));
}

TEST_F(ApiRequests, ClosedBeforeTheRequestIsRead) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
  });
  auto answer = get();
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->status, 503U);
}

TEST_F(ApiRequests, RefusalsAreTold) {
  const auto conflict = refusal({.status = 409, .body = "{\"error\":\"it is paused\"}"}, "g");
  EXPECT_EQ(conflict.kind(), ErrorKind::kWrongState);
  EXPECT_EQ(conflict.to_string(), "g: it is paused");
  EXPECT_EQ(refusal({.status = 403, .body = "no JSON"}, "g").to_string(),
            "g: refused (HTTP status 403)");
  EXPECT_EQ(refusal({.status = 200, .body = {}}, "g").to_string(),
            "g: answered what gpuvm does not (HTTP status 200)");
  EXPECT_EQ(refusal({.status = 403, .body = "{\"error\":7}"}, "g").kind(), ErrorKind::kHost);
  EXPECT_EQ(refusal({.status = 500, .body = R"({"error":"a\u001b[2J\nb"})"}, "g").to_string(),
            "g: a?[2J b");
}

TEST_F(ApiRequests, LinesComeAsTheyAreSent) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
    connection.pause(milliseconds(20));
    connection.write("5\r\n\ntwo\n\r\n4\r\nrest\r\n0\r\n\r\n");
  });
  std::vector<std::string> said;
  auto answer = lines(said);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(answer->status, 200U);
  EXPECT_THAT(said, ElementsAre("one", "two"));
}

TEST_F(ApiRequests, LinesAreThereBeforeTheStreamEnds) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    connection.write(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nfirst\nlast\r\n1\r\n\n\r\n");
    connection.hang();
  });
  std::vector<std::string> said;
  ASSERT_TRUE(lines(said));
  EXPECT_THAT(said, ElementsAre("first", "last"));
}

TEST_F(ApiRequests, ASilenceEndsLines) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    connection.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n");
    connection.hang();
  });
  std::vector<std::string> said;
  auto answer = lines(said, {.quiet = kShort});
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_THAT(said, ElementsAre("one"));
}

TEST_F(ApiRequests, AStreamThatIsCutIsTold) {
  const FakeGuest guest(
      path(), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\none\n\r\n9\r\ntw");
  std::vector<std::string> said;
  EXPECT_THAT(lines(said).error().to_string(), HasSubstr("in the middle"));
  EXPECT_THAT(said, ElementsAre("one"));
}

TEST_F(ApiRequests, ALineWithoutEnd) {
  const FakeGuest guest(path(), [](FakeConnection& connection) {
    connection.read_request();
    connection.write("HTTP/1.1 200 OK\r\n\r\n");
    while (connection.write(std::string(4096, 'x'))) {
    }
  });
  std::vector<std::string> said;
  EXPECT_THAT(lines(said, {.longest_line = 100000}).error().to_string(), HasSubstr("100000"));
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(ApiRequests, LinesThatAreRefused) {
  const FakeGuest guest(path(),
                        "HTTP/1.1 403 Forbidden\r\nContent-Length: 14\r\n\r\n{\"error\":\"no\"}");
  std::vector<std::string> said;
  auto answer = lines(said);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(refusal(*answer, "g").to_string(), "g: no");
  EXPECT_THAT(said, IsEmpty());
}

TEST_F(ApiRequests, ALengthThatIsClaimedTakesNoMemory) {
  const FakeGuest guest(path(), "HTTP/1.1 200 OK\r\nContent-Length: 999999999999999\r\n\r\none\n");
  std::vector<std::string> said;
  EXPECT_THAT(lines(said).error().to_string(), HasSubstr("in the middle"));
  EXPECT_THAT(said, ElementsAre("one"));
}

TEST_F(ApiRequests, AConnectionChangesItsProtocol) {
  std::string request;
  {
    const FakeGuest guest(path(), [&request](FakeConnection& connection) {
      request = connection.read_request();
      connection.write(
          "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "
          "gpuvm-console\r\n\r\nlogin: ");
      char typed = 0;
      if (::recv(connection.fd(), &typed, 1, 0) == 1) {
        connection.write(std::string(1, typed));
      }
    });
    const auto connection = connect();
    auto answer = upgrade(connection, "/v1/console", "gpuvm-console", kLong);
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(answer->status, 101U);
    std::string said = answer->body;  // may have come with the header, or not yet
    ASSERT_EQ(::send(connection.get(), "!", 1, MSG_NOSIGNAL), 1);
    char piece[64];
    for (ssize_t got = 0; (got = ::recv(connection.get(), piece, sizeof piece, 0)) > 0;) {
      said.append(piece, static_cast<std::size_t>(got));
    }
    EXPECT_EQ(said, "login: !");
  }
  EXPECT_THAT(request, HasSubstr("\r\nConnection: Upgrade\r\nUpgrade: gpuvm-console\r\n"));
}

TEST_F(ApiRequests, OrDoesNot) {
  const FakeGuest guest(
      path(), "HTTP/1.1 409 Conflict\r\nContent-Length: 22\r\n\r\n{\"error\":\"no console\"}");
  auto answer = upgrade(connect(), "/v1/console", "gpuvm-console", kLong);
  ASSERT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(refusal(*answer, "g").to_string(), "g: no console");
}

}  // namespace
}  // namespace gpuvm::api_request_test
