// SPDX-License-Identifier: Apache-2.0
#include "firmware/ovmf/firmware_volume.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>

#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::ovmf {
namespace {

using Guid = std::array<std::uint8_t, 16>;

// EFI_SYSTEM_NV_DATA_FV_GUID, fff12b8d-7696-4c8b-a985-2747075b4f50 (edk2, SystemNvDataGuid.h).
constexpr Guid kNvDataVolume = {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c,
                                0xa9, 0x85, 0x27, 0x47, 0x07, 0x5b, 0x4f, 0x50};
// Of the store inside (edk2, VariableFormat.h): gEfiAuthenticatedVariableGuid and gEfiVariableGuid.
constexpr Guid kAuthenticatedStore = {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43,
                                      0xa1, 0x80, 0x2e, 0x14, 0x4e, 0xc3, 0x77, 0x92};
constexpr Guid kPlainStore = {0x16, 0x36, 0xcf, 0xdd, 0x75, 0x32, 0x64, 0x41,
                              0x98, 0xb6, 0xfe, 0x85, 0x70, 0x7f, 0xfe, 0x7d};

struct VolumeHeader {
  std::array<std::uint8_t, 16> zero_vector;
  Guid file_system;
  std::uint64_t length;
  std::array<char, 4> signature;
  std::uint32_t attributes;
  std::uint16_t header_length;
  std::uint16_t checksum;
  std::uint16_t extended_header;
  std::uint8_t reserved;
  std::uint8_t revision;
};
static_assert(sizeof(VolumeHeader) == 56);

struct StoreHeader {
  Guid signature;
  std::uint32_t size;
  std::uint8_t format;
  std::uint8_t state;
  std::array<std::uint8_t, 6> reserved;
};
static_assert(sizeof(StoreHeader) == 28);

constexpr std::array<char, 4> kSignature = {'_', 'F', 'V', 'H'};
constexpr std::uint8_t kFormatted = 0x5a;
constexpr std::uint8_t kHealthy = 0xfe;
/// The flash of the machines that OVMF is built for: 1, 2 or 4 MiB so far.
constexpr std::uint64_t kLargestFlash = 16_MiB;

std::optional<VolumeHeader> header_of(std::span<const std::byte> file) {
  const auto header = load_at<VolumeHeader>(file, 0);
  return header && header->signature == kSignature ? header : std::nullopt;
}

const char* describe(VolumeKind kind) {
  switch (kind) {
    case VolumeKind::kNone:
      return "is no UEFI firmware volume";
    case VolumeKind::kCode:
      return "holds firmware code, not variables";
    case VolumeKind::kVariables:
      return "holds variables, not firmware code";
    case VolumeKind::kWhole:
      return "holds variables and code in one file";
  }
  return "";
}

bool sums_to_zero(std::span<const std::byte> words) {
  std::uint16_t sum = 0;
  for (std::size_t at = 0; at + 1 < words.size(); at += 2) {
    sum = static_cast<std::uint16_t>(sum + load_le(words.subspan(at, 2)));
  }
  return sum == 0;
}

}  // namespace

VolumeKind kind_of(std::span<const std::byte> file) {
  const auto header = header_of(file);
  if (!header) {
    return VolumeKind::kNone;
  }
  if (header->file_system != kNvDataVolume) {
    return VolumeKind::kCode;
  }
  return header->length < file.size() ? VolumeKind::kWhole : VolumeKind::kVariables;
}

const char* examine_variables(std::span<const std::byte> file) {
  const auto header = header_of(file);
  if (!header || header->file_system != kNvDataVolume) {
    return "it has no header of a variable volume";
  }
  if (header->length != file.size()) {
    return "its header states another size";
  }
  if (header->header_length < sizeof(VolumeHeader) || header->header_length > file.size() ||
      !sums_to_zero(file.first(header->header_length))) {
    return "its header's checksum is wrong";
  }
  const auto store = load_at<StoreHeader>(file, header->header_length);
  if (!store || (store->signature != kAuthenticatedStore && store->signature != kPlainStore)) {
    return "there is no variable store in it";
  }
  if (store->size > file.size() - header->header_length || store->format != kFormatted ||
      store->state != kHealthy) {
    return "its variable store is not formatted";
  }
  return "sound";
}

Status check_code(const FirmwareFile& code) {
  if (const auto kind = kind_of(code.bytes); kind != VolumeKind::kCode) {
    return fail(ErrorKind::kConfig,
                "boot.firmware: {} {}; name OVMF's code file, for instance "
                "/usr/share/OVMF/OVMF_CODE_4M.fd",
                code.path, describe(kind));
  }
  return {};
}

Status check_variables(const FirmwareFile& variables, const char* key) {
  if (const auto kind = kind_of(variables.bytes);
      kind == VolumeKind::kCode || kind == VolumeKind::kWhole) {
    return fail(ErrorKind::kConfig,
                "{}: {} {}; name a copy of OVMF's variable file, for instance of "
                "/usr/share/OVMF/OVMF_VARS_4M.fd",
                key, variables.path, describe(kind));
  }
  if (const char* finding = examine_variables(variables.bytes);
      std::strcmp(finding, "sound") != 0) {
    return fail(ErrorKind::kConfig,
                "{}: {} is no UEFI variable store ({}); name a copy of OVMF's variable file, for "
                "instance of /usr/share/OVMF/OVMF_VARS_4M.fd",
                key, variables.path, finding);
  }
  return {};
}

Result<FlashLayout> place(const FirmwareFile& code, const FirmwareFile& variables) {
  const std::uint64_t size = code.bytes.size() + variables.bytes.size();
  if (code.bytes.empty() || variables.bytes.empty() || !is_aligned(code.bytes.size(), kPageSize) ||
      !is_aligned(variables.bytes.size(), kPageSize) || !std::has_single_bit(size) ||
      size < 1_MiB || size > kLargestFlash) {
    return fail(
        ErrorKind::kConfig,
        "{} ({} bytes) and {} ({} bytes) do not go together: a flash chip has 1, 2, 4, 8 or "
        "16 MiB; take both from one package, for instance OVMF_CODE_4M.fd and "
        "OVMF_VARS_4M.fd",
        code.path, code.bytes.size(), variables.path, variables.bytes.size());
  }
  const GuestAddress base(4_GiB - size);
  return FlashLayout{*GuestRange::create(base + variables.bytes.size(), code.bytes.size()),
                     *GuestRange::create(base, variables.bytes.size())};
}

}  // namespace gpuvm::ovmf
