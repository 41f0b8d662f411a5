// SPDX-License-Identifier: Apache-2.0
// A ROM from sysfs and from a VFCT table.
#include "vmm/host/pci_rom.hpp"

#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::pci_rom_test {
namespace {

constexpr Bdf kGpu{0, 1, 0, 0};
constexpr const char* kBase = "/sys/bus/pci/devices/0000:01:00.0";

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// Table with images for 0000:03:00.0 and 0000:01:00.0.
std::string vfct() {
  std::vector<std::byte> table(76);
  store_le(std::span(table).subspan(52, 4), 76);
  const auto image = [&](std::uint32_t bus, std::string_view content) {
    for (const std::uint32_t value :
         {bus, 0U, 0U, 0x73bf1002U, 0U, 0U, static_cast<std::uint32_t>(content.size())}) {
      append_bytes(table, value);
    }
    for (const char c : content) {
      table.push_back(static_cast<std::byte>(c));
    }
  };
  image(3, "other");
  image(1, "this one");
  return text_of(table);
}

class RomHost : public FakeHost {
 public:
  Status write(std::string_view absolute, std::string_view text) const override {
    order.push_back(fmt::format("{} {}", absolute.substr(absolute.rfind('/') + 1), text));
    return {};
  }
  mutable std::vector<std::string> order;
};

TEST(PciRom, SysfsIsSwitchedOnAndOff) {
  RomHost host;
  host.add_device("0000:01:00.0", "0x030000", 1, "");
  EXPECT_FALSE(read_host_rom(host, kGpu));
  host.file(std::string(kBase) + "/rom", "image");
  host.file(std::string(kBase) + "/enable", "0\n");
  const auto rom = read_host_rom(host, kGpu);
  ASSERT_TRUE(rom) << rom.error().to_string();
  EXPECT_EQ(text_of(rom->bytes), "image");
  EXPECT_EQ(host.order, (std::vector<std::string>{"enable 1", "rom 1", "rom 0", "enable 0"}));
  host.order.clear();
  host.file(std::string(kBase) + "/enable", "2\n");  // a driver has it enabled
  ASSERT_TRUE(read_host_rom(host, kGpu));
  EXPECT_EQ(host.order, (std::vector<std::string>{"rom 1", "rom 0"}));
}

TEST(PciRom, VfctWhereSysfsHasNone) {
  FakeHost host;
  host.add_device("0000:01:00.0", "0x038000", 1, "");
  host.file("/sys/firmware/acpi/tables/VFCT", vfct());
  const auto rom = read_host_rom(host, kGpu);
  ASSERT_TRUE(rom) << rom.error().to_string();
  EXPECT_EQ(text_of(rom->bytes), "this one");
  EXPECT_FALSE(read_host_rom(host, Bdf{0, 2, 0, 0}));
}

TEST(PciRom, HostileVfct) {
  const auto table = vfct();
  const auto bytes = std::as_bytes(std::span(table));
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_TRUE(find_vfct_image(bytes.first(size), kGpu).empty()) << size;
  }
  std::vector<std::byte> loop(bytes.begin(), bytes.end());
  store_le(std::span(loop).subspan(76 + 24, 4), 0);      // empty image
  store_le(std::span(loop).subspan(52, 4), 0xfffffff0);  // first image out of the table
  EXPECT_TRUE(find_vfct_image(loop, kGpu).empty());
}

}  // namespace
}  // namespace gpuvm::pci_rom_test
