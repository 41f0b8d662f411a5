// SPDX-License-Identifier: Apache-2.0
// What the host says by a port with a name: PortInput, and NamedPortDevice with a driver that does
// what Linux's does.
#include "devices/virtio/named_port/port_input.hpp"

#include <gtest/gtest.h>

#include "devices/virtio/named_port/named_port_device.hpp"
#include "tests/unit/devices/virtio/request_driver.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::port_input_test {
namespace {

namespace spec = virtio_named_port;

constexpr std::size_t kReceive = spec::kReceiveQueue;
constexpr std::size_t kToDevice = spec::kControlTransmitQueue;

std::string open_message(bool is_open) {
  std::string bytes(spec::kControlSize, '\0');
  const auto at = std::as_writable_bytes(std::span(bytes));
  store_le(at.subspan(spec::kEvent, 2), spec::kPortOpen);
  store_le(at.subspan(spec::kValue, 2), is_open ? 1 : 0);
  return bytes;
}

TEST(PortInput, AllOrNothing) {
  const auto input = PortInput::create().value();
  EXPECT_TRUE(input->add(std::string(PortInput::kMost - 1, 'x')));
  EXPECT_FALSE(input->add("ab")) << "there is room for one";
  EXPECT_TRUE(input->add("b"));
  std::vector<std::byte> all(2 * PortInput::kMost);
  EXPECT_EQ(input->read(all), PortInput::kMost);
  EXPECT_EQ(all[PortInput::kMost - 1], std::byte{'b'});
  EXPECT_EQ(input->read(all), 0U);
}

TEST(PortInput, AnEventForWhatIsAdded) {
  const auto input = PortInput::create().value();
  EXPECT_FALSE(input->event().drain());
  EXPECT_TRUE(input->add("x"));
  EXPECT_TRUE(input->event().drain());
}

class PortInputTest : public ::testing::Test {
 protected:
  void open_port(bool is_open = true) {
    driver_.add_text(kToDevice, next_, open_message(is_open));
    driver_.kick(kToDevice);
    ASSERT_TRUE(driver_.wait_used(kToDevice, ++next_));
  }
  void give_buffers(std::uint16_t from, std::uint16_t count, std::uint32_t size) {
    for (std::uint16_t i = from; i < from + count; ++i) {
      driver_.add_buffer(kReceive, i, size);
    }
    driver_.kick(kReceive);
  }
  std::uint16_t used() { return driver_.rings[kReceive].used_index(); }

  std::unique_ptr<PortInput> input_ = PortInput::create().value();
  NamedPortDevice device_{{.name = "port",
                           .port_name = "org.example.port",
                           .host = {.received = [](std::span<const std::byte>) {},
                                    .cut = [] {},
                                    .closed = [] {},
                                    .begun = [] {}},
                           .input = input_.get()}};
  test::RequestDriver driver_{device_};
  std::uint16_t next_ = 0;
};

TEST_F(PortInputTest, WhatIsSaidReachesTheGuest) {
  driver_.start();
  give_buffers(0, 4, 100);
  open_port();
  ASSERT_TRUE(input_->add("a word\n"));
  ASSERT_TRUE(driver_.wait_used(kReceive, 1));
  EXPECT_EQ(driver_.text_of_used(kReceive, 0), "a word\n");
  ASSERT_TRUE(input_->add("another\n"));
  ASSERT_TRUE(driver_.wait_used(kReceive, 2));
  EXPECT_EQ(driver_.text_of_used(kReceive, 1), "another\n");
}

// Linux throws away what comes for a port that nobody has open.
TEST_F(PortInputTest, ItWaitsForAnOpenPort) {
  driver_.start();
  give_buffers(0, 2, 100);
  ASSERT_TRUE(input_->add("early"));
  open_port(false);  // once round the thread of the queues
  EXPECT_EQ(used(), 0);
  open_port();
  ASSERT_TRUE(driver_.wait_used(kReceive, 1));
  EXPECT_EQ(driver_.text_of_used(kReceive, 0), "early");
}

TEST_F(PortInputTest, AClosedPortGetsNothing) {
  driver_.start();
  give_buffers(0, 2, 100);
  open_port();
  open_port(false);
  ASSERT_TRUE(input_->add("late"));
  open_port(false);
  EXPECT_EQ(used(), 0);
}

TEST_F(PortInputTest, ALongTextIsCutAtTheBuffers) {
  driver_.start();
  open_port();
  std::string text(10000, 'x');
  text += "end";
  ASSERT_TRUE(input_->add(text));
  give_buffers(0, 1, 10);
  ASSERT_TRUE(driver_.wait_used(kReceive, 1));
  give_buffers(1, 3, 8192);
  ASSERT_TRUE(driver_.wait_used(kReceive, 4));
  std::string read;
  for (std::uint16_t i = 0; i < 4; ++i) {
    read += driver_.text_of_used(kReceive, i);
  }
  EXPECT_EQ(read, text);
}

// A guest that waits in a pool is paused: what was said meanwhile comes when it goes on.
TEST_F(PortInputTest, AfterAPause) {
  driver_.start();
  give_buffers(0, 2, 100);
  open_port();
  driver_.stop();
  EXPECT_EQ(driver_.position(kReceive).next_available, 0) << "the buffers are given back";
  ASSERT_TRUE(input_->add("go on"));
  driver_.start();
  ASSERT_TRUE(driver_.wait_used(kReceive, 1));
  EXPECT_EQ(driver_.text_of_used(kReceive, 0), "go on");
}

TEST_F(PortInputTest, ABufferWithoutRoomBreaksTheDevice) {
  driver_.start();
  open_port();
  give_buffers(0, 1, 0);
  EXPECT_TRUE(driver_.wait_broken());
}

}  // namespace
}  // namespace gpuvm::port_input_test
