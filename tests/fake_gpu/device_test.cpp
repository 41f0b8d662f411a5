// SPDX-License-Identifier: Apache-2.0
// The fake GPU as a guest gets it: PassthroughFunction over the vfio-user client over the process.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>

#include <atomic>
#include <optional>
#include <thread>

#include "devices/physical/reset/guest_reset.hpp"
#include "devices/physical/vfio_user/vfio_user_host.hpp"
#include "tests/fake_gpu/fake_gpu_process.hpp"
#include "tests/fake_gpu/fake_gpu_spec.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::fake_gpu::device_test {
namespace {

constexpr std::uint64_t kRegisters = 0xe0000000;
constexpr std::uint64_t kVram = 0x1000000000;
constexpr std::uint64_t kTable = 0xe2000000;

bool is_signalled(const EventFd& event) {
  pollfd wait{.fd = event.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&wait, 1, 5000) == 1;
}

class Guest : public test::FunctionTest {
 protected:
  void start(const std::vector<std::string>& arguments = {}) {
    connect(arguments);
    if (HasFatalFailure()) {
      return;
    }
    auto function = make({});
    ASSERT_TRUE(function) << function.error().to_string();
    function_ = std::move(function).value();
    ASSERT_TRUE(function_->start());
    ASSERT_TRUE(function_->bars().set_power_on_address(0, kRegisters));
    ASSERT_TRUE(function_->bars().set_power_on_address(2, kVram));
    ASSERT_TRUE(function_->bars().set_power_on_address(4, kTable));
    function_->config_write(4, 6, 0xffff);
  }
  void connect(const std::vector<std::string>& arguments) {
    gpu_ = std::make_unique<FakeGpuProcess>(arguments);
    auto host = VfioUserHost::open({gpu_->socket()});
    ASSERT_TRUE(host) << host.error().to_string();
    host_ = std::move(host).value();
    PhysicalDevice* const pointer = &device();
    auto plan = ResetPlan::create(*host_, {&pointer, 1}, {.settle = std::chrono::milliseconds(0)});
    ASSERT_TRUE(plan) << plan.error().to_string();
    plan_.emplace(*std::move(plan));
  }
  Result<std::unique_ptr<PassthroughFunction>> make(const CoherentMemory::Source& coherent) {
    auto wanted = options(device());
    wanted.view.coherent = coherent;
    wanted.after_reset = [this](auto, std::chrono::milliseconds time) { return note_reset(time); };
    return create(std::move(wanted));
  }
  VfioUserDevice& device() { return host_->device(0); }
  bool note_reset(std::chrono::milliseconds time) {
    const ResetSet& set = plan_->sets().front();
    certificates_.push_back(
        check_guest_reset(*plan_, set, set.functions.front(), ResetMethod::kFunctionReset, time));
    return certificates_.back().is_safe();
  }
  void initiate_flr() { function_->config_write(kExpressOffset + 8, 0x8000, 0xffff); }
  std::uint32_t load(std::uint64_t address) {
    std::array<std::byte, 4> bytes{};
    mmio_.read(GuestAddress(address), bytes);
    return static_cast<std::uint32_t>(load_le(bytes));
  }
  void store(std::uint64_t address, std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value);
    mmio_.write(GuestAddress(address), bytes);
  }
  std::span<std::byte> vram() {
    for (const auto& [id, slot] : slots_.slots) {
      if (slot.at.value() == kVram) {
        return slot.host;
      }
    }
    return {};
  }

  std::unique_ptr<FakeGpuProcess> gpu_;
  std::unique_ptr<VfioUserHost> host_;
  std::optional<ResetPlan> plan_;
  std::vector<ResetCertificate> certificates_;  ///< of the guest's own resets
  std::unique_ptr<PassthroughFunction> function_;
};

TEST_F(Guest, RegistersAreTrappedAndVramIsNot) {
  start();
  EXPECT_EQ(function_->config_read(0), 0xfa4e1234U);
  EXPECT_EQ(load(kRegisters + kBoot0), kBoot0Value);
  store(kRegisters + kScratch, 0x12345678);
  EXPECT_EQ(load(kRegisters + kScratch), 0x12345678U);
  ASSERT_EQ(vram().size(), 64_MiB);
  vram()[0x123] = std::byte{0x77};
  std::array<std::byte, 1> seen{};
  ASSERT_TRUE(device().read(RegionIndex::kBar2, 0x123, seen));
  EXPECT_EQ(seen[0], std::byte{0x77});
}

TEST_F(Guest, TheRomIsShown) {
  start();
  const auto image = function_->rom_image();
  ASSERT_GE(image.size(), 512U);
  EXPECT_EQ(image[0], std::byte{0x55});
  EXPECT_EQ(image[1], std::byte{0xaa});
}

TEST_F(Guest, AMissingRomIsNone) {
  start({"--fault", "no-rom"});
  EXPECT_TRUE(function_->rom_image().empty());
}

