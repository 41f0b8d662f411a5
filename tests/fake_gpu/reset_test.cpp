// SPDX-License-Identifier: Apache-2.0
// The real reset plan and sequence against the fake GPU in a process of its own: every misbehaviour
// ends in the right rung and verdict, or in a refusal that says what is wrong; none hangs, and none
// passes a function that is still dirty.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "devices/physical/reset/reset_book.hpp"
#include "devices/physical/vfio_user/vfio_user_host.hpp"
#include "tests/fake_gpu/fake_gpu_process.hpp"
#include "tests/fake_gpu/fake_gpu_spec.hpp"
#include "tests/fixtures/run_reset.hpp"
#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm::fake_gpu::reset_test {
namespace {

using std::chrono::milliseconds;
using ::testing::HasSubstr;

constexpr ResetMethod kHot = ResetMethod::kHotReset;
constexpr ResetMethod kFunction = ResetMethod::kFunctionReset;

struct Case {
  const char* name;
  std::vector<std::string> arguments;
  std::uint32_t control = 0;          ///< what the "guest" does before: bits of kControl
  std::optional<ResetMethod> method;  ///< of the rung that helps; nothing: refused
  /// What the certificate, or the refusal, says; all of them.
  std::vector<std::string> says;
  milliseconds at_least{0};
  /// On a clock that only sleeps move: for faults that last.
  bool on_fake_clock = false;
};
/// Longer than any limit.
const std::string kForEver = "3600000";

// Ids choose rows of the policy table: 10de:1e04 Turing (hot first, looks at WPR2), 10de:2c05 GB203
// (function first, then hot), 10de:1eb8 T4 (function only, looks at WPR2).
const Case kCases[] = {
    {"Well", {}, 0, kHot, {"verified"}},
    {"WellAfterWork", {}, kControlBoot | kControlRun, kHot, {"verified"}},
    {"WellTuring", {"--id", "10de:1e04"}, kControlBoot | kControlRun, kHot, {"verified"}},
    {"WellFunctionFirst", {"--id", "10de:2c05"}, kControlRun, kFunction, {"verified"}},
    {"NoFlr", {"--fault", "no-flr"}, kControlRun, kHot, {"verified"}},
    {"NoFlrFunctionFirst",
     {"--id", "10de:2c05", "--fault", "no-flr"},
     kControlRun,
     kHot,
     {"verified"}},
    {"NoSlotReset", {"--fault", "no-slot-reset"}, kControlRun, kFunction, {"verified"}},
    {"NoResetAtAll",
     {"--fault", "no-flr", "--fault", "no-slot-reset"},
     0,
     {},
     {"No safe reset is known for", "Function reset: ", "has none"}},
    {"FlrHangs",
     {"--id", "10de:2c05", "--fault", "flr-hangs"},
     kControlRun,
     kHot,
     {"verified", "before that: function reset: ", "did not answer within"}},
    {"FlrHangsAndNothingElse",
     {"--fault", "flr-hangs", "--fault", "no-slot-reset"},
     0,
     {},
     {"function reset: ", "did not answer within", "Switch the host off and on again"}},
    {"FlrKills",
     {"--id", "10de:2c05", "--fault", "flr-kills"},
     0,
     {},
     {"function reset: ", "hot reset: ", "its vendor id reads ffff",
      "Switch the host off and on again"}},
    {"FlrKeepsState",
     {"--id", "10de:2c05", "--fault", "flr-keeps-state"},
     kControlRun,
     kHot,
     {"verified", "before that: function reset: ", "decode or bus mastering is still on"}},
    {"FlrKeepsStateAndNothingElse",
     {"--id", "10de:1eb8", "--fault", "flr-keeps-state"},
     kControlBoot,
     {},
     {"function reset: ", "GSP memory lock (WPR2_ADDR_HI) reads 0x00fa4e00", "Reboot the host"},
     {},
     true},
    {"SlotResetKills",
     {"--fault", "slot-reset-kills"},
     0,
     {},
     {"hot reset: ", "did not answer within", "Switch the host off and on again"}},
    {"NotReadyForAWhile",
     {"--fault", "not-ready=300"},
     kControlRun,
     kHot,
     {"verified"},
     milliseconds(300)},
    {"NotReadyForTooLong",
     {"--fault", "not-ready=60000"},
     0,
     {},
     {"did not answer within", "its vendor id reads 0001"}},
    {"NarrowLink",
     {"--fault", "narrow-link"},
     0,
     {},
     {"hot reset: ", "function reset: ", "link width is x1, but was x16", "Reboot the host"}},
    {"StickyWpr2",
     {"--id", "10de:1e04", "--fault", "sticky-wpr2"},
     kControlBoot,
     {},
     {"hot reset: ", "function reset: ", "GSP memory lock (WPR2_ADDR_HI) reads 0x00fa4e00"},
     {},
     true},
    {"RomBlankUntilReset", {"--fault", "rom-blank-until-reset"}, kControlRun, kHot, {"verified"}},
    {"FlrKeepsSlowLink",
     {"--id", "10de:2c05", "--fault", "flr-keeps-slow-link"},
     kControlRun,
     kFunction,
     {"verified"}},
    {"LinkSlowForAWhile",
     {"--fault", "link-slow=200"},
     kControlRun,
     kHot,
     {"verified"},
     milliseconds(200)},
    {"LinkSlowForEver",
     {"--fault", "link-slow=" + kForEver},
     kControlRun,
     kHot,
     {"verified", "link speed is generation 1, but was 3"},
     {},
     true},
    {"PriErrorForAWhile",
     {"--id", "10de:1e04", "--fault", "pri-error=200"},
     kControlBoot,
     kHot,
     {"verified"},
     milliseconds(200)},
    {"PriErrorForEver",
     {"--id", "10de:1e04", "--fault", "pri-error=" + kForEver},
     0,
     {},
     {"GFW_BOOT", "cannot be read: PRI error 0xbadf1100", "Reboot the host"},
     {},
     true},
    {"FirmwareBootsForAWhile",
     {"--id", "10de:1e04", "--fault", "firmware-boots=200"},
     kControlBoot,
     kHot,
     {"verified"},
     milliseconds(200)},
    {"FirmwareBootsForEver",
     {"--id", "10de:1e04", "--fault", "firmware-boots=" + kForEver},
     0,
     {},
     {"GFW_BOOT) reads 0x00000012", "Reboot the host"},
     {},
     true},
    {"BarFirewallForAWhile",
     {"--id", "10de:2901", "--fault", "bar-firewall=200"},
     kControlRun,
     kHot,
     {"verified"},
     milliseconds(200)},
    {"BarFirewallForEver",
     {"--id", "10de:3182", "--fault", "bar-firewall=" + kForEver},
     0,
     {},
     {"chip id (NV_PMC_BOOT_0) reads 0xffffffff", "within 4000 ms"},
     {},
     true},
    {"NoBarsForAWhile",
     {"--fault", "no-bars=300"},
     kControlRun,
     kHot,
     {"verified"},
     milliseconds(300)},
    {"NoBarsForEver",
     {"--fault", "no-bars=" + kForEver},
     0,
     {},
     {"hot reset: ", "function reset: ", "all its memory BARs read all ones"},
     {},
     true},
    {"MsixComesAndGoesForAWhile",
     {"--id", "10de:1e04", "--fault", "msix-comes-and-goes=200"},
     kControlRun,
     kHot,
     {"verified"},
     milliseconds(200)},
    {"MsixComesAndGoesForEver",
     {"--id", "10de:1e04", "--fault", "msix-comes-and-goes=" + kForEver},
     0,
     {},
     {"capabilities are not where they were"},
     {},
     true},
    {"DropsMultifunctionBit",
     {"--id", "10de:1e04", "--fault", "drops-multifunction-bit"},
     kControlRun,
     kHot,
     {"verified"}},
    {"NoRom", {"--fault", "no-rom"}, kControlRun, kHot, {"verified"}},
    {"MsixInVram", {"--fault", "msix-in-vram"}, kControlRun, kHot, {"verified"}},
    {"HugeVram", {"--vram", "64G"}, kControlRun, kHot, {"verified"}},
    {"ServerStalls",
     {"--fault", "stalls"},
     0,
     {},
     {"did not answer DEVICE_RESET", "has gone for good", "Start again what served it"}},
    {"ServerLeaves",
     {"--fault", "leaves"},
     0,
     {},
     {"closed the connection", "has gone for good", "Start again what served it"}},
};

class Resets : public ::testing::TestWithParam<Case> {
 protected:
  Resets() : gpu_(GetParam().arguments) {
    auto host = VfioUserHost::open(
        {gpu_.socket()}, {.timeout = milliseconds(3000), .reset_timeout = milliseconds(1000)});
    EXPECT_TRUE(host) << (host ? "" : host.error().to_string());
    host_ = std::move(host).value();
  }

