// SPDX-License-Identifier: Apache-2.0
// UEFI's basic types, status codes, memory types and GUIDs. Specification: UEFI 2.10, sections 2.3
// (calling convention, data types), 7.2 (memory), appendix A (GUID) and D (status codes). Only what
// this firmware uses. Shared by the guest's code, the monitor and the tests.
#pragma once

#include <cstddef>
#include <cstdint>

/// UEFI 2.10, 2.3.4.2: every service is called with the Microsoft x64 convention.
#define GPUVM_EFIAPI __attribute__((ms_abi))

namespace gpuvm::efi {

constexpr std::uint64_t kErrorBit = std::uint64_t{1} << 63;

/// Appendix D.
enum class EfiStatus : std::uint64_t {
  kSuccess = 0,
  kLoadError = kErrorBit | 1,
  kInvalidParameter = kErrorBit | 2,
  kUnsupported = kErrorBit | 3,
  kBadBufferSize = kErrorBit | 4,
  kBufferTooSmall = kErrorBit | 5,
  kNotReady = kErrorBit | 6,
  kDeviceError = kErrorBit | 7,
  kWriteProtected = kErrorBit | 8,
  kOutOfResources = kErrorBit | 9,
  kVolumeCorrupted = kErrorBit | 10,
  kNotFound = kErrorBit | 14,
  kNoMapping = kErrorBit | 17,
  kAccessDenied = kErrorBit | 15,
  kAlreadyStarted = kErrorBit | 20,
  kAborted = kErrorBit | 21,
  kSecurityViolation = kErrorBit | 26,
};

/// Appendix A.
struct Guid {
  std::uint32_t a = 0;
  std::uint16_t b = 0;
  std::uint16_t c = 0;
  std::uint8_t d[8] = {};
  bool operator==(const Guid&) const = default;
};
static_assert(sizeof(Guid) == 16);

using Char16 = char16_t;
/// Opaque to the kernel; here the number of an entry of the handle database, never 0.
using Handle = void*;

constexpr std::uint64_t kEfiPageSize = 4096;
constexpr std::uint64_t kFourGiB = std::uint64_t{1} << 32;
constexpr unsigned kEfiPageShift = 12;

/// 7.2.1, table 7.6.
enum class MemoryType : std::uint32_t {
  kReserved = 0,
  kLoaderCode = 1,
  kLoaderData = 2,
  kBootServicesCode = 3,
  kBootServicesData = 4,
  kRuntimeServicesCode = 5,
  kRuntimeServicesData = 6,
  kConventional = 7,
  kUnusable = 8,
  kAcpiReclaim = 9,
  kAcpiNvs = 10,
  kMappedIo = 11,
  kMappedIoPorts = 12,
  kPalCode = 13,
  kPersistent = 14,
  kUnaccepted = 15,
  kLimit = 16,  ///< one past the last that this version of the specification defines
};
/// From here on types belong to OEMs and OS loaders and are allocated as asked.
constexpr std::uint32_t kFirstOemMemoryType = 0x70000000;

enum class AllocateType : std::uint32_t { kAnyPages = 0, kMaxAddress = 1, kAddress = 2 };

// 7.2.3: attributes of a memory descriptor.
constexpr std::uint64_t kMemoryUc = 0x1;
constexpr std::uint64_t kMemoryWc = 0x2;
constexpr std::uint64_t kMemoryWt = 0x4;
constexpr std::uint64_t kMemoryWb = 0x8;
constexpr std::uint64_t kMemoryReadProtect = 0x2000;
constexpr std::uint64_t kMemoryExecuteProtect = 0x4000;
constexpr std::uint64_t kMemoryReadOnly = 0x20000;
constexpr std::uint64_t kMemorySpecific = 0x40000;  ///< EFI_MEMORY_SP
constexpr std::uint64_t kMemoryRuntime = std::uint64_t{1} << 63;
constexpr std::uint64_t kRamAttributes = kMemoryUc | kMemoryWc | kMemoryWt | kMemoryWb;

struct MemoryDescriptor {
  std::uint32_t type = 0;
  std::uint32_t padding = 0;
  std::uint64_t physical_start = 0;
  std::uint64_t virtual_start = 0;
  std::uint64_t pages = 0;
  std::uint64_t attributes = 0;
};
static_assert(sizeof(MemoryDescriptor) == 40);
/// What GetMemoryMap() reports: larger than the structure, so that callers step by it as they must.
constexpr std::uint64_t kDescriptorSize = 48;
constexpr std::uint32_t kDescriptorVersion = 1;

struct TableHeader {
  std::uint64_t signature = 0;
  std::uint32_t revision = 0;
  std::uint32_t size = 0;
  std::uint32_t crc32 = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(TableHeader) == 24);
constexpr std::uint32_t kUefiRevision = 0x0002'0064;  // 2.10: minor version times ten

/// 8.3, EFI_TIME.
struct Time {
  std::uint16_t year = 0;  ///< 1900 to 9999
  std::uint8_t month = 0;
  std::uint8_t day = 0;
  std::uint8_t hour = 0;
  std::uint8_t minute = 0;
  std::uint8_t second = 0;
  std::uint8_t padding1 = 0;
  std::uint32_t nanosecond = 0;
  std::int16_t time_zone = 0;  ///< minutes from UTC
  std::uint8_t daylight = 0;
  std::uint8_t padding2 = 0;
};
static_assert(sizeof(Time) == 16);
constexpr std::int16_t kUnspecifiedTimeZone = 0x7ff;

struct TimeCapabilities {
  std::uint32_t resolution = 0;  ///< counts per second
  std::uint32_t accuracy = 0;    ///< in 1e-6 parts per million
  std::uint8_t sets_to_zero = 0;
};

enum class ResetType : std::uint32_t { kCold = 0, kWarm = 1, kShutdown = 2, kPlatform = 3 };

// 8.2: attributes of a variable.
constexpr std::uint32_t kVariableNonVolatile = 0x1;
constexpr std::uint32_t kVariableBootAccess = 0x2;
constexpr std::uint32_t kVariableRuntimeAccess = 0x4;
constexpr std::uint32_t kVariableHardwareError = 0x8;
constexpr std::uint32_t kVariableAuthenticated = 0x10;
constexpr std::uint32_t kVariableTimeAuthenticated = 0x20;
constexpr std::uint32_t kVariableAppend = 0x40;
constexpr std::uint32_t kVariableEnhancedAuthenticated = 0x80;

namespace guids {

// Configuration tables (4.6, and the kernel's include/linux/efi.h for its own).
constexpr Guid kAcpi20 = {
    0x8868e871, 0xe4f1, 0x11d3, {0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81}};
constexpr Guid kSmbios3 = {
    0xf2fd1544, 0x9794, 0x4a2c, {0x99, 0x2e, 0xe5, 0xbb, 0xcf, 0x20, 0xe3, 0x94}};
constexpr Guid kRtProperties = {
    0xeb66918a, 0x7eef, 0x402a, {0x84, 0x2e, 0x93, 0x1d, 0x21, 0xc3, 0x8a, 0xe9}};
constexpr Guid kMemoryAttributesTable = {
    0xdcfa911d, 0x26eb, 0x469f, {0xa2, 0x20, 0x38, 0xb7, 0xdc, 0x46, 0x12, 0x20}};

// Protocols.
constexpr Guid kLoadedImage = {
    0x5b1b31a1, 0x9562, 0x11d2, {0x8e, 0x3f, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
constexpr Guid kDevicePath = {
    0x09576e91, 0x6d3f, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
constexpr Guid kLoadFile2 = {
    0x4006c0c1, 0xfcb3, 0x403e, {0x99, 0x6d, 0x4a, 0x6c, 0x87, 0x24, 0xe0, 0x6d}};
constexpr Guid kSimpleTextOutput = {
    0x387477c2, 0x69c7, 0x11d2, {0x8e, 0x39, 0x00, 0xa0, 0xc9, 0x69, 0x72, 0x3b}};
constexpr Guid kPciIo = {
    0x4cf5b200, 0x68b8, 0x4ca5, {0x9e, 0xec, 0xb2, 0x3e, 0x3f, 0x50, 0x02, 0x9a}};
constexpr Guid kRng = {
    0x3152bca5, 0xeade, 0x433d, {0x86, 0x2e, 0xc0, 0x1c, 0xdc, 0x29, 0x1f, 0x44}};
constexpr Guid kMemoryAttribute = {
    0xf4560cf6, 0x40ec, 0x4b4a, {0xa1, 0x92, 0xbf, 0x1d, 0x57, 0xd0, 0xb1, 0x89}};

/// The vendor media device path under which Linux looks for its initrd
/// (LINUX_EFI_INITRD_MEDIA_GUID).
constexpr Guid kLinuxInitrdMedia = {
    0x5568e427, 0x68fc, 0x4f3d, {0xac, 0x74, 0xca, 0x55, 0x52, 0x31, 0xcc, 0x68}};

}  // namespace guids
}  // namespace gpuvm::efi