TEST_F(Guest, ABarOf64GiBIsMappedWhole) {
  start({"--vram", "64G"});
  EXPECT_EQ(vram().size(), std::uint64_t{64} << 30);
}

// Device-specific regions as the CPUs' memory: one slot over the server's own file.
TEST_F(Guest, NvlinkMemoryBecomesMemoryOfTheGuest) {
  constexpr GuestAddress kPlace(std::uint64_t{6} << 30);
  connect({"--nvlink", "256M"});
  ASSERT_EQ(device().specific_regions().size(), 1U);
  auto made = make({.region = RegionType{kNvlinkType, kNvlinkSubtype}});
  ASSERT_TRUE(made) << made.error().to_string();
  function_ = std::move(made).value();
  ASSERT_NE(function_->coherent_memory(), nullptr);
  EXPECT_EQ(function_->coherent_memory()->size(), 256_MiB);
  function_->coherent_memory()->place(kPlace);
  ASSERT_TRUE(function_->start());
  ASSERT_TRUE(slots_.has(kPlace.value()));
  ASSERT_TRUE(device().slot_reset());
  ASSERT_TRUE(function_->reset());
  const auto bytes = slots_.slots.begin()->second.host;
  std::vector<unsigned char> resident(bytes.size() / kPageSize);
  ASSERT_EQ(::mincore(bytes.data(), bytes.size(), resident.data()), 0);
  EXPECT_THAT(resident, testing::Each(0)) << "nobody has touched a page of the server's file";
  bytes[0x1000] = std::byte{0x5a};
  auto again = device().map(device().specific_regions().front(), {0x1000, kPageSize}, kPageSize);
  ASSERT_TRUE(again);
  EXPECT_EQ(again->bytes()[0], std::byte{0x5a}) << "another mapping of the file";
  function_->quiesce();
  EXPECT_FALSE(slots_.has(kPlace.value()));
}

TEST_F(Guest, ARegionThatIsNotThereIsRefused) {
  connect({"--nvlink", "256M"});
  const auto other = make({.region = RegionType{0x80001234, 7}});
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(other.error().to_string(),
              testing::AllOf(testing::HasSubstr("region = 0x80001234:0x7"),
                             testing::HasSubstr("it has nvlink2-ram")));
  connect({});
  const auto none = make({.region = RegionType{kNvlinkType, kNvlinkSubtype}});
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().to_string(), testing::HasSubstr("it has none"));
}

// The page of the table is trapped, everything around it is the device's own memory.
TEST_F(Guest, AnMsixTableInTheMiddleOfVramIsTrapped) {
  start({"--fault", "msix-in-vram"});
  constexpr std::uint64_t kMiddle = 32_MiB;
  ASSERT_EQ(vram().size(), kMiddle);
  EXPECT_TRUE(slots_.has(kVram + kMiddle + kPageSize));
  EXPECT_FALSE(slots_.has(kVram + kMiddle));
  store(kVram + kMiddle + 8, 0xcafe);  // vector 0's data
  EXPECT_EQ(load(kVram + kMiddle + 8), 0xcafeU);
  store(kVram + kMiddle + 0xff0, 0x600d);  // the same page, behind the pending bits
  EXPECT_EQ(load(kVram + kMiddle + 0xff0), 0x600dU);
}

