// SPDX-License-Identifier: Apache-2.0
// What the check after a reset calls a fault, what only an oddity, and what it waits for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "devices/physical/reset/function_check.hpp"
#include "tests/fixtures/run_reset.hpp"
#include "tests/unit/devices/physical/reset/gpu_slot_test.hpp"

namespace gpuvm::function_check_test {
namespace {

using reset_test::kAudio;
using reset_test::kGpu;
using std::chrono::milliseconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr std::size_t kLinkStatus = FakeResetDevice::kExpress + 0x12;
constexpr std::uint16_t kSlowLink = 0x0081;  // generation 1, x8
constexpr std::uint16_t kNarrowLink = 0x0013;
constexpr auto kHot = ResetMethod::kHotReset;
constexpr auto kFunction = ResetMethod::kFunctionReset;

class FunctionCheckTest : public reset_test::GpuSlotTest {
 protected:
  void make_nvidia(std::uint16_t device) {
    gpu_.set16(0, 0x10de);
    gpu_.set16(2, device);
    gpu_.registers = {{0, 0x192000a1}, {0x118128, 1}, {0x118234, 0xff}};
  }
  ResetPlan plan(ResetMethod method) {
    auto made = ResetPlan::create(host_, devices_, {.only = method, .settle = milliseconds(0)});
    EXPECT_TRUE(made) << made.error().to_string();
    return *std::move(made);
  }
  /// What the reset does to the GPU, whichever it is.
  void on_reset(std::function<void()> damage) {
    host_.on_hot_reset = gpu_.on_function_reset = [damage = std::move(damage)] {
      damage();
      return Status();
    };
  }
  ResetCertificate run(const ResetPlan& made) {
    return reset_all(host_, made, clock_after_sleep()).front();
  }
  ResetClock clock_after_sleep() {
    ResetClock clock = time_.clock();
    clock.sleep = [this, sleep = clock.sleep](milliseconds length) {
      sleep(length);
      if (on_sleep) {
        on_sleep(time_.time);
      }
    };
    return clock;
  }

