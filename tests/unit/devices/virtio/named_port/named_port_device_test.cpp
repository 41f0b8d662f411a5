// SPDX-License-Identifier: Apache-2.0
// NamedPortDevice with a driver that does what Linux's does, and with some that do not. Section
// numbers are those of VIRTIO 1.2.
#include "devices/virtio/named_port/named_port_device.hpp"

#include <gtest/gtest.h>

#include "tests/unit/devices/virtio/request_driver.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::named_port_device_test {
namespace {

namespace spec = virtio_named_port;

constexpr std::size_t kReceive = spec::kReceiveQueue;
constexpr std::size_t kTransmit = spec::kTransmitQueue;
constexpr std::size_t kFromDevice = spec::kControlReceiveQueue;
constexpr std::size_t kToDevice = spec::kControlTransmitQueue;
constexpr std::uint32_t kBadId = ~0U;  ///< what Linux writes where no port is meant

std::string message(std::uint32_t port, std::uint16_t event, std::uint16_t value,
                    std::string_view text = {}) {
  std::string bytes(spec::kControlSize, '\0');
  const auto at = std::as_writable_bytes(std::span(bytes));
  store_le(at.subspan(spec::kPort, 4), port);
  store_le(at.subspan(spec::kEvent, 2), event);
  store_le(at.subspan(spec::kValue, 2), value);
  return bytes + std::string(text);
}

class NamedPortTest : public ::testing::Test {
 protected:
  NamedPortTest()
      : device_({.name = "port",
                 .port_name = "org.example.port",
                 .host = {.received =
                              [this](std::span<const std::byte> bytes) {
                                const MutexLock lock(mutex_);
                                said_.append(reinterpret_cast<const char*>(bytes.data()),
                                             bytes.size());
                              },
                          .cut = [this] { note("<cut>"); },
                          .closed = [this] { note("<closed>"); },
                          .begun = [this] { note("<begun>"); }}}),
        driver_(device_) {}
  void note(std::string_view what) {
    const MutexLock lock(mutex_);
    said_ += what;
  }
  std::string said() {
    const MutexLock lock(mutex_);
    return said_;
  }
  /// To the device, and waits until it has been taken.
  void tell(std::uint32_t port, std::uint16_t event, std::uint16_t value) {
    send(kToDevice, message(port, event, value));
  }
  void send(std::size_t queue, std::string_view bytes) {
    const auto index = next_[queue]++;
    driver_.add_text(queue, static_cast<std::uint16_t>(index % 64), bytes);
    driver_.kick(queue);
    ASSERT_TRUE(driver_.wait_used(queue, static_cast<std::uint16_t>(index + 1)));
  }
  void give_control_buffers(std::uint16_t count) {
    for (std::uint16_t i = 0; i < count; ++i) {
      driver_.add_buffer(kFromDevice, next_control_++, 4096);
    }
    driver_.kick(kFromDevice);
  }
  std::string inspected(std::string_view field) const {
    InspectNode node;
    device_.inspect(node);
    return std::string(node.get(field));
  }
  /// The conversation that makes a port (5.3.6.1).
  void begin() {
    driver_.start();
    converse();
  }
  void converse() {
    give_control_buffers(8);
    tell(kBadId, spec::kDeviceReady, 1);
    ASSERT_TRUE(driver_.wait_used(kFromDevice, 1));
    tell(0, spec::kPortReady, 1);
    ASSERT_TRUE(driver_.wait_used(kFromDevice, 3));
  }

