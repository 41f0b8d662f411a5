// SPDX-License-Identifier: Apache-2.0
// The tables as a guest finds them: RSDP, XSDT, and so on by address, in an image of guest memory.
#include "firmware/acpi/acpi_tables.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>

#include "firmware/acpi/acpi_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::acpi_tables_test {
namespace {

/// A copy: members of packed structures are not aligned, so nothing may refer to them.
template <class T>
T value(T member) {
  return member;
}

AcpiInput input_with_cpus(std::uint32_t count) {
  AcpiInput input;
  for (std::uint32_t id = 0; id < count; ++id) {
    input.apic_ids.push_back(id);
  }
  return input;
}

unsigned sum(std::span<const std::byte> bytes) {
  unsigned total = 0;
  for (const std::byte byte : bytes) {
    total += std::to_integer<unsigned>(byte);
  }
  return total & 0xff;
}

/// Follows pointers as a guest does; every step checks bounds and checksums.
class Guest {
 public:
  explicit Guest(AcpiImage image) : image_(std::move(image)) {}

  std::span<const std::byte> at(std::uint64_t address, std::size_t length) const {
    const std::uint64_t offset = address - image_.base.value();
    EXPECT_LE(offset + length, image_.bytes.size());
    return std::span(image_.bytes).subspan(offset, length);
  }
  template <class T>
  T load(std::uint64_t address) const {
    return load_at<T>(at(address, sizeof(T)), 0).value();
  }
  std::span<const std::byte> table(std::uint64_t address) const {
    const auto header = load<acpi::TableHeader>(address);
    const auto bytes = at(address, header.length);
    EXPECT_EQ(sum(bytes), 0U) << std::string(header.signature.data(), 4);
    return bytes;
  }
  /// Signature to address, from the XSDT.
  std::map<std::string, std::uint64_t> listed() const {
    const auto rsdp = load<acpi::Rsdp>(image_.rsdp().value());
    EXPECT_EQ(sum(at(image_.rsdp().value(), 20)), 0U);
    EXPECT_EQ(sum(at(image_.rsdp().value(), 36)), 0U);
    EXPECT_EQ(std::string(rsdp.signature.data(), 8), "RSD PTR ");
    const auto xsdt = table(rsdp.xsdt_address);
    std::map<std::string, std::uint64_t> tables;
    for (std::size_t i = sizeof(acpi::TableHeader); i + 8 <= xsdt.size(); i += 8) {
      const std::uint64_t address = load_le(xsdt.subspan(i, 8));
      const auto header = load<acpi::TableHeader>(address);
      EXPECT_EQ(std::string(header.oem_id.data(), 6), "GPUVM ");
      table(address);
      tables[std::string(header.signature.data(), 4)] = address;
    }
    return tables;
  }

 private:
  AcpiImage image_;
};

Guest guest_for(const AcpiInput& input) {
  return Guest(std::move(build_acpi(input)).value());
}

/// The MADT's entries as (type, bytes).
std::vector<std::pair<acpi::MadtType, std::vector<std::byte>>> madt_entries(const Guest& guest) {
  const auto madt = guest.table(guest.listed().at("APIC"));
  std::vector<std::pair<acpi::MadtType, std::vector<std::byte>>> entries;
  std::size_t at = sizeof(acpi::Madt);
  while (at + 2 <= madt.size()) {
    const auto length = std::to_integer<std::size_t>(madt[at + 1]);
    if (length < 2 || length > madt.size() - at) {
      ADD_FAILURE() << "bad entry length " << length;
      break;
    }
    const auto bytes = madt.subspan(at, length);
    entries.emplace_back(acpi::MadtType{std::to_integer<std::uint8_t>(bytes[0])},
                         std::vector<std::byte>(bytes.begin(), bytes.end()));
    at += length;
  }
  EXPECT_EQ(at, madt.size());
  return entries;
}

std::size_t count_of(const Guest& guest, acpi::MadtType type) {
  const auto entries = madt_entries(guest);
  return static_cast<std::size_t>(std::count_if(
      entries.begin(), entries.end(), [&](const auto& entry) { return entry.first == type; }));
}

class Source : public AcpiSource {
 public:
  explicit Source(const char* name) : name_(name) {}
  aml::Terms acpi() const override { return {aml::device(name_, {})}; }

