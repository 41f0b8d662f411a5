// SPDX-License-Identifier: Apache-2.0
// TapLink where the kernel refuses; other descriptors, which give the same errors, in a tap's
// place.
#include "devices/virtio/net/tap_link.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <array>

#include "devices/virtio/net/net_spec.hpp"

namespace gpuvm::tap_link_test {
namespace {

/// Of which less than 8 bytes cannot be read (EINVAL), and that has no offloads.
TapLink link_of_event(std::chrono::milliseconds* slept = nullptr) {
  return TapLink({.fd = UniqueFd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
                  .name = "tap0",
                  .offloads = true,
                  .sleep = [slept](std::chrono::milliseconds time) {
                    if (slept != nullptr) {
                      *slept += time;
                    }
                  }});
}

// A frame with segments that virtio has no name for comes from the network, and costs itself only.
TEST(TapLink, AFrameThatTheKernelCannotDescribeIsNotTheEnd) {
  auto link = link_of_event();
  std::array<std::byte, 4> frame{};
  const auto got = link.receive(frame);
  ASSERT_TRUE(got) << got.error().to_string();
  EXPECT_EQ(*got, 0U);
}

TEST(TapLink, ATapThatIsGoneIsAnError) {
  TapLink link({.fd = UniqueFd(::open("/dev/null", O_RDWR | O_CLOEXEC)), .name = "tap0"});
  std::array<std::byte, 4> frame{};
  const auto got = link.receive(frame);
  ASSERT_FALSE(got);
  EXPECT_NE(got.error().to_string().find("The tap tap0 is gone"), std::string::npos);
}

// A guest starts its driver as often as it likes, also when somebody has deleted the tap.
TEST(TapLink, OffloadsThatCannotBeSetDoNotFloodTheLog) {
  auto link = link_of_event();
  testing::internal::CaptureStderr();
  for (unsigned i = 0; i < 200; ++i) {
    link.set_offloads(virtio_net::kOffloads);
  }
  const auto said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("Cannot set the offloads of tap0"), std::string::npos);
  EXPECT_LT(std::count(said.begin(), said.end(), '\n'), 100);
}

// A change holds a lock of the host's whole network: who makes many waits, and no vCPU waits long.
TEST(TapLink, OffloadsAreNotChangedWithoutEnd) {
  std::chrono::milliseconds slept(0);
  auto link = link_of_event(&slept);
  testing::internal::CaptureStderr();
  for (unsigned i = 0; i < 10; ++i) {
    link.set_offloads(i % 2 == 0 ? virtio_net::kOffloads : 0);
  }
  EXPECT_EQ(slept.count(), 0) << "as reboots do";
  for (unsigned i = 0; i < 100; ++i) {
    const auto before = slept;
    link.set_offloads(i % 2 == 0 ? virtio_net::kOffloads : 0);
    EXPECT_LE((slept - before).count(), 20000) << "its own debt, as nobody has slept";
  }
  testing::internal::GetCapturedStderr();
  EXPECT_GT(slept.count(), 1000);
}

}  // namespace
}  // namespace gpuvm::tap_link_test
