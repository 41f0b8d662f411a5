// SPDX-License-Identifier: Apache-2.0
// The loader's commands, executed as a firmware does, give the tables that link_acpi gives.
#include "firmware/ovmf/table_loader.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "firmware/acpi/acpi_tables.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::ovmf::table_loader_test {
namespace {

struct File {
  std::vector<std::byte> bytes;
  std::uint64_t at = 0;
};

/// Executes commands by the offsets of edk2's QemuLoader.h.
class Firmware {
 public:
  explicit Firmware(const AcpiBlobs& blobs) {
    files_["etc/acpi/rsdp"].bytes = blobs.rsdp;
    files_["etc/acpi/tables"].bytes = blobs.tables;
    if (!blobs.data.empty()) {
      files_["etc/acpi/gpuvm-data"].bytes = blobs.data;
    }
  }

  void run(std::span<const std::byte> commands) {
    ASSERT_EQ(commands.size() % 128, 0U);
    for (; !commands.empty(); commands = commands.subspan(128)) {
      const auto entry = commands.first(128);
      switch (load_le(entry.first(4))) {
        case 1:
          allocate(entry);
          break;
        case 2:
          add_pointer(entry);
          break;
        case 3:
          add_checksum(entry);
          break;
        default:
          FAIL() << "unknown command";
      }
    }
  }

  File& file(const char* name) { return files_.at(name); }

 private:
  static std::string text(std::span<const std::byte> field) {
    const std::string all(reinterpret_cast<const char*>(field.data()), 56);
    EXPECT_EQ(all.back(), '\0');
    return all.c_str();
  }
  void allocate(std::span<const std::byte> entry) {
    auto& file = files_.at(text(entry.subspan(4)));
    const auto alignment = load_le(entry.subspan(60, 4));
    const bool anchor = entry[64] == std::byte{2};
    EXPECT_EQ(anchor, text(entry.subspan(4)) == "etc/acpi/rsdp");
    file.at = anchor ? 0xf0010 : next_ -= 0x100000;
    EXPECT_EQ(file.at % alignment, 0U);
  }
  void add_pointer(std::span<const std::byte> entry) {
    auto& file = files_.at(text(entry.subspan(4)));
    const auto& target = files_.at(text(entry.subspan(60)));
    const auto offset = load_le(entry.subspan(116, 4));
    const auto size = load_le(entry.subspan(120, 1));
    const auto field = std::span(file.bytes).subspan(offset, size);
    EXPECT_NE(target.at, 0U) << "allocated before";
    EXPECT_LT(load_le(field), target.bytes.size()) << "an offset inside the target";
    store_le(field, load_le(field) + target.at);
  }
  void add_checksum(std::span<const std::byte> entry) {
    auto& bytes = files_.at(text(entry.subspan(4))).bytes;
    unsigned sum = 0;
    for (const auto byte :
         std::span(bytes).subspan(load_le(entry.subspan(64, 4)), load_le(entry.subspan(68, 4)))) {
      sum += std::to_integer<unsigned>(byte);
    }
    bytes.at(load_le(entry.subspan(60, 4))) = static_cast<std::byte>(-sum & 0xff);
  }
  std::map<std::string, File> files_;
  std::uint64_t next_ = 0x3f776000;
};

TEST(TableLoader, GivesTheTablesThatLinkAcpiGives) {
  AcpiInput input;
  input.apic_ids = {0, 1, 2};
  input.ecam = AcpiEcam{.base = GuestAddress(0xb0000000), .last_bus = 3};
  const auto blobs = build_acpi_blobs(input);
  ASSERT_TRUE(blobs);
  Firmware firmware(*blobs);
  firmware.run(table_loader(*blobs));
  const auto linked = link_acpi(*blobs, GuestAddress(firmware.file("etc/acpi/rsdp").at),
                                GuestAddress(firmware.file("etc/acpi/tables").at));
  ASSERT_TRUE(linked);
  EXPECT_EQ(firmware.file("etc/acpi/rsdp").bytes, linked->rsdp);
  EXPECT_EQ(firmware.file("etc/acpi/tables").bytes, linked->tables);
}

TEST(TableLoader, DataAreAFileOfTheirOwn) {
  const std::vector<std::byte> rom(5000, std::byte{0x55});
  AcpiInput input;
  input.apic_ids = {0};
  input.roms = {{.port_path = "\\_SB.PCI0.S08", .bus = 1, .vendor = 0x1002, .image = rom}};
  const auto blobs = build_acpi_blobs(input);
  ASSERT_TRUE(blobs);
  Firmware firmware(*blobs);
  firmware.run(table_loader(*blobs));
  const auto linked = link_acpi(*blobs, GuestAddress(firmware.file("etc/acpi/rsdp").at),
                                GuestAddress(firmware.file("etc/acpi/tables").at),
                                GuestAddress(firmware.file("etc/acpi/gpuvm-data").at));
  ASSERT_TRUE(linked);
  EXPECT_EQ(firmware.file("etc/acpi/tables").bytes, linked->tables);
  EXPECT_EQ(firmware.file("etc/acpi/gpuvm-data").bytes, linked->data);
}

}  // namespace
}  // namespace gpuvm::ovmf::table_loader_test