  PhysicalDevice& device() { return host_->device(0); }
  ResetPlan make_plan() {
    PhysicalDevice* const pointer = &device();
    auto plan = ResetPlan::create(*host_, {&pointer, 1},
                                  {.settle = milliseconds(0), .ready_timeout = milliseconds(600)});
    EXPECT_TRUE(plan) << (plan ? "" : plan.error().to_string());
    return std::move(plan).value();
  }
  /// What a guest leaves behind: decode and bus mastering on, and the GPU at work.
  void work(std::uint32_t control) {
    const std::array<std::byte, 2> command{std::byte{6}, std::byte{0}};
    ASSERT_TRUE(device().write(RegionIndex::kConfig, 4, command));
    write_register(kControl, control);
    write_register(kScratch, 0xdecade);
  }
  void write_register(std::uint32_t offset, std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value);
    ASSERT_TRUE(device().write(RegionIndex::kBar0, offset, bytes));
  }
  std::uint32_t read_register(std::uint32_t offset) {
    const std::array<std::byte, 2> command{std::byte{2}, std::byte{0}};
    EXPECT_TRUE(device().write(RegionIndex::kConfig, 4, command));
    std::array<std::byte, 4> bytes{};
    EXPECT_TRUE(device().read(RegionIndex::kBar0, offset, bytes));
    return static_cast<std::uint32_t>(load_le(bytes));
  }
  void expect_clean() {
    EXPECT_EQ(read_register(kBoot0), kBoot0Value);
    EXPECT_EQ(read_register(kControl), 0U);
    EXPECT_EQ(read_register(kScratch), 0U);
    EXPECT_EQ(read_register(kWpr2), 0U);
  }

