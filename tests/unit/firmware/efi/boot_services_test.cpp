// SPDX-License-Identifier: Apache-2.0
// The statuses on which Linux's EFI stub relies (drivers/firmware/efi/libstub), and those of UEFI
// 2.10, section 7.
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "firmware/efi/monitor_port.hpp"
#include "firmware/efi/text.hpp"
#include "tests/unit/firmware/efi/fake_guest.hpp"

namespace gpuvm::efi::boot_services_test {
namespace {

constexpr Guid kAbsent = {0x12345678, 1, 2, {3}};
constexpr std::uint32_t kByProtocol = 2;

class BootServicesTest : public testing::Test {
 protected:
  FakeGuest guest_;
  BootServices& services_ = guest_.services();
};

TEST_F(BootServicesTest, TheFirstGetMemoryMapHasNoBuffer) {
  std::uint64_t size = 0;
  std::uint64_t key = 0;
  std::uint64_t step = 0;
  std::uint32_t version = 0;
  EXPECT_EQ(services_.get_memory_map(&size, nullptr, &key, &step, &version),
            EfiStatus::kBufferTooSmall);
  EXPECT_EQ(size, step * firmware().memory.count());
  EXPECT_GE(step, sizeof(MemoryDescriptor));
  EXPECT_EQ(version, 1U);
  EXPECT_EQ(services_.get_memory_map(nullptr, nullptr, nullptr, nullptr, nullptr),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(services_.get_memory_map(&size, nullptr, &key, &step, &version),
            EfiStatus::kInvalidParameter);
}

TEST_F(BootServicesTest, ExitBootServicesRefusesAStaleKey) {
  const auto key = guest_.key();
  std::uint64_t at = 0;
  ASSERT_EQ(services_.allocate_pages(AllocateType::kAnyPages, MemoryType::kLoaderData, 1, &at),
            EfiStatus::kSuccess);
  EXPECT_EQ(services_.exit_boot_services(firmware().image_handle, key),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(services_.exit_boot_services(nullptr, guest_.key()), EfiStatus::kInvalidParameter);
  EXPECT_FALSE(runtime().at_runtime);
  EXPECT_EQ(services_.exit_boot_services(firmware().image_handle, guest_.key()),
            EfiStatus::kSuccess);
  EXPECT_TRUE(runtime().at_runtime);
  EXPECT_EQ(runtime().system.boot, nullptr);
  EXPECT_EQ(runtime().system.console_out, nullptr);
  auto copy = runtime().system;
  copy.header.crc32 = 0;
  EXPECT_EQ(crc32(&copy, sizeof copy), runtime().system.header.crc32);
}

TEST_F(BootServicesTest, FreeingNothingIsHarmless) {
  EXPECT_EQ(services_.free_pool(nullptr), EfiStatus::kSuccess);
}

TEST_F(BootServicesTest, PoolsGiveMemoryOfTheirTypeAndTakeItBackOnce) {
  void* small = nullptr;
  void* other = nullptr;
  void* large = nullptr;
  ASSERT_EQ(services_.allocate_pool(MemoryType::kLoaderData, 100, &small), EfiStatus::kSuccess);
  ASSERT_EQ(services_.allocate_pool(MemoryType::kAcpiReclaim, 1, &other), EfiStatus::kSuccess);
  ASSERT_EQ(services_.allocate_pool(MemoryType::kLoaderData, 100'000, &large), EfiStatus::kSuccess);
  std::memset(small, 0x11, 100);
  std::memset(large, 0x22, 100'000);
  EXPECT_EQ(static_cast<const std::uint8_t*>(small)[99], 0x11);
  EXPECT_EQ(firmware().memory.type_at(reinterpret_cast<std::uint64_t>(other)),
            MemoryType::kAcpiReclaim);
  EXPECT_EQ(firmware().memory.type_at(reinterpret_cast<std::uint64_t>(small)),
            MemoryType::kLoaderData);
  for (void* buffer : {small, other, large}) {
    EXPECT_EQ(reinterpret_cast<std::uint64_t>(buffer) % 8, 0U);
    EXPECT_EQ(services_.free_pool(buffer), EfiStatus::kSuccess);
    EXPECT_EQ(services_.free_pool(buffer), EfiStatus::kInvalidParameter);
  }
  void* again = nullptr;
  ASSERT_EQ(services_.allocate_pool(MemoryType::kLoaderData, 100, &again), EfiStatus::kSuccess);
  EXPECT_EQ(again, small);
}

TEST_F(BootServicesTest, PoolsFailWithTheRightStatus) {
  void* buffer = nullptr;
  EXPECT_EQ(services_.allocate_pool(MemoryType::kConventional, 1, &buffer),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(services_.allocate_pool(MemoryType::kLoaderData, 1, nullptr),
            EfiStatus::kInvalidParameter);
  EXPECT_EQ(services_.allocate_pool(MemoryType::kLoaderData, FakeGuest::kMemory, &buffer),
            EfiStatus::kOutOfResources);
  EXPECT_EQ(services_.allocate_pool(MemoryType::kLoaderData, ~std::uint64_t{0}, &buffer),
            EfiStatus::kOutOfResources);
}

TEST_F(BootServicesTest, AbsentProtocolsAreNotFound) {
  void* interface = &interface;
  EXPECT_EQ(services_.locate_protocol(&kAbsent, nullptr, &interface), EfiStatus::kNotFound);
  EXPECT_EQ(interface, nullptr);
  const VendorMediaPath path{.vendor = guids::kLinuxInitrdMedia};
  const void* at = &path;
  Handle handle = nullptr;
  EXPECT_EQ(services_.locate_device_path(&guids::kLoadFile2, &at, &handle), EfiStatus::kNotFound);
  EXPECT_EQ(at, &path);
  std::uint64_t size = 0;
  EXPECT_EQ(services_.locate_handle(kByProtocol, &kAbsent, nullptr, &size, nullptr),
            EfiStatus::kNotFound);
  EXPECT_EQ(services_.handle_protocol(firmware().image_handle, &kAbsent, &interface),
            EfiStatus::kUnsupported);
  EXPECT_EQ(services_.handle_protocol(nullptr, &kAbsent, &interface), EfiStatus::kInvalidParameter);
}

TEST_F(BootServicesTest, LocateHandleFirstSaysHowMuchRoomItNeeds) {
  Handle made[3] = {};
  int data = 0;
  for (auto& handle : made) {
    ASSERT_EQ(services_.install_protocol_interface(&handle, &kAbsent, 0, &data),
              EfiStatus::kSuccess);
  }
  std::uint64_t size = 0;
  EXPECT_EQ(services_.locate_handle(kByProtocol, &kAbsent, nullptr, &size, nullptr),
            EfiStatus::kBufferTooSmall);
  ASSERT_EQ(size, sizeof made);
  Handle found[3] = {};
  EXPECT_EQ(services_.locate_handle(kByProtocol, &kAbsent, nullptr, &size, found),
            EfiStatus::kSuccess);
  EXPECT_EQ(std::memcmp(found, made, sizeof made), 0);
  std::uint64_t count = 0;
  Handle* buffer = nullptr;
  EXPECT_EQ(services_.locate_handle_buffer(kByProtocol, &kAbsent, nullptr, &count, &buffer),
            EfiStatus::kSuccess);
  EXPECT_EQ(count, 3U);
  EXPECT_EQ(services_.free_pool(buffer), EfiStatus::kSuccess);
  EXPECT_EQ(services_.uninstall_protocol_interface(made[0], &kAbsent, &data), EfiStatus::kSuccess);
  EXPECT_EQ(services_.uninstall_protocol_interface(made[0], &kAbsent, &data),
            EfiStatus::kInvalidParameter);  // the handle went with its last protocol
  EXPECT_EQ(services_.uninstall_protocol_interface(made[1], &kAbsent, nullptr),
            EfiStatus::kNotFound);
  EXPECT_EQ(services_.install_protocol_interface(&made[1], &kAbsent, 0, &data),
            EfiStatus::kInvalidParameter);
}

TEST_F(BootServicesTest, ADevicePathLeadsToTheLongestMatch) {
  VendorMediaPath path{.vendor = guids::kLinuxInitrdMedia};
  VendorMediaPath wanted = path;
  Handle handle = nullptr;
  int file = 0;
  ASSERT_EQ(services_.install_protocol_interface(&handle, &guids::kDevicePath, 0, &path),
            EfiStatus::kSuccess);
  const void* at = &wanted;
  Handle found = nullptr;
  EXPECT_EQ(services_.locate_device_path(&guids::kLoadFile2, &at, &found), EfiStatus::kNotFound);
  ASSERT_EQ(services_.install_protocol_interface(&handle, &guids::kLoadFile2, 0, &file),
            EfiStatus::kSuccess);
  EXPECT_EQ(services_.locate_device_path(&guids::kLoadFile2, &at, &found), EfiStatus::kSuccess);
  EXPECT_EQ(found, handle);
  EXPECT_EQ(at, &wanted.end);
  wanted.vendor.a ^= 1;
  at = &wanted;
  EXPECT_EQ(services_.locate_device_path(&guids::kLoadFile2, &at, &found), EfiStatus::kNotFound);
  wanted.head.length[0] = 1;  // a node smaller than its own head
  EXPECT_EQ(services_.locate_device_path(&guids::kLoadFile2, &at, &found),
            EfiStatus::kInvalidParameter);
}

TEST_F(BootServicesTest, ConfigurationTablesAreAddedReplacedAndRemoved) {
  const auto before = runtime().system.table_count;
  int table = 0;
  int other = 0;
  EXPECT_EQ(services_.install_configuration_table(&kAbsent, nullptr), EfiStatus::kNotFound);
  EXPECT_EQ(services_.install_configuration_table(&kAbsent, &table), EfiStatus::kSuccess);
  EXPECT_EQ(services_.install_configuration_table(&kAbsent, &other), EfiStatus::kSuccess);
  ASSERT_EQ(runtime().system.table_count, before + 1);
  EXPECT_EQ(runtime().system.tables[before].table, &other);
  EXPECT_EQ(services_.install_configuration_table(&kAbsent, nullptr), EfiStatus::kSuccess);
  EXPECT_EQ(runtime().system.table_count, before);
  EXPECT_EQ(services_.install_configuration_table(nullptr, &table), EfiStatus::kInvalidParameter);
}

/// What the firmware told the monitor, less the command and the zero at the end.
std::string told_monitor(MonitorCommand& command) {
  std::string text;
  for (const auto& write : fake_ports().writes) {
    if (write.port == FakeGuest::kMonitorPort) {
      text += static_cast<char>(write.value);
    }
  }
  EXPECT_GE(text.size(), 2U);
  EXPECT_EQ(text.back(), '\0');
  command = static_cast<MonitorCommand>(text.front());
  return text.substr(1, text.size() - 2);
}

TEST_F(BootServicesTest, AnApplicationThatExitsStopsTheMachine) {
  firmware().kernel_entered = true;
  EXPECT_THROW(services_.exit(firmware().image_handle, EfiStatus::kLoadError, 0, nullptr), Halted);
  MonitorCommand command{};
  EXPECT_EQ(told_monitor(command), "its EFI stub gave up with status 0x8000000000000001");
  EXPECT_EQ(command, MonitorCommand::kKernelFailed);
}

TEST_F(BootServicesTest, BeforeTheKernelTheFaultIsTheFirmwares) {
  EXPECT_THROW(stop_with("no memory"), Halted);
  MonitorCommand command{};
  EXPECT_EQ(told_monitor(command), "no memory");
  EXPECT_EQ(command, MonitorCommand::kFirmwareFailed);
}

TEST(Text, CutsWhatDoesNotFit) {
  Text text;
  for (int i = 0; i < 100; ++i) {
    text.add("12345");
  }
  EXPECT_EQ(std::strlen(text.c_str()), 159U);
  EXPECT_STREQ(Text().add_hex(0).c_str(), "0x0");
  EXPECT_STREQ(Text().add_hex(~std::uint64_t{0}).c_str(), "0xffffffffffffffff");
}

TEST_F(BootServicesTest, MemoryIsCopiedAndSet) {
  char text[] = "abcdef";
  services_.copy_mem(text + 1, text, 4);  // they may overlap (UEFI 2.10, 7.5.7)
  EXPECT_STREQ(text, "aabcdf");
  services_.set_mem(text, 3, 'x');
  EXPECT_STREQ(text, "xxxcdf");
}

TEST_F(BootServicesTest, SmallServicesAnswer) {
  EXPECT_EQ(services_.stall(3), EfiStatus::kSuccess);
  EXPECT_EQ(services_.set_watchdog_timer(0, 0, 0, nullptr), EfiStatus::kSuccess);
  EXPECT_EQ(services_.set_watchdog_timer(60, 0, 0, nullptr), EfiStatus::kUnsupported);
  std::uint64_t first = 0;
  std::uint64_t second = 0;
  EXPECT_EQ(services_.get_next_monotonic_count(&first), EfiStatus::kSuccess);
  EXPECT_EQ(services_.get_next_monotonic_count(&second), EfiStatus::kSuccess);
  EXPECT_GT(second, first);
  EXPECT_EQ(services_.get_next_monotonic_count(nullptr), EfiStatus::kInvalidParameter);
  std::uint32_t crc = 0;
  EXPECT_EQ(services_.calculate_crc32("123456789", 9, &crc), EfiStatus::kSuccess);
  EXPECT_EQ(crc, 0xcbf43926U);
  EXPECT_EQ(services_.calculate_crc32("", 0, &crc), EfiStatus::kInvalidParameter);
}

TEST_F(BootServicesTest, TheConsolePrintsWhatItCan) {
  firmware().console.open(0x3f8);
  fake_ports().values[0x3fd] = 0x20;  // the transmitter is empty
  auto* out = firmware().console.protocol();
  EXPECT_EQ(out->output_string(out, u"Aä\n"), EfiStatus::kSuccess);
  EXPECT_EQ(fake_ports().writes,
            (std::vector<FakePorts::Write>{{0x3f8, 'A'}, {0x3f8, '?'}, {0x3f8, '\n'}}));
  EXPECT_EQ(out->output_string(out, nullptr), EfiStatus::kInvalidParameter);
}

/// A port that never gets empty (UEFI knows no such thing, but a console must not stop a boot).
TEST_F(BootServicesTest, AStuckConsoleStopsNothing) {
  firmware().console.open(0x3f8);
  fake_ports().values[0x3fd] = 0;
  auto* out = firmware().console.protocol();
  EXPECT_EQ(out->output_string(out, u"A"), EfiStatus::kSuccess);
}

TEST_F(BootServicesTest, EventsAreUnsupported) {
  EXPECT_EQ(services_.create_event(), EfiStatus::kUnsupported);
  EXPECT_EQ(services_.load_image(), EfiStatus::kUnsupported);
}

}  // namespace
}  // namespace gpuvm::efi::boot_services_test
