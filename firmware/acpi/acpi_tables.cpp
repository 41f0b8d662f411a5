// SPDX-License-Identifier: Apache-2.0
// Headers, MCFG, XSDT, RSDP, and the layout of the blobs.
#include "firmware/acpi/acpi_tables.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

#include "firmware/acpi/table_writers.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace acpi {
namespace {

constexpr std::array<char, 6> kOemId{'G', 'P', 'U', 'V', 'M', ' '};
constexpr std::array<char, 4> kCreatorId{'G', 'P', 'V', 'M'};

}  // namespace

TableHeader table_header(const char (&signature)[5], std::uint8_t revision, std::size_t length) {
  TableHeader header{};
  std::copy_n(signature, 4, header.signature.begin());
  header.length = static_cast<std::uint32_t>(length);
  header.revision = revision;
  header.oem_id = kOemId;
  header.oem_table_id = {'G', 'P', 'U', 'V'};
  std::copy_n(signature, 4, header.oem_table_id.begin() + 4);
  header.oem_revision = 1;
  header.creator_id = kCreatorId;
  header.creator_revision = 1;
  return header;
}

aml::Bytes table_with_body(const char (&signature)[5], std::uint8_t revision,
                           const aml::Bytes& body) {
  aml::Bytes out;
  append_bytes(out, table_header(signature, revision, sizeof(TableHeader) + body.size()));
  out.insert(out.end(), body.begin(), body.end());
  return out;
}

aml::Bytes mcfg_table(const AcpiEcam& ecam) {
  aml::Bytes body;
  append_bytes(body, std::uint64_t{0});
  append_bytes(body, McfgAllocation{ecam.base.value(), 0, ecam.first_bus, ecam.last_bus, 0});
  return table_with_body("MCFG", 1, body);
}

namespace {

/// Lays tables one behind the other and notes pointers and checksums.
class BlobBuilder {
 public:
  /// Returns the table's offset.
  std::uint32_t append(const aml::Bytes& table) {
    std::vector<std::byte>& tables = blobs_.tables;
    tables.resize(align_up(tables.size(), kAcpiTablesAlignment));
    const auto offset = static_cast<std::uint32_t>(tables.size());
    tables.insert(tables.end(), table.begin(), table.end());
    return offset;
  }
  /// As append, for a table with a header: its checksum is computed at the end.
  std::uint32_t append_summed(const aml::Bytes& table) {
    const std::uint32_t offset = append(table);
    blobs_.checksums.push_back(
        {AcpiBlob::kTables, offset + static_cast<std::uint32_t>(offsetof(TableHeader, checksum)),
         offset, static_cast<std::uint32_t>(table.size())});
    return offset;
  }
  void point(std::uint32_t field, std::uint8_t size, std::uint32_t target,
             AcpiBlob blob = AcpiBlob::kTables) {
    store_le(std::span(blobs_.tables).subspan(field, size), target);
    blobs_.pointers.push_back({AcpiBlob::kTables, field, size, blob});
  }
  /// The data, and behind them a table that is too large for its place among the others; returns
  /// the table's offset in the data.
  std::uint32_t set_data(const aml::Bytes& data, const aml::Bytes& table);
  void set_rsdp(std::uint32_t xsdt);
  AcpiBlobs take() && { return std::move(blobs_); }

