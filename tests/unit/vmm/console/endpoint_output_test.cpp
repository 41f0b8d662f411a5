// SPDX-License-Identifier: Apache-2.0
// Single bytes, as a serial port brings them, on their way to one place.
#include "vmm/console/endpoint_output.hpp"

#include "tests/unit/vmm/console/console_fixture.hpp"

namespace gpuvm::endpoint_output_test {
namespace {

using Progress = EndpointOutput::Progress;
using test::read_all;

class EndpointOutputTest : public testing::Test {
 protected:
  EndpointOutputTest() {
    ::fcntl(pipe_.reader.get(), F_SETFL, O_NONBLOCK);
    ::fcntl(pipe_.writer.get(), F_SETFL, O_NONBLOCK);
    output_.attach(pipe_.writer.get());
  }
  Progress print(std::string_view text) {
    return output_.write(std::as_bytes(std::span(text.data(), text.size())));
  }
  std::string read() { return read_all(pipe_.reader.get()); }

  test::Pipe pipe_;
  EndpointOutput output_{1000};
};

TEST_F(EndpointOutputTest, ALineIsOneWrite) {
  EXPECT_EQ(print("o"), Progress::kHeld);
  EXPECT_EQ(print("k"), Progress::kDone) << "told once";
  EXPECT_EQ(print("\r"), Progress::kDone);
  EXPECT_EQ(read(), "");
  EXPECT_EQ(output_.counts().waiting, 3U);
  EXPECT_EQ(print("\n"), Progress::kDone);
  EXPECT_EQ(read(), "ok\r\n");
  EXPECT_EQ(output_.push_held(), Progress::kDone);
  EXPECT_EQ(print("x"), Progress::kHeld) << "the next one is told of again";
}

TEST_F(EndpointOutputTest, WhatHasNoLineEndIsPushed) {
  print("#");
  print(" ");
  EXPECT_EQ(output_.push_held(), Progress::kDone);
  EXPECT_EQ(read(), "# ");
}

TEST_F(EndpointOutputTest, MoreThanAByteTakesHeldOnesWithIt) {
  print("a");
  EXPECT_EQ(print("bc"), Progress::kDone);
  EXPECT_EQ(read(), "abc");
  print("d");
  const std::string large(1000, 'e');  // with the held one more than is kept
  EXPECT_EQ(print(large), Progress::kDone);
  EXPECT_EQ(read(), "d" + large);
  EXPECT_EQ(output_.counts().dropped, 0U);
}

TEST_F(EndpointOutputTest, ALongLineIsNotHeldForEver) {
  for (int i = 0; i < 257; ++i) {
    print("x");
  }
  EXPECT_EQ(read(), std::string(257, 'x'));
}

TEST_F(EndpointOutputTest, BytesBehindAFullPipeWaitInOrder) {
  const std::string block(1000, 'a');
  Progress progress = Progress::kDone;
  while ((progress = print(block)) == Progress::kDone) {
  }
  ASSERT_EQ(progress, Progress::kWaiting);
  EXPECT_EQ(print("b"), Progress::kDone) << "the waiter takes it along";
  EXPECT_EQ(output_.push_held(), Progress::kDone);
  std::string got = read();
  EXPECT_EQ(output_.push_waiting(), Progress::kDone);
  got += read();
  EXPECT_TRUE(got.ends_with("ab"));
}

TEST_F(EndpointOutputTest, AReaderThatLeftIsNoticedByThePush) {
  ignore_broken_pipes();
  print("x");
  pipe_.reader.reset();
  EXPECT_EQ(output_.push_held(), Progress::kLost);
  EXPECT_EQ(print("y"), Progress::kDone) << "kept for the next reader";
  EXPECT_EQ(output_.counts().waiting, 2U);
}

class HeldOutput : public test::ConsoleTest {};

TEST_F(HeldOutput, APromptComesWithoutTheEndOfALine) {
  test::Pipe input;
  test::Pipe output;
  use(input, output);
  open({test::stdio()});
  for (const char* byte : {"$", " "}) {
    print(byte);
  }
  ::fcntl(output.reader.get(), F_SETFL, O_NONBLOCK);
  std::string got;
  EXPECT_TRUE(run_until([&] {
    got += read_all(output.reader.get());
    return got.size() == 2;
  }));
  EXPECT_EQ(got, "$ ");
}

TEST_F(HeldOutput, TheEndOfARunPushesIt) {
  test::Pipe input;
  test::Pipe output;
  use(input, output);
  open({test::stdio()});
  print("x");
  console->flush(std::chrono::milliseconds(1000));
  EXPECT_EQ(read_all(output.reader.get()), "x");
}

}  // namespace
}  // namespace gpuvm::endpoint_output_test
