// SPDX-License-Identifier: Apache-2.0
// The machine's SMBIOS tables (DMTF DSP0134 version 3.3): a 64-bit entry point and structures of
// types 0, 1, 2, 3, 4 (one per socket), 11, 16, 17, 19, 32 and 127.
//
// Missing: caches (7), slots (9), and the 32-bit entry point of version 2: guests from 2014 on read
// version 3.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "firmware/smbios/uuid.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {

struct SmbiosProcessors {
  unsigned sockets = 1;           ///< 1 to 256
  unsigned cores_per_socket = 1;  ///< 1 to 65534
  unsigned threads_per_core = 1;
  std::string manufacturer;        ///< for instance "GenuineIntel"; may be empty
  std::string model;               ///< the brand string; may be empty
  std::uint32_t signature = 0;     ///< CPUID leaf 1 EAX
  std::uint32_t feature_bits = 0;  ///< CPUID leaf 1 EDX
};

struct SmbiosInput {
  Uuid uuid;                      ///< machine_uuid(name)
  std::string machine_name;       ///< the product's SKU string tells it; may be empty
  std::string version = "0.1.0";  ///< of gpuvm
  SmbiosProcessors processors;
  std::vector<GuestRange> ram;  ///< at least one; whole KiB
  /// Type 11 strings as they are, for instance "io.systemd.credential:name=value". Not empty, no
  /// NUL.
  std::vector<std::string> oem_strings;
};

struct SmbiosImage {
  GuestAddress base;             ///< where bytes go; the entry point is at this address
  std::vector<std::byte> bytes;  ///< entry point, then the structures at a 16-byte boundary
};

/// Entry point and structures for a firmware that places them itself; the entry point's address is
/// 0.
struct SmbiosParts {
  std::vector<std::byte> entry_point;
  std::vector<std::byte> structures;
};

/// Errors: as build_smbios().
Result<SmbiosParts> build_smbios_parts(const SmbiosInput& input);

/// Where the tables go unless the caller knows better: all of what guests search (5.2.2). The
/// guest's memory map must show it as reserved, not as RAM.
inline constexpr GuestRange kSmbiosArea = *GuestRange::create(GuestAddress(0xf'0000), 64_KiB);

/// Tables placed at the start of area, which lies inside kSmbiosArea. Errors: kConfig for a string
/// that cannot be stored or tables that do not fit, kInternal for an input out of range.
Result<SmbiosImage> build_smbios(const SmbiosInput& input, GuestRange area = kSmbiosArea);

}  // namespace gpuvm
