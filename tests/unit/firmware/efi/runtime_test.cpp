// SPDX-License-Identifier: Apache-2.0
// UEFI 2.10, section 8: time, virtual addresses, variables, reset.
#include <gtest/gtest.h>

#include <cstring>

#include "firmware/efi/monitor_port.hpp"
#include "firmware/efi/runtime_services.hpp"
#include "tests/unit/firmware/efi/fake_guest.hpp"

namespace gpuvm::efi::runtime_test {
namespace {

constexpr Guid kVendor = {1, 2, 3, {4}};
constexpr std::uint32_t kLasting =
    kVariableNonVolatile | kVariableBootAccess | kVariableRuntimeAccess;

class RuntimeTest : public testing::Test {
 protected:
  void leave_boot_services() {
    ASSERT_EQ(guest_.services().exit_boot_services(firmware().image_handle, guest_.key()),
              EfiStatus::kSuccess);
  }
  FakeGuest guest_;
  RuntimeServices& services_ = guest_.runtime_services();
};

TEST_F(RuntimeTest, PropertiesTellTheTruth) {
  const auto supported = runtime().properties.supported;
  const std::pair<Unsupported, std::uint32_t> refusals[] = {
      {services_.set_time, 0x2},         {services_.get_wakeup_time, 0x4},
      {services_.set_wakeup_time, 0x8},  {services_.get_next_high_monotonic_count, 0x200},
      {services_.update_capsule, 0x800}, {services_.query_capsule_capabilities, 0x1000}};
  for (const auto& [service, bit] : refusals) {
    EXPECT_EQ(service(), EfiStatus::kUnsupported);
    EXPECT_EQ(supported & bit, 0U);
  }
  EXPECT_EQ(runtime().properties.version, 1);
  EXPECT_EQ(runtime().properties.length, 8);
}

TEST_F(RuntimeTest, ReadsTheClockInBcdAndBinary) {
  auto& cmos = fake_ports().cmos;
  cmos = {{0x00, 0x59}, {0x02, 0x30}, {0x04, 0x91}, {0x07, 0x21}, {0x08, 0x11},
          {0x09, 0x26}, {0x0a, 0x26}, {0x0b, 0x00}, {0x32, 0x20}};
  Time time;
  TimeCapabilities capabilities;
  ASSERT_EQ(services_.get_time(&time, &capabilities), EfiStatus::kSuccess);
  EXPECT_EQ(time.year, 2026);
  EXPECT_EQ(time.month, 11);
  EXPECT_EQ(time.day, 21);
  EXPECT_EQ(time.hour, 23);  // 11 in the afternoon
  EXPECT_EQ(time.minute, 30);
  EXPECT_EQ(time.second, 59);
  EXPECT_EQ(capabilities.resolution, 1U);
  cmos = {{0x00, 59}, {0x02, 30}, {0x04, 23},   {0x07, 21},
          {0x08, 11}, {0x09, 26}, {0x0b, 0x06}, {0x32, 20}};
  ASSERT_EQ(services_.get_time(&time, nullptr), EfiStatus::kSuccess);
  EXPECT_EQ(time.year, 2026);
  EXPECT_EQ(time.hour, 23);
  cmos[0x08] = 13;
  EXPECT_EQ(services_.get_time(&time, nullptr), EfiStatus::kDeviceError);
  EXPECT_EQ(services_.get_time(nullptr, nullptr), EfiStatus::kInvalidParameter);
}

TEST_F(RuntimeTest, ResetsAndPowersOff) {
  EXPECT_THROW(services_.reset_system(ResetType::kCold, EfiStatus::kSuccess, 0, nullptr), Halted);
  EXPECT_EQ(fake_ports().writes, (std::vector<FakePorts::Write>{{0xcf9, 0}, {0xcf9, 6}}));
  fake_ports().writes.clear();
  EXPECT_THROW(services_.reset_system(ResetType::kShutdown, EfiStatus::kSuccess, 0, nullptr),
               Halted);
  EXPECT_EQ(fake_ports().writes, (std::vector<FakePorts::Write>{{0x604, 0x3400}}));
}

TEST_F(RuntimeTest, OnlyLastingVariablesAreSaved) {
  const std::vector<FakePorts::Write> saved = {
      {FakeGuest::kMonitorPort, static_cast<std::uint16_t>(MonitorCommand::kSaveVariables)}};
  EXPECT_EQ(services_.set_variable(u"A", &kVendor, kVariableBootAccess, 1, "x"),
            EfiStatus::kSuccess);
  EXPECT_TRUE(fake_ports().writes.empty());
  EXPECT_EQ(services_.set_variable(u"B", &kVendor, kLasting, 1, "x"), EfiStatus::kSuccess);
  EXPECT_EQ(fake_ports().writes, saved);
  fake_ports().values[FakeGuest::kMonitorPort] = 1;
  EXPECT_EQ(services_.set_variable(u"C", &kVendor, kLasting, 1, "x"), EfiStatus::kDeviceError);
}

TEST_F(RuntimeTest, AbsentVariablesAreNotFound) {
  // What Linux's stub asks for; each must be absent in this very way for it to go on.
  for (const Char16* name : {u"SecureBoot", u"SetupMode", u"MokSBState", u"MokSBStateRT",
                             u"RandomSeed", u"MemoryOverwriteRequestControl"}) {
    std::uint64_t size = 0;
    EXPECT_EQ(services_.get_variable(name, &kVendor, nullptr, &size, nullptr),
              EfiStatus::kNotFound);
  }
}

TEST_F(RuntimeTest, BootVariablesAreGoneAtRunTime) {
  ASSERT_EQ(services_.set_variable(u"A", &kVendor, kVariableBootAccess, 1, "x"),
            EfiStatus::kSuccess);
  leave_boot_services();
  std::uint64_t size = 0;
  EXPECT_EQ(services_.get_variable(u"A", &kVendor, nullptr, &size, nullptr), EfiStatus::kNotFound);
  EXPECT_EQ(
      services_.set_variable(u"D", &kVendor, kVariableBootAccess | kVariableRuntimeAccess, 1, "x"),
      EfiStatus::kWriteProtected);
}

TEST_F(RuntimeTest, QueryVariableInfoAnswers) {
  std::uint64_t maximum = 0;
  std::uint64_t remaining = 0;
  std::uint64_t largest = 0;
  EXPECT_EQ(services_.query_variable_info(kLasting, &maximum, &remaining, &largest),
            EfiStatus::kSuccess);
  EXPECT_GT(maximum, remaining);
  EXPECT_EQ(services_.query_variable_info(0, &maximum, &remaining, &largest),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(services_.query_variable_info(kVariableHardwareError, &maximum, &remaining, &largest),
            EfiStatus::kUnsupported);
}

/// A map of the firmware's image, code and data apart.
std::vector<MemoryDescriptor> virtual_map(std::uint64_t code_at, std::uint64_t data_at) {
  return {{.type = 5,
           .physical_start = 0x100000,
           .virtual_start = code_at,
           .pages = 8,
           .attributes = kMemoryRuntime},
          {.type = 6,
           .physical_start = 0x108000,
           .virtual_start = data_at,
           .pages = 8,
           .attributes = kMemoryRuntime}};
}

TEST_F(RuntimeTest, SetVirtualAddressMapMovesThePointers) {
  const auto map = virtual_map(0xffff'ffff'0010'0000, 0xffff'ffff'0010'8000);
  const auto set = services_.set_virtual_address_map;
  const auto call = [&](const std::vector<MemoryDescriptor>& entries, std::uint32_t version) {
    return set(entries.size() * sizeof entries[0], sizeof entries[0], version, entries.data());
  };
  EXPECT_EQ(call(map, 1), EfiStatus::kUnsupported);  // boot services are not over
  leave_boot_services();
  EXPECT_EQ(call(map, 2), EfiStatus::kInvalidParameter);
  EXPECT_EQ(call({map[0]}, 1), EfiStatus::kNotFound);
  EXPECT_EQ(call(virtual_map(0xffff'ffff'0010'0000, 0xffff'ffff'0020'8000), 1),
            EfiStatus::kInvalidParameter);
  const auto by = std::uint64_t{0xffff'ffff'0000'0000};
  const auto get_time = reinterpret_cast<std::uint64_t>(services_.get_time);
  const auto tables = reinterpret_cast<std::uint64_t>(runtime().system.tables);
  EXPECT_EQ(call(map, 1), EfiStatus::kSuccess);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(services_.get_time), get_time + by);
  EXPECT_EQ(reinterpret_cast<std::uint64_t>(runtime().system.tables), tables + by);
  EXPECT_EQ(call(map, 1), EfiStatus::kUnsupported);  // only once
}

}  // namespace
}  // namespace gpuvm::efi::runtime_test