  FakeGpuProcess gpu_;
  std::unique_ptr<VfioUserHost> host_;
};

TEST_P(Resets, EndAsTheyMust) {
  const Case& expected = GetParam();
  const auto plan = make_plan();
  work(expected.control);
  const auto begin = std::chrono::steady_clock::now();
  FakeClock clock;
  const auto outcome =
      expected.on_fake_clock ? run_reset(*host_, plan, clock.clock()) : run_reset(*host_, plan);
  const auto time = std::chrono::steady_clock::now() - begin;
  EXPECT_LT(time, std::chrono::seconds(20));
  EXPECT_GE(time, expected.at_least);
  ASSERT_EQ(outcome.has_value(), expected.method.has_value())
      << (outcome ? outcome->front().text : outcome.error().to_string());
  std::string text;
  if (outcome) {
    ASSERT_EQ(outcome->size(), 1U);
    EXPECT_EQ(outcome->front().method, *expected.method);
    EXPECT_EQ(outcome->front().verdict, ResetVerdict::kVerified);
    EXPECT_EQ(outcome->front().functions, gpu_.socket());
    text = outcome->front().text;
    expect_clean();
  } else {
    EXPECT_EQ(exit_status(outcome.error().kind()), 75);
    text = outcome.error().to_string();
    EXPECT_THAT(text, HasSubstr(gpu_.socket()));
  }
  for (const std::string& part : expected.says) {
    EXPECT_THAT(text, HasSubstr(part));
  }
}

