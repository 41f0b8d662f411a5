// SPDX-License-Identifier: Apache-2.0
// AcpiBlobs: ACPI tables that have no address yet. Pointers between tables and checksums are data,
// so that the same tables can either be placed by us (link_acpi) or be handed to a firmware
// that places them itself (firmware/ovmf/table_loader.hpp: its AddPointer and AddChecksum carry the
// same fields).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

enum class AcpiBlob {
  kRsdp,    ///< the RSDP alone: 16-byte aligned, in 0xe0000 to 0xfffff
  kTables,  ///< all small tables and the FACS: 64-byte aligned, anywhere below 4 GiB
  kData,    ///< option ROMs and the VFCT: 64-byte aligned, anywhere below 4 GiB; may be absent
};

/// A field that holds an offset in `target` until the address of `target` is added.
struct AcpiPointer {
  AcpiBlob in;
  std::uint32_t offset;
  std::uint8_t size;  ///< bytes, 4 or 8
  AcpiBlob target;
};

/// A byte that makes [start, start + length) add up to 0.
struct AcpiChecksum {
  AcpiBlob in;
  std::uint32_t offset;  ///< of the checksum byte, which is 0 until then
  std::uint32_t start;
  std::uint32_t length;
};

struct AcpiBlobs {
  std::vector<std::byte> rsdp;
  std::vector<std::byte> tables;
  std::vector<std::byte> data = {};  ///< empty: absent, and nothing points to it
  std::vector<AcpiPointer> pointers;
  std::vector<AcpiChecksum> checksums;  ///< computed in this order, after all pointers
};

/// Alignment of AcpiBlobs::tables, that of the FACS, and of AcpiBlobs::data.
inline constexpr std::uint64_t kAcpiTablesAlignment = 64;
inline constexpr std::uint64_t kRsdpAlignment = 16;

/// Gives the blobs their addresses: adds them to the pointers, then computes the checksums. The
/// only place that computes one. Errors: kInternal for a wrong alignment, a pointer that does not
/// fit its field, or data without an address.
Result<AcpiBlobs> link_acpi(AcpiBlobs blobs, GuestAddress rsdp, GuestAddress tables,
                            std::optional<GuestAddress> data = {});

}  // namespace gpuvm