 private:
  AcpiBlobs blobs_;
};

std::uint32_t BlobBuilder::set_data(const aml::Bytes& data, const aml::Bytes& table) {
  blobs_.data = data;
  const auto offset = static_cast<std::uint32_t>(align_up(data.size(), kAcpiTablesAlignment));
  if (!table.empty()) {
    blobs_.data.resize(offset);
    blobs_.data.insert(blobs_.data.end(), table.begin(), table.end());
    blobs_.checksums.push_back(
        {AcpiBlob::kData, offset + static_cast<std::uint32_t>(offsetof(TableHeader, checksum)),
         offset, static_cast<std::uint32_t>(table.size())});
  }
  return offset;
}

void BlobBuilder::set_rsdp(std::uint32_t xsdt) {
  Rsdp rsdp{};
  rsdp.signature = {'R', 'S', 'D', ' ', 'P', 'T', 'R', ' '};
  rsdp.oem_id = kOemId;
  rsdp.revision = 2;
  rsdp.length = sizeof rsdp;
  rsdp.xsdt_address = xsdt;
  append_bytes(blobs_.rsdp, rsdp);
  blobs_.pointers.push_back({AcpiBlob::kRsdp, offsetof(Rsdp, xsdt_address), 8, AcpiBlob::kTables});
  blobs_.checksums.push_back(
      {AcpiBlob::kRsdp, offsetof(Rsdp, checksum), 0, kRsdpChecksummedLength});
  blobs_.checksums.push_back({AcpiBlob::kRsdp, offsetof(Rsdp, extended_checksum), 0, sizeof rsdp});
}

/// Every processor and all memory have a domain, and every pair of domains a distance.
Status check_numa(const AcpiNuma& numa, std::size_t processors) {
  const std::size_t domains = numa.distances.size();
  const auto known = [domains](std::uint32_t domain) { return domain < domains; };
  const bool complete = numa.cpu_domains.size() == processors && !numa.memory.empty() &&
                        std::all_of(numa.distances.begin(), numa.distances.end(),
                                    [domains](const auto& row) { return row.size() == domains; }) &&
                        std::all_of(numa.cpu_domains.begin(), numa.cpu_domains.end(), known) &&
                        std::all_of(numa.memory.begin(), numa.memory.end(),
                                    [&](const auto& memory) { return known(memory.domain); }) &&
                        std::all_of(numa.initiators.begin(), numa.initiators.end(),
                                    [&](const auto& initiator) { return known(initiator.domain); });
  return complete ? Status()
                  : Status(fail(ErrorKind::kInternal, "The ACPI tables' NUMA domains have gaps"));
}

bool is_port(IoPort port) {
  return port.value() != 0 && port.value() <= 0xffff;
}

Status check_processors(const std::vector<std::uint32_t>& ids) {
  constexpr std::size_t kMaxProcessors = 4096;  // device names have three hexadecimal digits
  if (ids.empty() || ids.size() > kMaxProcessors) {
    return fail(ErrorKind::kInternal, "ACPI tables need 1 to {} processors, not {}", kMaxProcessors,
                ids.size());
  }
  // Ascending ids keep the processor UIDs of local APIC entries, which have 8 bits, below 255.
  auto sorted = ids;
  std::sort(sorted.begin(), sorted.end());
  const bool distinct = std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end();
  if (!distinct || sorted.back() == std::numeric_limits<std::uint32_t>::max() ||
      (sorted.back() >= kFirstX2apicId && sorted != ids)) {
    return fail(ErrorKind::kInternal,
                "Local APIC ids for the ACPI tables must differ, and ascend past {}",
                kFirstX2apicId - 1);
  }
  return {};
}

Status check(const AcpiInput& input) {
  constexpr std::uint64_t kLast32 = std::numeric_limits<std::uint32_t>::max();
  TRY(check_processors(input.apic_ids));
  if (input.numa) {
    TRY(check_numa(*input.numa, input.apic_ids.size()));
  }
  const AcpiPowerPorts& power = input.power;
  if (!is_port(power.pm1_event) || !is_port(power.pm1_control) || !is_port(power.pm_timer) ||
      !is_port(power.reset)) {
    return fail(ErrorKind::kInternal, "ACPI power management ports must be 1 to 0xffff");
  }
  if (input.sci.value() > 15) {
    return fail(ErrorKind::kInternal, "ACPI SCI {} must be an ISA interrupt, 0 to 15",
                input.sci.value());
  }
  if (input.local_apic.value() > kLast32 || input.io_apic.value() > kLast32) {
    return fail(ErrorKind::kInternal, "APIC addresses {:#x} and {:#x} must be below 4 GiB",
                input.local_apic.value(), input.io_apic.value());
  }
  if (input.ecam && (input.ecam->first_bus > input.ecam->last_bus ||
                     !GuestRange::create(input.ecam->base, 256_MiB) ||
                     !is_aligned(input.ecam->base.value(), 1_MiB))) {
    return fail(ErrorKind::kInternal, "ECAM at {:#x} for buses {} to {} is not a valid range",
                input.ecam->base.value(), input.ecam->first_bus, input.ecam->last_bus);
  }
  const auto empty = std::find_if(input.roms.begin(), input.roms.end(),
                                  [](const AcpiRom& rom) { return rom.image.empty(); });
  if (empty != input.roms.end()) {
    return fail(ErrorKind::kInternal, "ACPI has no option ROM to hand out for {}",
                empty->port_path);
  }
  const auto null = std::find(input.sources.begin(), input.sources.end(), nullptr);
  if (null != input.sources.end()) {
    return fail(ErrorKind::kInternal, "ACPI source {} is null", null - input.sources.begin());
  }
  return {};
}

/// A table that the XSDT lists.
struct Listed {
  std::uint32_t offset;
  AcpiBlob blob = AcpiBlob::kTables;
};

std::uint32_t append_fadt(BlobBuilder& builder, const AcpiInput& input) {
  const std::uint32_t facs = builder.append(facs_table());
  const std::uint32_t dsdt = builder.append_summed(dsdt_table(input));
  const std::uint32_t fadt = builder.append_summed(fadt_table(input));
  // X_FIRMWARE_CTRL stays 0 where FIRMWARE_CTRL is used (5.2.9); the two DSDT fields are equal.
  builder.point(fadt + static_cast<std::uint32_t>(offsetof(Fadt, firmware_ctrl)), 4, facs);
  builder.point(fadt + static_cast<std::uint32_t>(offsetof(Fadt, dsdt)), 4, dsdt);
  builder.point(fadt + static_cast<std::uint32_t>(offsetof(Fadt, x_dsdt)), 8, dsdt);
  if (!input.roms.empty()) {
    builder.point(dsdt + kDataPointer, 4, 0, AcpiBlob::kData);
  }
  return fadt;
}

void append_data(BlobBuilder& builder, const AcpiInput& input, std::vector<Listed>& listed) {
  const aml::Bytes vfct = vfct_table(input.roms);
  const std::uint32_t offset = builder.set_data(rom_data(input.roms), vfct);
  if (!vfct.empty()) {
    listed.push_back({offset, AcpiBlob::kData});
  }
}

}  // namespace
}  // namespace acpi