  std::function<void(milliseconds now)> on_sleep;  ///< the device, as time goes by
};

// VFIO reports a ROM of size 0 whenever its contents do not begin with 55 AA at that moment (Linux,
// drivers/vfio/pci/vfio_pci_core.c, VFIO_DEVICE_GET_REGION_INFO).
TEST_F(FunctionCheckTest, TheRomsSizeIsNoBarsSize) {
  gpu_.regions.at(6) = {0, true, false, false, false, {}};
  const auto made = plan(kHot);
  on_reset([this] { gpu_.regions.at(6).size = 0x20000; });
  EXPECT_TRUE(run(made).is_safe()) << run(made).text;
}

TEST_F(FunctionCheckTest, AFunctionResetLeavesTheLinkAsSlowAsTheDriverMadeIt) {
  const auto made = plan(kFunction);
  on_reset([this] { gpu_.set16(kLinkStatus, kSlowLink); });
  const auto certificate = run(made);
  EXPECT_TRUE(certificate.is_safe()) << certificate.text;
  EXPECT_THAT(certificate.text, Not(HasSubstr("link speed")));
}

TEST_F(FunctionCheckTest, AfterAHotResetTheLinksSpeedIsWaitedFor) {
  const auto made = plan(kHot);
  on_reset([this] { gpu_.set16(kLinkStatus, kSlowLink); });
  on_sleep = [this](milliseconds now) {
    gpu_.set16(kLinkStatus, now < milliseconds(300) ? kSlowLink : 0x0083);
  };
  const auto certificate = run(made);
  EXPECT_TRUE(certificate.is_safe()) << certificate.text;
  EXPECT_THAT(certificate.text, Not(HasSubstr("link speed")));
  EXPECT_GE(certificate.duration, milliseconds(300));
  EXPECT_LT(certificate.duration, milliseconds(1000));
}

TEST_F(FunctionCheckTest, ALinkThatStaysSlowIsOddAndOneThatIsNarrowIsAFault) {
  const auto made = plan(kHot);
  on_reset([this] { gpu_.set16(kLinkStatus, kSlowLink); });
  const auto slow = run(made);
  EXPECT_TRUE(slow.is_safe());
  EXPECT_THAT(slow.text, HasSubstr(kGpu + ": link speed is generation 1, but was 3"));
  EXPECT_LT(slow.duration, milliseconds(2000));
  for (const ResetMethod method : {kHot, kFunction}) {
    gpu_.set16(kLinkStatus, 0x0083);
    const auto again = plan(method);
    on_reset([this] { gpu_.set16(kLinkStatus, kNarrowLink); });
    EXPECT_THAT(run(again).text, HasSubstr("link width is x1, but was x8"));
  }
}

struct Register {
  const char* what;
  std::uint64_t offset;
  std::uint32_t bad;
  std::uint32_t good;
  const char* says;  ///< where it stays bad
};

TEST_F(FunctionCheckTest, RegistersOfThePolicyAreWaitedFor) {
  const std::vector<Register> cases{
      {"chip id", 0, 0xffffffff, 0x192000a1, "NV_PMC_BOOT_0) reads 0xffffffff"},
      {"PRI error of the chip id", 0, 0xbadf1100, 0x192000a1, "PRI error 0xbadf1100"},
      {"mask of GFW_BOOT", 0x118128, 0, 1, "GFW_BOOT may be read"},
      {"GFW_BOOT", 0x118234, 0x7, 0x3ff, "GFW_BOOT) reads 0x00000007"},
      {"PRI error of the lock", 0x1fa828, 0xbadf5040, 0, "cannot be read: PRI error 0xbadf5040"},
      {"lock", 0x1fa828, 0x1ffffe00, 0xf, "WPR2_ADDR_HI) reads 0x1ffffe00"},
  };
  for (const Register& entry : cases) {
    SCOPED_TRACE(entry.what);
    make_nvidia(0x2684);  // AD102
    const auto made = plan(kHot);
    on_reset([&] { gpu_.registers[entry.offset] = entry.bad; });
    const milliseconds start = time_.time;
    on_sleep = [&](milliseconds now) {
      gpu_.registers[entry.offset] = now - start < milliseconds(700) ? entry.bad : entry.good;
    };
    const auto late = run(made);
    EXPECT_TRUE(late.is_safe()) << late.text;
    EXPECT_GE(late.duration, milliseconds(700));
    on_sleep = {};
    const auto never = run(made);
    EXPECT_FALSE(never.is_safe());
    EXPECT_THAT(never.text, AllOf(HasSubstr(entry.says), HasSubstr("within 4000 ms")));
    EXPECT_GE(never.duration, milliseconds(4000));
    EXPECT_LT(never.duration, milliseconds(5000));
    EXPECT_EQ(gpu_.get16(4) & 7, 0);
  }
}

// A virtual function has its card's ids, and registers of its own (NVIDIA's: no GFW_BOOT).
TEST_F(FunctionCheckTest, RegistersOfAVirtualFunctionAreNotThoseOfItsCard) {
  make_nvidia(0x2684);
  const auto made = plan(kFunction);
  on_reset([this] { gpu_.registers = {}; });
  EXPECT_FALSE(run(made).is_safe());
  gpu_.is_virtual = true;
  const auto certificate = run(made);
  EXPECT_TRUE(certificate.is_safe()) << certificate.text;
  const auto state = read_function_state(gpu_);
  ASSERT_TRUE(state);
  EXPECT_TRUE(
      read_check_registers(gpu_, *state, find_reset_policy(0x10de, 0x2684, 0x030000)).empty());
}

// Ampere and Ada answer before their firmware has set MSI-X up (NVIDIA open-gpu-kernel-modules,
// gpu_mgr.c).
TEST_F(FunctionCheckTest, CapabilitiesOfACardThatStillBootsAreWaitedFor) {
  make_nvidia(0x2684);
  const auto made = plan(kHot);
  on_reset([this] { gpu_.set16(FakeResetDevice::kExpress, 0x0010); });
  on_sleep = [this](milliseconds now) {
    gpu_.set16(FakeResetDevice::kExpress, now < milliseconds(700) ? 0x0010 : 0x9010);
  };
  const auto certificate = run(made);
  EXPECT_TRUE(certificate.is_safe()) << certificate.text;
  EXPECT_GE(certificate.duration, milliseconds(700));
}

TEST_F(FunctionCheckTest, TheMultifunctionBitIsNotCompared) {
  const auto made = plan(kHot);
  on_reset([this] { gpu_.config[0x0e] = std::byte{0}; });
  EXPECT_TRUE(run(made).is_safe()) << run(made).text;
}

TEST_F(FunctionCheckTest, AControllerWithoutAnyResetIsQuiescedCheckedAndStarts) {
  host_.sets.clear();
  audio_.can_function_reset = false;
  devices_ = {&audio_};
  const auto made = ResetPlan::create(host_, devices_).value();
  audio_.make_busy();
  const auto certificate = run(made);
  EXPECT_EQ(certificate.verdict, ResetVerdict::kUnreset) << certificate.text;
  EXPECT_EQ(audio_.get16(0x04) & 7, 0);
  audio_.set16(2, 0x9999);
  EXPECT_THAT(run(made).text, HasSubstr("is 1234:9999"));
}

/// A laptop's GPU, whose audio function Linux shows by bit 25 of 0x488 at enumeration.
class HiddenAudioTest : public FunctionCheckTest {
 protected:
  HiddenAudioTest() {
    make_nvidia(0x2684);
    gpu_.regions.at(7).size = gpu_.config.size();
    gpu_.set16(kShow + 2, 0x0200);
    gpu_.on_config_write = [this] { audio_.is_gone = (gpu_.get16(kShow + 2) & 0x0200) == 0; };
    on_reset([this] {
      gpu_.set16(kShow + 2, 0);
      gpu_.config[0x0e] = std::byte{0};
      audio_.is_gone = true;
    });
  }
  static constexpr std::size_t kShow = 0x488;
};

TEST_F(HiddenAudioTest, IsShownAgainBeforeItIsWaitedFor) {
  std::swap(devices_[0], devices_[1]);  // also where function 1 is named first
  const auto certificate = run(plan(kHot));
  EXPECT_TRUE(certificate.is_safe()) << certificate.text;
  EXPECT_EQ(gpu_.get16(kShow + 2), 0x0200);
  EXPECT_LT(certificate.duration, milliseconds(1000));
}

TEST_F(HiddenAudioTest, OneThatStaysAwayIsRefused) {
  const auto made = plan(kHot);
  gpu_.on_config_write = {};
  EXPECT_THAT(run(made).text, HasSubstr(kAudio + " did not answer within 60 s"));
}

TEST_F(HiddenAudioTest, WhereTheBitWasNotSetItIsLeftAlone) {
  gpu_.set16(kShow + 2, 0);
  gpu_.on_config_write = {};
  on_reset([] {});
  EXPECT_TRUE(run(plan(kHot)).is_safe());
  EXPECT_EQ(gpu_.get16(kShow + 2), 0);
}

}  // namespace
}  // namespace gpuvm::function_check_test