INSTANTIATE_TEST_SUITE_P(EveryMisbehaviour, Resets, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

TEST(ResetPlans, ADeadFunctionGetsNone) {
  const FakeGpuProcess gpu({"--fault", "dead"});
  const auto host = VfioUserHost::open({gpu.socket()});
  ASSERT_TRUE(host) << host.error().to_string();
  PhysicalDevice* const device = &(*host)->device(0);
  const auto plan = ResetPlan::create(**host, {&device, 1});
  ASSERT_FALSE(plan);
  EXPECT_EQ(exit_status(plan.error().kind()), 75);
  EXPECT_THAT(plan.error().to_string(), HasSubstr("does not answer"));
}

// Linux sets bit 25 of 0x488 at enumeration only (quirk_nvidia_hda): nobody else puts it back.
TEST(ResetPlans, WhatShowedTheAudioFunctionShowsItAgain) {
  const FakeGpuProcess gpu({"--id", "10de:1e04", "--fault", "drops-multifunction-bit"});
  const auto host = VfioUserHost::open({gpu.socket()});
  ASSERT_TRUE(host) << host.error().to_string();
  PhysicalDevice* const device = &(*host)->device(0);
  const auto plan = ResetPlan::create(**host, {&device, 1}, {.settle = milliseconds(0)});
  ASSERT_TRUE(plan);
  ASSERT_TRUE(run_reset(**host, *plan));
  std::array<std::byte, 1> header{};
  ASSERT_TRUE(device->read(RegionIndex::kConfig, 0x0e, header));
  EXPECT_EQ(header[0], std::byte{0x80});
}

// The GPU keeps its state while nobody is connected: what a monitor that was killed left behind is
// what the next one finds, and clears.
TEST(ResetPlans, WhatACrashLeftBehindIsCleared) {
  const FakeGpuProcess gpu({"--id", "10de:1e04"});
  std::array<std::byte, 4> boot{};
  store_le(boot, kControlBoot | kControlRun);
  {
    const auto crashed = VfioUserHost::open({gpu.socket()});
    ASSERT_TRUE(crashed);
    const std::array<std::byte, 2> command{std::byte{6}, std::byte{0}};
    ASSERT_TRUE((*crashed)->device(0).write(RegionIndex::kConfig, 4, command));
    ASSERT_TRUE((*crashed)->device(0).write(RegionIndex::kBar0, kControl, boot));
  }
  const auto host = VfioUserHost::open({gpu.socket()});
  ASSERT_TRUE(host);
  PhysicalDevice* const device = &(*host)->device(0);
  const auto plan = ResetPlan::create(**host, {&device, 1}, {.settle = milliseconds(0)});
  ASSERT_TRUE(plan);
  const auto outcome = run_reset(**host, *plan);
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_EQ(outcome->front().method, kHot);
}

// A GB203, which begins with the function reset: the first reset finds out that this hangs the
// chip.
TEST(ResetBooks, AResetThatHungTheChipIsNotTriedFirstAgain) {
  const FakeGpuProcess gpu({"--id", "10de:2c05", "--fault", "flr-hangs"});
  const auto host = VfioUserHost::open({gpu.socket()});
  ASSERT_TRUE(host) << host.error().to_string();
  PhysicalDevice* const device = &(*host)->device(0);
  ResetBook book(**host, {.settle = milliseconds(0), .ready_timeout = milliseconds(600)});
  ASSERT_TRUE(book.add(*device, {}));
  const auto plan = book.plan({&device, 1});
  ASSERT_TRUE(plan) << plan.error().to_string();
  const auto first = book.reset(*plan);
  ASSERT_TRUE(check_all_safe(first));
  EXPECT_EQ(first[0].method, kHot);
  EXPECT_EQ(first[0].did_not_help, std::vector{kFunction});
  const auto second = book.reset(*plan);
  ASSERT_TRUE(check_all_safe(second));
  EXPECT_EQ(second[0].method, kHot);
  EXPECT_EQ(second[0].did_not_help, std::vector<ResetMethod>()) << second[0].text;
}

// What a guest's reset of the bus has found out holds for the machine's own resets.
TEST(ResetBooks, TheMachinesResetsUseWhatOthersHaveLearnt) {
  const FakeGpuProcess gpu({});
  const HostSystem system(gpu.folder());
  HostFunction function;
  function.socket = gpu.socket();
  function.reset.settle = milliseconds(0);
  auto devices = HostDevices::create(system, {function});
  ASSERT_TRUE(devices) << devices.error().to_string();
  std::vector<ResetMethod> methods;
  MachineReset reset(**devices, [&methods](ResetReason, const ResetCertificate& certificate) {
    methods.push_back(certificate.method);
  });
  ASSERT_TRUE(reset.run(ResetReason::kStart));
  const auto& devices_now = (*devices)->devices();
  const auto port = (*devices)->reset_book().plan(devices_now);
  ASSERT_TRUE(port) << "the machine's first reset has entered its functions";
  (*devices)->reset_book().learn(
      {.names = {gpu.socket()}, .method = kFunction, .did_not_help = {kHot}});
  ASSERT_TRUE(reset.run(ResetReason::kReboot));
  (*devices)->reset_book().learn({.names = {gpu.socket()}, .method = kHot});
  ASSERT_TRUE(reset.run(ResetReason::kStop));
  EXPECT_EQ(methods, (std::vector{kHot, kFunction, kHot}));
  InspectNode node;
  reset.inspect(node);
  EXPECT_EQ(node.child("book").child(gpu.socket()).get("did_not_help"), "none");
}

}  // namespace
}  // namespace gpuvm::fake_gpu::reset_test