Result<AcpiBlobs> build_acpi_blobs(const AcpiInput& input) {
  TRY(acpi::check(input));
  acpi::BlobBuilder builder;
  std::vector<acpi::Listed> listed{{acpi::append_fadt(builder, input)},
                                   {builder.append_summed(acpi::madt_table(input))}};
  if (input.ecam) {
    listed.push_back({builder.append_summed(acpi::mcfg_table(*input.ecam))});
  }
  if (input.numa) {
    listed.push_back({builder.append_summed(acpi::srat_table(input))});
    listed.push_back({builder.append_summed(acpi::slit_table(*input.numa))});
    listed.push_back({builder.append_summed(acpi::hmat_table(*input.numa))});
  }
  acpi::append_data(builder, input, listed);
  const aml::Bytes entries(listed.size() * 8);
  const std::uint32_t xsdt = builder.append_summed(acpi::table_with_body("XSDT", 1, entries));
  for (std::size_t i = 0; i < listed.size(); ++i) {
    builder.point(xsdt + static_cast<std::uint32_t>(sizeof(acpi::TableHeader) + 8 * i), 8,
                  listed[i].offset, listed[i].blob);
  }
  builder.set_rsdp(xsdt);
  return std::move(builder).take();
}

Result<AcpiImage> place_acpi(AcpiBlobs blobs, GuestRange area, std::optional<GuestAddress> data) {
  constexpr GuestRange kSearched = *GuestRange::create(GuestAddress(0xe'0000), 128_KiB);
  if (!kSearched.contains(area.base(), area.size())) {
    return fail(ErrorKind::kInternal, "ACPI area at {:#x} is not where guests search for the RSDP",
                area.base().value());
  }
  const GuestAddress tables(
      align_up(area.base().value() + blobs.rsdp.size(), kAcpiTablesAlignment));
  if (!area.contains(tables, blobs.tables.size())) {
    return fail(ErrorKind::kConfig,
                "ACPI tables of {} bytes do not fit at {:#x}: use fewer devices or vCPUs",
                blobs.tables.size(), area.base().value());
  }
  blobs = TRY(link_acpi(std::move(blobs), area.base(), tables, data));
  AcpiImage image{area.base(), std::move(blobs.rsdp), data.value_or(GuestAddress(0)),
                  std::move(blobs.data)};
  image.bytes.resize(tables - area.base());
  image.bytes.insert(image.bytes.end(), blobs.tables.begin(), blobs.tables.end());
  return image;
}

Result<AcpiImage> build_acpi(const AcpiInput& input, GuestRange area) {
  return place_acpi(TRY(build_acpi_blobs(input)), area, {});
}

}  // namespace gpuvm