 private:
  const char* name_;
};

TEST(AcpiTables, RsdpIsWhereGuestsSearch) {  // 5.2.5.1
  const AcpiImage image = build_acpi(input_with_cpus(1)).value();
  EXPECT_EQ(image.rsdp().value() % 16, 0U);
  EXPECT_GE(image.rsdp().value(), 0xe0000U);
  EXPECT_LE(image.rsdp().value() + image.bytes.size(), 0xf0000U);
}

TEST(AcpiTables, ListsTables) {
  AcpiInput input = input_with_cpus(1);
  EXPECT_EQ(guest_for(input).listed().size(), 2U);  // FADT, MADT; the FADT names DSDT and FACS
  input.ecam = AcpiEcam{GuestAddress(0xe000'0000), 0, 255};
  const Guest guest = guest_for(input);
  const auto tables = guest.listed();
  ASSERT_EQ(tables.count("MCFG"), 1U);
  const auto allocation = guest.load<acpi::McfgAllocation>(tables.at("MCFG") + sizeof(acpi::Mcfg));
  EXPECT_EQ(value(allocation.base), 0xe000'0000U);
  EXPECT_EQ(value(allocation.last_bus), 255);
}

TEST(AcpiTables, FadtFormsAgree) {  // 5.2.9: guests warn of a mismatch
  const Guest guest = guest_for(input_with_cpus(1));
  const auto fadt = guest.load<acpi::Fadt>(guest.listed().at("FACP"));
  EXPECT_EQ(value(fadt.header.length), 276U);
  EXPECT_EQ(value(fadt.x_pm1a_event_block.address), std::uint64_t{fadt.pm1a_event_block});
  EXPECT_EQ(value(fadt.x_pm1a_event_block.bit_width), fadt.pm1_event_length * 8);
  EXPECT_EQ(value(fadt.x_pm1a_control_block.address), std::uint64_t{fadt.pm1a_control_block});
  EXPECT_EQ(value(fadt.x_pm1a_control_block.bit_width), fadt.pm1_control_length * 8);
  EXPECT_EQ(value(fadt.x_pm_timer_block.address), std::uint64_t{fadt.pm_timer_block});
  EXPECT_EQ(value(fadt.x_pm_timer_block.bit_width), fadt.pm_timer_length * 8);
  EXPECT_EQ(value(fadt.pm1a_event_block), 0x600U);
  EXPECT_EQ(value(fadt.pm1a_control_block), 0x604U);
  EXPECT_EQ(value(fadt.pm_timer_block), 0x608U);
  EXPECT_EQ(value(fadt.x_dsdt), std::uint64_t{fadt.dsdt});
  EXPECT_EQ(value(fadt.x_firmware_ctrl), 0U);
  EXPECT_EQ(value(fadt.gpe0_block), 0U);
  EXPECT_EQ(value(fadt.gpe0_length), 0U);
}

TEST(AcpiTables, FadtSaysWhatIsThere) {
  AcpiInput input = input_with_cpus(1);
  const auto fadt_of = [](const AcpiInput& from) {
    const Guest guest = guest_for(from);
    return guest.load<acpi::Fadt>(guest.listed().at("FACP"));
  };
  acpi::Fadt fadt = fadt_of(input);
  EXPECT_EQ(value(fadt.smi_command), 0U);
  EXPECT_EQ(value(fadt.sci_interrupt), 9);
  EXPECT_EQ(fadt.flags & (1U << 4), 0U);   // PWR_BUTTON: fixed
  EXPECT_NE(fadt.flags & (1U << 5), 0U);   // SLP_BUTTON: none
  EXPECT_NE(fadt.flags & (1U << 10), 0U);  // RESET_REG_SUP
  EXPECT_EQ(fadt.flags & (1U << 20), 0U);  // HW_REDUCED_ACPI
  EXPECT_EQ(value(fadt.reset_register.address), 0xcf9U);
  EXPECT_EQ(value(fadt.reset_register.bit_width), 8);
  EXPECT_EQ(value(fadt.reset_value), 6);
  EXPECT_EQ(value(fadt.boot_architecture), 0b000101);  // legacy devices, no VGA; no 8042
  EXPECT_EQ(value(fadt.century), 0x32);
  input.has_cmos_rtc = false;
  input.has_legacy_uart = false;
  input.has_vga = true;
  fadt = fadt_of(input);
  EXPECT_EQ(value(fadt.boot_architecture), 0b100000);  // no CMOS RTC
  EXPECT_EQ(value(fadt.century), 0);
}

TEST(AcpiTables, FacsIsAligned) {  // 5.2.10
  const Guest guest = guest_for(input_with_cpus(1));
  const auto fadt = guest.load<acpi::Fadt>(guest.listed().at("FACP"));
  EXPECT_EQ(fadt.firmware_ctrl % 64, 0U);
  const auto facs = guest.load<acpi::Facs>(fadt.firmware_ctrl);
  EXPECT_EQ(std::string(facs.signature.data(), 4), "FACS");
  EXPECT_EQ(value(facs.length), 64U);
}

class MadtForCpus : public testing::TestWithParam<std::uint32_t> {};

TEST_P(MadtForCpus, OneEntryEach) {  // 5.2.12.2
  const Guest guest = guest_for(input_with_cpus(GetParam()));
  EXPECT_EQ(count_of(guest, acpi::MadtType::kLocalApic), GetParam());
  EXPECT_EQ(count_of(guest, acpi::MadtType::kLocalX2apic), 0U);
  EXPECT_EQ(count_of(guest, acpi::MadtType::kIoApic), 1U);
  EXPECT_EQ(count_of(guest, acpi::MadtType::kInterruptOverride), 2U);
  EXPECT_EQ(count_of(guest, acpi::MadtType::kLocalApicNmi), 1U);
  EXPECT_EQ(count_of(guest, acpi::MadtType::kLocalX2apicNmi), 0U);
  std::uint32_t expected = 0;
  for (const auto& [type, bytes] : madt_entries(guest)) {
    if (type == acpi::MadtType::kLocalApic) {
      const auto entry = load_at<acpi::MadtLocalApic>(bytes, 0).value();
      EXPECT_EQ(value(entry.processor_uid), expected);
      EXPECT_EQ(value(entry.apic_id), expected);
      EXPECT_EQ(value(entry.flags), 1U);
      ++expected;
    }
  }
}
INSTANTIATE_TEST_SUITE_P(AcpiTables, MadtForCpus, testing::Values(1U, 2U, 64U, 255U));

TEST(AcpiTables, HighApicIdsUseX2apicEntries) {  // 5.2.12.12
  AcpiInput input;
  input.apic_ids = {0, 2, 254, 255, 256};
  const Guest guest = guest_for(input);
  EXPECT_EQ(count_of(guest, acpi::MadtType::kLocalApic), 3U);
  EXPECT_EQ(count_of(guest, acpi::MadtType::kLocalX2apic), 2U);
  EXPECT_EQ(count_of(guest, acpi::MadtType::kLocalX2apicNmi), 1U);
  for (const auto& [type, bytes] : madt_entries(guest)) {
    if (type == acpi::MadtType::kLocalX2apic) {
      const auto entry = load_at<acpi::MadtLocalX2apic>(bytes, 0).value();
      EXPECT_EQ(value(entry.apic_id), entry.processor_uid + 252);
    }
  }
}

TEST(AcpiTables, ProcessorsAreInTheOrderOfVcpusWhateverTheirIds) {
  AcpiInput input;
  input.apic_ids = {0, 8, 1, 9};
  std::vector<std::uint32_t> ids;
  for (const auto& [type, bytes] : madt_entries(guest_for(input))) {
    if (type == acpi::MadtType::kLocalApic) {
      const auto entry = load_at<acpi::MadtLocalApic>(bytes, 0).value();
      EXPECT_EQ(value(entry.processor_uid), ids.size());
      ids.push_back(value(entry.apic_id));
    }
  }
  EXPECT_EQ(ids, input.apic_ids);
}

TEST(AcpiTables, OverridesForTimerAndSci) {  // 5.2.12.5
  AcpiInput input = input_with_cpus(1);
  input.has_pit = false;
  const Guest guest = guest_for(input);
  for (const auto& [type, bytes] : madt_entries(guest)) {
    if (type == acpi::MadtType::kInterruptOverride) {
      const auto entry = load_at<acpi::MadtInterruptOverride>(bytes, 0).value();
      EXPECT_EQ(value(entry.source), 9);
      EXPECT_EQ(value(entry.gsi), 9U);
      EXPECT_EQ(value(entry.flags), 0x0d);  // active high, level
    }
  }
  EXPECT_EQ(count_of(guest, acpi::MadtType::kInterruptOverride), 1U);
}

TEST(AcpiTables, DsdtCollectsSourcesInOrder) {
  const Source first("AAAA");
  const Source second("BBBB");
  AcpiInput input = input_with_cpus(2);
  input.sources = {&first, &second};
  const Guest guest = guest_for(input);
  const auto fadt = guest.load<acpi::Fadt>(guest.listed().at("FACP"));
  const auto dsdt = guest.table(fadt.x_dsdt);
  std::string text;
  for (const std::byte byte : dsdt) {
    text += static_cast<char>(byte);
  }
  EXPECT_NE(text.find("C001"), std::string::npos);
  EXPECT_EQ(text.find("C002"), std::string::npos);
  ASSERT_NE(text.find("AAAA"), std::string::npos);
  EXPECT_LT(text.find("AAAA"), text.find("BBBB"));
  EXPECT_NE(text.find("BBBB"), std::string::npos);
}

TEST(AcpiTables, BuildsTheSameTwice) {
  const AcpiInput input = input_with_cpus(4);
  EXPECT_EQ(build_acpi(input).value().bytes, build_acpi(input).value().bytes);
}

TEST(AcpiTables, RefusesWrongInput) {
  EXPECT_FALSE(build_acpi(AcpiInput{}).has_value());
  AcpiInput input;
  input.apic_ids = {1, 0, 1};
  EXPECT_FALSE(build_acpi(input).has_value());
  input.apic_ids = {0, 256, 1};
  EXPECT_FALSE(build_acpi(input).has_value());
  input = input_with_cpus(1);
  input.sci = Gsi(20);
  EXPECT_FALSE(build_acpi(input).has_value());
  input = input_with_cpus(1);
  input.sources = {nullptr};
  EXPECT_FALSE(build_acpi(input).has_value());
  input = input_with_cpus(1);
  input.ecam = AcpiEcam{GuestAddress(0xe000'0000), 10, 9};
  EXPECT_FALSE(build_acpi(input).has_value());
}

TEST(AcpiTables, RefusesAreasThatDoNotFit) {
  const AcpiInput input = input_with_cpus(1);
  const auto area = [](std::uint64_t base, std::uint64_t size) {
    return *GuestRange::create(GuestAddress(base), size);
  };
  EXPECT_FALSE(build_acpi(input, area(0xd0000, 0x1000)).has_value());
  EXPECT_FALSE(build_acpi(input, area(0xff000, 0x2000)).has_value());
  EXPECT_FALSE(build_acpi(input, area(0xe0008, 0x8000)).has_value());  // not on 16 bytes
  const auto small = build_acpi(input, area(0xe0000, 256));
  ASSERT_FALSE(small.has_value());
  EXPECT_EQ(small.error().kind(), ErrorKind::kConfig);
  EXPECT_TRUE(build_acpi(input, area(0xf0010, 0x8000)).has_value());
}

TEST(AcpiBlobs, PointersHoldOffsetsUntilLinked) {
  const AcpiBlobs blobs = build_acpi_blobs(input_with_cpus(1)).value();
  const auto rsdp = load_at<acpi::Rsdp>(blobs.rsdp, 0).value();
  EXPECT_LT(value(rsdp.xsdt_address), blobs.tables.size());
  EXPECT_EQ(value(rsdp.checksum), 0);
  const AcpiBlobs linked =
      link_acpi(blobs, GuestAddress(0xe0000), GuestAddress(0x7fff'0000)).value();
  const auto placed = load_at<acpi::Rsdp>(linked.rsdp, 0).value();
  EXPECT_EQ(value(placed.xsdt_address), rsdp.xsdt_address + 0x7fff'0000);
  EXPECT_EQ(sum(linked.rsdp), 0U);
}

TEST(AcpiBlobs, RefusesWhatCannotBeLinked) {
  const AcpiBlobs blobs = build_acpi_blobs(input_with_cpus(1)).value();
  EXPECT_FALSE(link_acpi(blobs, GuestAddress(0xe0008), GuestAddress(0x1000)).has_value());
  EXPECT_FALSE(link_acpi(blobs, GuestAddress(0xe0000), GuestAddress(0x1010)).has_value());
  EXPECT_FALSE(link_acpi(blobs, GuestAddress(0xe0000), GuestAddress(0x1'0000'0000)).has_value());
  AcpiBlobs broken = blobs;
  broken.pointers.push_back({AcpiBlob::kTables, 0xffff'fffc, 8, AcpiBlob::kTables});
  EXPECT_FALSE(link_acpi(broken, GuestAddress(0xe0000), GuestAddress(0x1000)).has_value());
  broken = blobs;
  broken.checksums.push_back({AcpiBlob::kRsdp, 0, 30, 7});
  EXPECT_FALSE(link_acpi(broken, GuestAddress(0xe0000), GuestAddress(0x1000)).has_value());
}

}  // namespace
}  // namespace gpuvm::acpi_tables_test
