// SPDX-License-Identifier: Apache-2.0
#include "vmm/api/request_reader.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpuvm::request_reader_test {
namespace {

using Progress = RequestReader::Progress;

Progress feed(RequestReader& reader, std::string_view text) {
  reader.add(std::as_bytes(std::span(text)));
  return reader.next();
}

TEST(RequestReader, TakesARequestApart) {
  RequestReader reader;
  EXPECT_TRUE(reader.is_idle());
  ASSERT_EQ(feed(reader, "GET /v1/events?replay=1 HTTP/1.1\r\nHost: x\r\n\r\n"),
            Progress::kRequest);
  EXPECT_EQ(reader.request().method, "GET");
  EXPECT_EQ(reader.request().path, "/v1/events");
  EXPECT_EQ(reader.request().query, "replay=1");
  EXPECT_TRUE(reader.request().keep_alive);
  EXPECT_TRUE(reader.request().is_http_1_1);
  EXPECT_FALSE(reader.request().wants_console);
  EXPECT_EQ(reader.next(), Progress::kMore);
  EXPECT_TRUE(reader.is_idle());
}

TEST(RequestReader, TakesItInAnyPieces) {
  constexpr std::string_view kText =
      "PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"
      "PUT /v1/vm/pause HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
  constexpr std::string_view kFirst = "PUT /v1/vm/stop HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello";
  for (std::size_t cut = 1; cut < kFirst.size(); ++cut) {
    RequestReader reader;
    ASSERT_EQ(feed(reader, kText.substr(0, cut)), Progress::kMore) << cut;
    EXPECT_FALSE(reader.is_idle());
    ASSERT_EQ(feed(reader, kText.substr(cut, kFirst.size() - cut)), Progress::kRequest) << cut;
    EXPECT_EQ(reader.request().path, "/v1/vm/stop");
  }
}

TEST(RequestReader, KeepsWhatComesBehind) {
  RequestReader reader;
  ASSERT_EQ(feed(reader, "GET /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\nConnection: close\r\n\r\nrest"),
            Progress::kRequest);
  EXPECT_EQ(reader.request().path, "/a");
  ASSERT_EQ(reader.next(), Progress::kRequest);
  EXPECT_EQ(reader.request().path, "/b");
  EXPECT_FALSE(reader.request().keep_alive);
  EXPECT_EQ(reader.take_rest(), "rest");
}

TEST(RequestReader, KnowsTheUpgrade) {
  const auto wants = [](std::string_view headers) {
    RequestReader reader;
    return feed(reader, fmt::format("GET /v1/console HTTP/1.1\r\n{}\r\n", headers)) ==
               Progress::kRequest &&
           reader.request().wants_console;
  };
  EXPECT_TRUE(wants("Connection: Upgrade\r\nUpgrade: gpuvm-console\r\n"));
  EXPECT_TRUE(wants("connection: keep-alive, upgrade\r\nupgrade: GPUVM-console\r\n"));
  EXPECT_FALSE(wants("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_FALSE(wants("Upgrade: gpuvm-console\r\n"));
}

TEST(RequestReader, HasLimits) {
  const auto status = [](const std::string& text) {
    RequestReader reader;
    return feed(reader, text) == Progress::kWrong ? reader.error().status : 0;
  };
  const std::string much(20000, 'x');
  EXPECT_EQ(status("GET /" + much), 431);
  EXPECT_EQ(status("GET / HTTP/1.1\r\nA: " + much), 431);
  EXPECT_EQ(status("PUT / HTTP/1.1\r\nContent-Length: 4097\r\n\r\n"), 413);
  EXPECT_EQ(status("PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2000\r\n" + much), 413);
  EXPECT_EQ(status("PUT / HTTP/1.1\r\nContent-Length: 4096\r\n\r\n" + much.substr(0, 4096)), 0);
}

// What cannot be read leaves no way to find the next request.
// RFC 9112, 7.1: extensions of a chunk, and trailers, which Beast waits for the end of.
TEST(RequestReader, LinesOfChunksAndTrailersHaveLimits) {
  for (const std::string_view begin : {"5;", "0\r\nname: "}) {
    RequestReader reader;
    ASSERT_EQ(feed(reader, "PUT /v1/vm/stop HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
              Progress::kMore);
    auto progress = feed(reader, begin);
    const std::string more(1024, 'x');
    for (int i = 0; i < 64 && progress == Progress::kMore; ++i) {
      progress = feed(reader, more);
    }
    EXPECT_EQ(progress, Progress::kWrong) << begin;
    EXPECT_EQ(reader.error().status, 431) << begin;
  }
}

TEST(RequestReader, StaysWrong) {
  RequestReader reader;
  EXPECT_EQ(feed(reader, "nonsense\r\n\r\n"), Progress::kWrong);
  EXPECT_EQ(reader.error().status, 400);
  EXPECT_EQ(feed(reader, "GET / HTTP/1.1\r\n\r\n"), Progress::kWrong);
}

}  // namespace
}  // namespace gpuvm::request_reader_test