TEST_F(Guest, ItsMsixVectorsArrive) {
  start();
  store(kTable + 0x10, 0xfee00000);  // vector 1
  store(kTable + 0x14, 0);
  store(kTable + 0x18, 0x41);
  store(kTable + 0x1c, 0);
  function_->config_write(kMsixOffset, 0x80000000, 0x80000000);
  ASSERT_EQ(controller_.routes.size(), 1U);
  const auto& [fd, message] = controller_.routes.begin()->second;
  EXPECT_EQ(message.data, 0x41U);
  store(kRegisters + kRaise, 1);
  pollfd wait{.fd = fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(::poll(&wait, 1, 5000), 1);
}

TEST_F(Guest, ItsDmaReachesMemoryAsABusMasterOnly) {
  start();
  const UniqueFd file(::memfd_create("memory", MFD_CLOEXEC));
  ASSERT_EQ(::ftruncate(file.get(), 0x10000), 0);
  auto memory = MappedRegion::create({.fd = file.get(), .size = 0x10000});
  ASSERT_TRUE(memory);
  ASSERT_TRUE(host_->map_dma(Iova(0x100000), {.bytes = memory->bytes(), .fd = file.get()}));
  std::fill_n(memory->data() + 0x2000, 0x100, std::byte{0x5a});
  store(kRegisters + kDmaAddressLow, 0x102000);
  store(kRegisters + kDmaSize, 0x100);
  store(kRegisters + kDmaVram, 0x1000);
  store(kRegisters + kDmaCommand, kDmaToVram);
  EXPECT_EQ(load(kRegisters + kStatus), kStatusDone);
  EXPECT_EQ(vram()[0x10ff], std::byte{0x5a});
  EXPECT_EQ(vram()[0x1100], std::byte{0});
  function_->config_write(4, 2, 0xffff);  // no bus master
  store(kRegisters + kDmaCommand, kDmaToVram);
  EXPECT_EQ(load(kRegisters + kStatus), kStatusDone | kStatusError);
  function_->config_write(4, 6, 0xffff);
  ASSERT_TRUE(host_->unmap_dma(Iova(0x100000), 0x10000));
  store(kRegisters + kDmaCommand, kDmaToVram);
  EXPECT_EQ(load(kRegisters + kStatus), kStatusDone | kStatusError);
}

TEST_F(Guest, AFunctionResetByTheGuestIsReal) {
  start({"--fault", "not-ready=200"});
  store(kRegisters + kScratch, 1);
  initiate_flr();
  ASSERT_EQ(certificates_.size(), 1U);
  EXPECT_THAT(certificates_[0].text, ::testing::HasSubstr("verified"));
  EXPECT_GE(certificates_[0].duration, std::chrono::milliseconds(200));
  EXPECT_EQ(function_->config_read(4) & 7, 0U);
  function_->config_write(0x10, kRegisters, ~0U);
  function_->config_write(4, 6, 0xffff);
  EXPECT_EQ(load(kRegisters + kBoot0), kBoot0Value);
  EXPECT_EQ(load(kRegisters + kScratch), 0U);
}

// It goes on working through its reset, so its guest may not have it until the slot was reset.
TEST_F(Guest, AFunctionThatIsDirtyAfterItsResetStaysAway) {
  start({"--fault", "flr-keeps-state"});
  store(kRegisters + kControl, kControlRun);
  initiate_flr();
  ASSERT_EQ(certificates_.size(), 1U);
  EXPECT_EQ(certificates_[0].verdict, ResetVerdict::kFailed);
  EXPECT_THAT(certificates_[0].text, ::testing::HasSubstr("decode or bus mastering is still on"));
  EXPECT_EQ(function_->config_read(0), 0xffffffffU);
  function_->bus_reset_begin();
  ASSERT_TRUE(host_->hot_reset(device()));
  function_->bus_reset_end(true);
  EXPECT_EQ(function_->config_read(0), 0xfa4e1234U);
}

// As long as one vCPU waits for its reset the others find nothing there, and go on.
TEST_F(Guest, OtherThreadsGoOnDuringASlowReset) {
  start({"--fault", "not-ready=3000"});
  std::atomic<bool> is_done{false};
  std::thread vcpu([&] {
    initiate_flr();
    is_done = true;
  });
  while (function_->config_read(0) != 0xffffffffU && !is_done) {
  }
  EXPECT_FALSE(is_done);
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(load(kRegisters + kBoot0), 0xffffffffU);
    store(kRegisters + kScratch, 1);
    function_->config_write(4, 6, 0xffff);
    EXPECT_EQ(function_->config_read(0), 0xffffffffU);
  }
  EXPECT_FALSE(is_done);  // it still waits, and nobody waited for it
  vcpu.join();
  EXPECT_EQ(function_->config_read(0), 0xfa4e1234U);
}

TEST_F(Guest, ErrorAndRequestInterruptsArrive) {
  start();
  const auto error = EventFd::create().value();
  const auto request = EventFd::create().value();
  const int error_fd = error.fd();
  const int request_fd = request.fd();
  ASSERT_TRUE(device().set_irq_fds(IrqType::kError, 0, {&error_fd, 1}));
  ASSERT_TRUE(device().set_irq_fds(IrqType::kRequest, 0, {&request_fd, 1}));
  gpu_->send_signal(SIGUSR2);
  EXPECT_TRUE(is_signalled(request));
  EXPECT_FALSE(error.drain());
  gpu_->send_signal(SIGUSR1);
  EXPECT_TRUE(is_signalled(error));
}

TEST_F(Guest, ACrashOfTheServerIsASurpriseRemoval) {
  start();
  const auto error = EventFd::create().value();
  const int fd = error.fd();
  ASSERT_TRUE(device().set_irq_fds(IrqType::kError, 0, {&fd, 1}));
  vram()[0] = std::byte{1};
  gpu_->kill();
  EXPECT_TRUE(is_signalled(error));
  EXPECT_TRUE(device().is_gone());
  EXPECT_EQ(function_->config_read(0), 0xffffffffU);
  EXPECT_EQ(load(kRegisters + kBoot0), 0xffffffffU);
  store(kRegisters + kScratch, 1);
  function_->config_write(4, 0, 0xffff);
  EXPECT_EQ(vram()[0], std::byte{1});  // a file that stays: no fault at an access
  function_->quiesce();
}

}  // namespace
}  // namespace gpuvm::fake_gpu::device_test