  Mutex mutex_;
  std::string said_ GPUVM_GUARDED_BY(mutex_);
  std::array<unsigned, spec::kQueues> next_{};
  std::uint16_t next_control_ = 0;
  NamedPortDevice device_;
  test::RequestDriver driver_;
};

// 5.3.2 to 5.3.4.
TEST_F(NamedPortTest, Identity) {
  EXPECT_EQ(device_.identity().type, 3);
  EXPECT_EQ(device_.identity().queues, 4) << "a port's two, and two for control";
  EXPECT_EQ(device_.identity().features, 2U) << "VIRTIO_CONSOLE_F_MULTIPORT";
  std::array<std::byte, 4> ports{};
  device_.config().read(4, ports);
  EXPECT_EQ(load_le(ports), 1U) << "max_nr_ports";
}

// 5.3.6.1 and 5.3.6.2, in the order of Linux's driver.
TEST_F(NamedPortTest, TheDriverHearsOfThePort) {
  begin();
  EXPECT_EQ(driver_.text_of_used(kFromDevice, 0), message(0, spec::kPortAdd, 1));
  EXPECT_EQ(driver_.text_of_used(kFromDevice, 1),
            message(0, spec::kPortName, 1, "org.example.port"));
  EXPECT_EQ(driver_.text_of_used(kFromDevice, 2), message(0, spec::kPortOpen, 1));
  EXPECT_EQ(said(), "<begun>");
}

TEST_F(NamedPortTest, WhatIsWrittenReachesTheHost) {
  begin();
  tell(0, spec::kPortOpen, 1);
  EXPECT_EQ(inspected("open"), "true");
  send(kTransmit, "3\n");
  send(kTransmit, "half");
  tell(0, spec::kPortOpen, 0);
  EXPECT_EQ(said(), "<begun>3\nhalf<closed>");
  EXPECT_EQ(inspected("open"), "false");
  EXPECT_EQ(inspected("received"), "6");
}

// Messages wait for buffers, and these for messages.
TEST_F(NamedPortTest, BuffersMayComeLate) {
  driver_.start();
  tell(kBadId, spec::kDeviceReady, 1);
  tell(0, spec::kPortReady, 1);
  give_control_buffers(1);
  ASSERT_TRUE(driver_.wait_used(kFromDevice, 1));
  give_control_buffers(3);
  ASSERT_TRUE(driver_.wait_used(kFromDevice, 3));
  EXPECT_EQ(driver_.text_of_used(kFromDevice, 2), message(0, spec::kPortOpen, 1));
  driver_.stop();
  EXPECT_EQ(driver_.position(kFromDevice).next_available, 3) << "the fourth is given back";
}

// A driver that asks for ever gets an answer for each of its buffers, and no more are kept.
TEST_F(NamedPortTest, QuestionsDoNotPileUp) {
  driver_.start();
  for (unsigned i = 0; i < 500; ++i) {
    tell(kBadId, spec::kDeviceReady, 1);
    tell(0, spec::kPortReady, 1);
  }
  give_control_buffers(20);
  ASSERT_TRUE(driver_.wait_used(kFromDevice, 3));
  tell(0, spec::kPortReady, 0);
  EXPECT_EQ(driver_.rings[kFromDevice].used_index(), 3);
}

TEST_F(NamedPortTest, APauseForgetsNothing) {
  driver_.start();
  tell(kBadId, spec::kDeviceReady, 1);
  send(kTransmit, "ha");
  driver_.stop();
  driver_.start();
  send(kTransmit, "lf\n");
  give_control_buffers(2);
  ASSERT_TRUE(driver_.wait_used(kFromDevice, 1));
  EXPECT_EQ(driver_.text_of_used(kFromDevice, 0), message(0, spec::kPortAdd, 1));
  EXPECT_EQ(said(), "<begun>half\n");
}

TEST_F(NamedPortTest, BuffersToReadIntoStayUnused) {
  driver_.start();
  for (std::uint16_t i = 0; i < 5; ++i) {
    driver_.add_buffer(kReceive, i, 100);
  }
  driver_.kick(kReceive);
  converse();
  driver_.stop();
  EXPECT_EQ(driver_.position(kReceive).next_available, 0);
  EXPECT_EQ(driver_.position(kReceive).next_used, 0);
}

// A driver without ports takes port 0 for a console, and prints there what it likes.
TEST_F(NamedPortTest, AConsoleSaysNothing) {
  driver_.start(0);
  send(kTransmit, "0\n");
  send(kToDevice, message(kBadId, spec::kDeviceReady, 1));
  EXPECT_EQ(said(), "");
  EXPECT_EQ(inspected("ignored"), "2");
}

TEST_F(NamedPortTest, NonsenseIsIgnored) {
  begin();
  tell(1, spec::kPortOpen, 0);  // there is no such port
  tell(0, 0xffff, 1);           // nor such an event
  tell(0, spec::kPortName, 1);  // which a device sends
  tell(kBadId, spec::kDeviceReady, 0);
  send(kToDevice, "short");
  send(kToDevice, "");
  EXPECT_EQ(said(), "<begun>");
  EXPECT_EQ(inspected("ignored"), "6");
  EXPECT_EQ(driver_.rings[kFromDevice].used_index(), 3);
}

// The rest of a message that is too long does not matter.
TEST_F(NamedPortTest, AMessageMayBeLonger) {
  begin();
  send(kToDevice, message(0, spec::kPortOpen, 0, std::string(5000, 'x')));
  EXPECT_EQ(said(), "<begun><closed>");
}

TEST_F(NamedPortTest, AControlBufferWithoutRoomBreaksTheDevice) {
  driver_.start();
  driver_.add_buffer(kFromDevice, 0, 23);  // 8, and 16 of the name
  driver_.kick(kFromDevice);
  EXPECT_TRUE(driver_.wait_broken());
}

// A chain of the same memory again and again: a guest can name more than it has.
TEST_F(NamedPortTest, AnEndlessBufferIsCut) {
  begin();
  std::vector<virtio::Descriptor> chain(32,
                                        {.address = driver_.place(kTransmit, 0), .length = 0x4000});
  driver_.rings[kTransmit].chain(0, chain);
  driver_.rings[kTransmit].offer(0);
  driver_.kick(kTransmit);
  ASSERT_TRUE(driver_.wait_used(kTransmit, 1));
  EXPECT_EQ(inspected("received"), std::to_string(NamedPortDevice::kMostOfBuffer));
  EXPECT_EQ(inspected("cut"), "1");
  EXPECT_TRUE(said().ends_with("<cut>"));
}

}  // namespace
}  // namespace gpuvm::named_port_device_test
