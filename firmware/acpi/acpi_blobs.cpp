// SPDX-License-Identifier: Apache-2.0
#include "firmware/acpi/acpi_blobs.hpp"

#include <limits>
#include <span>

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

std::vector<std::byte>& bytes_of(AcpiBlobs& blobs, AcpiBlob which) {
  switch (which) {
    case AcpiBlob::kRsdp:
      return blobs.rsdp;
    case AcpiBlob::kTables:
      return blobs.tables;
    case AcpiBlob::kData:
      break;
  }
  return blobs.data;
}

Status add_pointer(AcpiBlobs& blobs, const AcpiPointer& pointer, GuestAddress target) {
  std::vector<std::byte>& bytes = bytes_of(blobs, pointer.in);
  if (!is_inside(0, bytes.size(), pointer.offset, pointer.size)) {
    return fail(ErrorKind::kInternal, "ACPI pointer at offset {:#x} lies outside its blob",
                pointer.offset);
  }
  const std::span<std::byte> field = std::span(bytes).subspan(pointer.offset, pointer.size);
  const std::uint64_t value = load_le(field) + target.value();
  if (pointer.size < 8 && value > std::numeric_limits<std::uint32_t>::max()) {
    return fail(ErrorKind::kInternal,
                "ACPI tables at {:#x} are out of reach of a 32-bit pointer: place them below 4 GiB",
                target.value());
  }
  store_le(field, value);
  return {};
}

Status add_checksum(AcpiBlobs& blobs, const AcpiChecksum& checksum) {
  std::vector<std::byte>& bytes = bytes_of(blobs, checksum.in);
  if (!is_inside(0, bytes.size(), checksum.start, checksum.length) ||
      checksum.offset >= bytes.size()) {
    return fail(ErrorKind::kInternal, "ACPI checksum at offset {:#x} lies outside its blob",
                checksum.offset);
  }
  unsigned sum = 0;
  for (const std::byte byte : std::span(bytes).subspan(checksum.start, checksum.length)) {
    sum += std::to_integer<unsigned>(byte);
  }
  bytes[checksum.offset] = static_cast<std::byte>((0x100 - (sum & 0xff)) & 0xff);
  return {};
}

}  // namespace

Result<AcpiBlobs> link_acpi(AcpiBlobs blobs, GuestAddress rsdp, GuestAddress tables,
                            std::optional<GuestAddress> data) {
  if (!is_aligned(rsdp.value(), kRsdpAlignment) ||
      !is_aligned(tables.value(), kAcpiTablesAlignment) ||
      (data && !is_aligned(data->value(), kAcpiTablesAlignment))) {
    return fail(ErrorKind::kInternal, "ACPI blobs placed at {:#x} and {:#x} are not aligned",
                rsdp.value(), tables.value());
  }
  if (!blobs.data.empty() && !data) {
    return fail(ErrorKind::kInternal, "{} bytes of ACPI data have no address", blobs.data.size());
  }
  for (const AcpiPointer& pointer : blobs.pointers) {
    const GuestAddress target = pointer.target == AcpiBlob::kRsdp     ? rsdp
                                : pointer.target == AcpiBlob::kTables ? tables
                                                                      : data.value_or(tables);
    TRY(add_pointer(blobs, pointer, target));
  }
  for (const AcpiChecksum& checksum : blobs.checksums) {
    TRY(add_checksum(blobs, checksum));
  }
  return blobs;
}

}  // namespace gpuvm
