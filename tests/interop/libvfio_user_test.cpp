// SPDX-License-Identifier: Apache-2.0
// The vfio-user client and the reset sequence against a server that is not ours: libvfio-user's
// sample gpio-pci-idio-16 (github.com/nutanix/libvfio-user, samples). It is not packaged: the test
// is skipped unless GPUVM_LIBVFIO_USER_SAMPLE names the program.
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "devices/physical/reset/reset_sequence.hpp"
#include "devices/physical/vfio_user/vfio_user_host.hpp"
#include "tests/fixtures/run_reset.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr int kSkipped = 77;  // what CTest takes for it
constexpr RegionIndex kPins = RegionIndex::kBar2;

const char* sample() {
  return std::getenv("GPUVM_LIBVFIO_USER_SAMPLE");
}

class LibvfioUser : public testing::Test {
 protected:
  LibvfioUser() : folder_(testing::TempDir() + "gpuvm-interop-" + std::to_string(::getpid())) {
    std::filesystem::create_directory(folder_);
    socket_ = folder_ + "/gpio.sock";
    std::string program = sample();
    std::array<char*, 3> arguments{program.data(), socket_.data(), nullptr};
    EXPECT_EQ(::posix_spawn(&server_, program.c_str(), nullptr, nullptr, arguments.data(), environ),
              0);
  }
  ~LibvfioUser() override {
    ::kill(server_, SIGKILL);
    ::waitpid(server_, nullptr, 0);
    std::filesystem::remove_all(folder_);
  }
  /// The sample does not say when it listens.
  std::unique_ptr<VfioUserHost> connect() {
    auto host = VfioUserHost::open({socket_});
    for (int attempt = 0; !host && attempt < 500; ++attempt) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
      host = VfioUserHost::open({socket_});
    }
    EXPECT_TRUE(host) << (host ? "" : host.error().to_string());
    return host ? std::move(host).value() : nullptr;
  }
  const std::string folder_;
  std::string socket_;
  pid_t server_ = -1;
};

TEST_F(LibvfioUser, ItsFunctionIsSeenUsedResetAndSeenAgain) {
  for (int client = 0; client < 2; ++client) {
    const auto host = connect();
    ASSERT_TRUE(host);
    VfioUserDevice& device = host->device(0);
    std::array<std::byte, 4> ids{};
    ASSERT_TRUE(device.read(RegionIndex::kConfig, 0, ids));
    EXPECT_EQ(load_le(ids), 0x0dc8494fU);
    EXPECT_EQ(device.region(kPins).size, 0x100U);
    EXPECT_EQ(device.irq(IrqType::kIntx).count, 1U);

    const UniqueFd file(::memfd_create("memory", MFD_CLOEXEC));
    ASSERT_EQ(::ftruncate(file.get(), 2_MiB), 0);
    auto memory = MappedRegion::create({.fd = file.get(), .size = 2_MiB});
    ASSERT_TRUE(memory);
    ASSERT_TRUE(host->map_dma(Iova(0), {.bytes = memory->bytes(), .fd = file.get()}));
    std::array<std::byte, 1> pins{};
    EXPECT_TRUE(device.read(kPins, 0, pins));
    EXPECT_TRUE(device.write(kPins, 0, pins));
    const auto event = EventFd::create().value();
    const int fd = event.fd();
    EXPECT_TRUE(device.set_irq_fds(IrqType::kIntx, 0, {&fd, 1}));
    EXPECT_TRUE(device.set_intx_masked(true));
    EXPECT_TRUE(device.disable_irqs(IrqType::kIntx));

    PhysicalDevice* const pointer = &device;
    const auto plan = ResetPlan::create(*host, {&pointer, 1});
    ASSERT_TRUE(plan) << plan.error().to_string();
    const auto resets = run_reset(*host, *plan);
    ASSERT_TRUE(resets) << resets.error().to_string();
    EXPECT_EQ(resets->front().method, ResetMethod::kHotReset);
    EXPECT_EQ(resets->front().verdict, ResetVerdict::kVerified);
    EXPECT_TRUE(host->unmap_dma(Iova(0), 2_MiB));
  }
}

}  // namespace
}  // namespace gpuvm

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  return gpuvm::sample() == nullptr ? gpuvm::kSkipped : RUN_ALL_TESTS();
}
