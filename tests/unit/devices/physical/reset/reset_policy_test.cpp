// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/reset_policy.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

namespace gpuvm::reset_policy_test {
namespace {

using testing::AllOf;
using testing::HasSubstr;

using Methods = std::vector<std::string>;

constexpr std::uint32_t kVga = 0x030000;
constexpr std::uint32_t kAudio = 0x040300;
constexpr std::uint32_t kAccelerator = 0x120000;

TEST(ResetPolicy, EveryRowIsWellFormed) {
  for (const ResetPolicy& row : reset_policies()) {
    SCOPED_TRACE(row.name);
    EXPECT_LE(row.first_device, row.last_device);
    EXPECT_FALSE(row.reason.empty());
    EXPECT_FALSE(row.source.empty());
    const bool allows_any = row.allows_hot_reset || row.allows_function_reset;
    if (allows_any) {
      EXPECT_TRUE(row.preferred == ResetMethod::kHotReset ? row.allows_hot_reset
                                                          : row.allows_function_reset);
    }
  }
}

TEST(ResetPolicy, EveryRowCanBeReached) {
  for (const ResetPolicy& row : reset_policies()) {
    bool is_reached = false;
    for (std::uint32_t device = row.first_device; device <= row.last_device; ++device) {
      is_reached = is_reached ||
                   &find_reset_policy(row.vendor, static_cast<std::uint16_t>(device), kVga) == &row;
    }
    EXPECT_TRUE(is_reached) << row.name << " is hidden by an earlier row";
  }
}

TEST(ResetPolicy, KnownDevices) {
  EXPECT_FALSE(find_reset_policy(0x10de, 0x1eb8, kVga).allows_hot_reset);
  EXPECT_FALSE(find_reset_policy(0x10de, 0x2342, kVga).allows_hot_reset);
  EXPECT_EQ(find_reset_policy(0x10de, 0x2335, kVga).preferred, ResetMethod::kHotReset);
  EXPECT_FALSE(find_reset_policy(0x10de, 0x2b85, kVga).allows_function_reset);
  EXPECT_EQ(find_reset_policy(0x10de, 0x2684, kVga).name, "NVIDIA Turing to Ada");
  EXPECT_EQ(find_reset_policy(0x1002, 0x67df, kVga).required_kernel_method, "device_specific");
  EXPECT_EQ(find_reset_policy(0x1002, 0x7408, kAccelerator).name, "AMD MI210 or MI250");
  EXPECT_EQ(find_reset_policy(0x1002, 0x740f, kAccelerator).name, "AMD MI210 or MI250");
  for (const std::uint16_t deaf :
       std::to_array<std::uint16_t>({0x6649, 0x665d, 0x67a0, 0x67b1, 0x67be})) {
    EXPECT_EQ(find_reset_policy(0x1002, deaf, kVga).preferred, ResetMethod::kFunctionReset);
  }
  EXPECT_EQ(find_reset_policy(0x10de, 0x2941, kVga).boot_time, std::chrono::milliseconds(4000));
  EXPECT_EQ(find_reset_policy(0x10de, 0x3182, kVga).name, "NVIDIA B300 class");
  EXPECT_EQ(find_reset_policy(0x1033, 0x0194, kVga).name, "unknown device");
  EXPECT_TRUE(find_reset_policy(0x1033, 0x0194, kVga).allows_hot_reset);
  // The same device number of another vendor is another device.
  EXPECT_EQ(find_reset_policy(0x8086, 0x2b85, kVga).name, "unknown device");
}

// NVIDIA's audio and USB functions have numbers among those of its GPUs: 10f7 and 1ad6 are
// Turing's, which would be Kepler to Pascal otherwise.
TEST(ResetPolicy, FunctionsBesideAGpuAreNoGpus) {
  for (const std::uint16_t device : std::to_array<std::uint16_t>({0x10f7, 0x1aef, 0x22ba})) {
    EXPECT_EQ(&find_reset_policy(0x10de, device, kAudio), &default_reset_policy());
  }
  EXPECT_EQ(&find_reset_policy(0x10de, 0x1ad6, 0x0c0330), &default_reset_policy());
  EXPECT_EQ(find_reset_policy(0x10de, 0x10f7, kVga).name, "NVIDIA Kepler to Pascal");
  EXPECT_EQ(find_reset_policy(0x1022, 0x1487, kAudio).name, "AMD Starship/Matisse audio");
}

TEST(ResetPolicy, AGpuIsAlsoA3dControllerOrAnAccelerator) {
  EXPECT_EQ(find_reset_policy(0x10de, 0x2330, 0x030200).name, "NVIDIA H100 or H200");
  EXPECT_EQ(find_reset_policy(0x1002, 0x74a1, kAccelerator).name, "AMD MI300");
}

TEST(ResetPolicy, EveryGpuOfAVendorHasARegisterThatTells) {
  EXPECT_EQ(find_reset_policy(0x10de, 0x2d04, kVga).name, "NVIDIA GPU");
  for (const ResetPolicy& row : reset_policies()) {
    const bool is_ever_reset = row.allows_hot_reset || row.allows_function_reset;
    EXPECT_EQ(row.checks.empty(), !row.is_for_gpus() || !is_ever_reset) << row.name;
  }
}

TEST(ResetPolicy, WhatNoResetMayTouchMustNotBeOpened) {
  const ResetPolicy& mi300 = find_reset_policy(0x1002, 0x74a1, kAccelerator);
  const Status opened = check_kernel_reset_methods("0000:01:00.0", mi300, Methods{"flr", "bus"});
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(opened.error().message(), AllOf(HasSubstr("virtual function"), HasSubstr("flr bus")));
  EXPECT_TRUE(check_kernel_reset_methods("0000:01:00.0", mi300, Methods{}));
}

TEST(ResetPolicy, KernelMethodsAreCheckedBeforeTheDeviceIsOpened) {
  const ResetPolicy& gb202 = find_reset_policy(0x10de, 0x2b85, kVga);
  const Status harmful = check_kernel_reset_methods("0000:01:00.0", gb202, Methods{"flr", "bus"});
  ASSERT_FALSE(harmful);
  EXPECT_EQ(harmful.error().kind(), ErrorKind::kUnsafeDevice);
  EXPECT_THAT(harmful.error().message(),
              HasSubstr("`echo > /sys/bus/pci/devices/0000:01:00.0/reset_method`"));
  EXPECT_TRUE(check_kernel_reset_methods("0000:01:00.0", gb202, Methods{"bus"}));
  EXPECT_TRUE(check_kernel_reset_methods("0000:01:00.0", gb202, Methods{}));

  const ResetPolicy& polaris = find_reset_policy(0x1002, 0x67df, kVga);
  EXPECT_FALSE(check_kernel_reset_methods("x", polaris, Methods{"bus"}));
  EXPECT_FALSE(check_kernel_reset_methods("x", polaris, Methods{}));
  EXPECT_FALSE(check_kernel_reset_methods("x", polaris, Methods{"bus", "device_specific"}));
  EXPECT_TRUE(check_kernel_reset_methods("x", polaris, Methods{"device_specific", "bus"}));

  const ResetPolicy& unknown = find_reset_policy(1, 2, kVga);
  EXPECT_TRUE(check_kernel_reset_methods("x", unknown, Methods{"flr", "bus"}));
}

// docs/reset.md: what the user says wins over the table, with a warning.
TEST(ResetPolicy, TheUsersChoiceWinsOverWhatIsDemandedOfTheKernel) {
  const Methods bus{"bus"};
  for (const std::uint16_t device :
       std::to_array<std::uint16_t>({0x67df, 0x687f, 0x7310, 0x740f, 0x74a1})) {
    SCOPED_TRACE(fmt::format("{:04x}", device));
    const ResetPolicy& policy = find_reset_policy(0x1002, device, kVga);
    const Status refused = check_kernel_reset_methods("x", policy, bus, true, std::nullopt);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().message(), HasSubstr("`reset =` of its [[pci]] entry"));
    EXPECT_EQ(overridden_refusal("x", policy, bus, true, std::nullopt), "");
    for (const auto chosen :
         {ResetMethod::kHotReset, ResetMethod::kFunctionReset, ResetMethod::kNone}) {
      EXPECT_TRUE(check_kernel_reset_methods("x", policy, bus, true, chosen));
      EXPECT_THAT(overridden_refusal("x", policy, bus, true, chosen),
                  AllOf(HasSubstr(to_string(chosen)), HasSubstr(policy.reason)));
    }
  }
  const ResetPolicy& unknown = find_reset_policy(1, 2, kVga);
  EXPECT_EQ(overridden_refusal("x", unknown, bus, true, ResetMethod::kHotReset), "");
}

// The kernel's own function level reset at opening is another thing than the reset that was chosen.
TEST(ResetPolicy, OnlyWhoInsistsOnTheFunctionResetLetsTheKernelHangACard) {
  const ResetPolicy& gb202 = find_reset_policy(0x10de, 0x2b85, kVga);
  const Methods flr{"flr", "bus"};
  EXPECT_FALSE(check_kernel_reset_methods("x", gb202, flr, true, ResetMethod::kHotReset));
  EXPECT_FALSE(check_kernel_reset_methods("x", gb202, flr, true, ResetMethod::kNone));
  EXPECT_TRUE(check_kernel_reset_methods("x", gb202, flr, true, ResetMethod::kFunctionReset));
  EXPECT_EQ(overridden_refusal("x", gb202, flr, true, ResetMethod::kHotReset), "");
  EXPECT_THAT(overridden_refusal("x", gb202, flr, true, ResetMethod::kFunctionReset),
              HasSubstr("never returns"));
}

// Linux, drivers/pci/pci.c, pci_parent_bus_reset: no bus reset for one of several functions, and
// reset_method_store() takes no method that the function does not have.
TEST(ResetPolicy, TheCureOfAForbiddenMethodIsOneThatTheKernelTakes) {
  const ResetPolicy& gb202 = find_reset_policy(0x10de, 0x2b85, kVga);
  const auto cure = [&gb202](const Methods& methods, bool shares_slot) {
    return check_kernel_reset_methods("x", gb202, methods, shares_slot).error().message();
  };
  EXPECT_THAT(cure({"flr", "bus"}, true), HasSubstr("`echo > /"));
  EXPECT_THAT(cure({"flr", "pm", "bus"}, true), HasSubstr("`echo pm > /"));
  EXPECT_THAT(cure({"flr", "bus"}, false), HasSubstr("`echo bus > /"));
  EXPECT_THAT(cure({"pm", "flr", "bus"}, false), HasSubstr("`echo pm bus > /"));
  EXPECT_THAT(cure({"flr"}, false), HasSubstr("`echo > /"));
}

TEST(ResetPolicy, OnlyWhoInsistsOnAForbiddenFunctionResetShowsItToTheGuest) {
  const ResetPolicy& gb202 = find_reset_policy(0x10de, 0x2b85, kVga);
  EXPECT_TRUE(hides_function_reset(gb202, std::nullopt));
  EXPECT_TRUE(hides_function_reset(gb202, ResetMethod::kHotReset));
  EXPECT_TRUE(hides_function_reset(gb202, ResetMethod::kNone));
  EXPECT_FALSE(hides_function_reset(gb202, ResetMethod::kFunctionReset));
  const ResetPolicy& unknown = find_reset_policy(1, 2, kVga);
  EXPECT_FALSE(hides_function_reset(unknown, std::nullopt));
  EXPECT_FALSE(hides_function_reset(unknown, ResetMethod::kHotReset));
  EXPECT_FALSE(hides_function_reset(unknown, ResetMethod::kFunctionReset));
  EXPECT_TRUE(hides_function_reset(unknown, ResetMethod::kNone));
}

}  // namespace
}  // namespace gpuvm::reset_policy_test
