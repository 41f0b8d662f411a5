// SPDX-License-Identifier: Apache-2.0
// The vfio-user protocol, version 0.1, as it lies on the wire (QEMU docs/interop/vfio-user.rst,
// sections named below). Numbers are in the host's byte order: both ends are on one machine. Only
// what a client of PCI devices needs: no migration, no dirty pages, no region I/O descriptors.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::vfio_user {

/// "Commands".
enum class Command : std::uint16_t {
  kVersion = 1,
  kDmaMap = 2,
  kDmaUnmap = 3,
  kDeviceGetInfo = 4,
  kDeviceGetRegionInfo = 5,
  kDeviceGetIrqInfo = 7,
  kDeviceSetIrqs = 8,
  kRegionRead = 9,
  kRegionWrite = 10,
  kDmaRead = 11,   ///< from the server
  kDmaWrite = 12,  ///< from the server
  kDeviceReset = 13,
};

/// "Header": in front of every message.
struct Header {
  std::uint16_t id;  ///< a reply has its command's
  std::uint16_t command;
  std::uint32_t size;  ///< bytes, with this header
  std::uint32_t flags;
  std::uint32_t error;  ///< an errno value if the flag kError is set; may be 0 even then
};
static_assert(sizeof(Header) == 16);

inline constexpr std::uint32_t kTypeMask = 0xf;
inline constexpr std::uint32_t kTypeCommand = 0;
inline constexpr std::uint32_t kTypeReply = 1;
inline constexpr std::uint32_t kNoReply = 1U << 4;
inline constexpr std::uint32_t kError = 1U << 5;

/// "VFIO_USER_VERSION": both ways, followed by JSON that ends with a NUL.
struct Version {
  std::uint16_t major;
  std::uint16_t minor;
};
inline constexpr std::uint16_t kMajor = 0;
inline constexpr std::uint16_t kMinor = 1;
// What holds where the peer does not say.
inline constexpr std::uint64_t kDefaultMessageFds = 1;
inline constexpr std::uint64_t kDefaultTransferSize = 1048576;
inline constexpr std::uint64_t kDefaultPageSizes = 4096;

/// "VFIO_USER_DMA_MAP": the reply has no payload.
struct DmaMap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t offset;  ///< in the file whose descriptor comes along
  std::uint64_t address;
  std::uint64_t size;
};
static_assert(sizeof(DmaMap) == 32);
inline constexpr std::uint32_t kDmaReadable = 1U << 0;
inline constexpr std::uint32_t kDmaWritable = 1U << 1;

/// "VFIO_USER_DMA_UNMAP": both ways.
struct DmaUnmap {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint64_t address;
  std::uint64_t size;
};
static_assert(sizeof(DmaUnmap) == 24);

/// "VFIO_USER_DEVICE_GET_INFO": both ways.
struct DeviceInfo {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t regions;
  std::uint32_t irqs;
};
static_assert(sizeof(DeviceInfo) == 16);
inline constexpr std::uint32_t kDeviceReset = 1U << 0;
inline constexpr std::uint32_t kDevicePci = 1U << 1;

/// "VFIO_USER_DEVICE_GET_REGION_INFO": both ways; in the reply capabilities may follow.
struct Region {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t capabilities;  ///< offset of the first from the start of this structure
  std::uint64_t size;
  std::uint64_t offset;  ///< in the file whose descriptor comes along
};
static_assert(sizeof(Region) == 32);
inline constexpr std::uint32_t kRegionReadable = 1U << 0;
inline constexpr std::uint32_t kRegionWritable = 1U << 1;
inline constexpr std::uint32_t kRegionMappable = 1U << 2;
inline constexpr std::uint32_t kRegionHasCapabilities = 1U << 3;

/// "VFIO cap header format".
struct Capability {
  std::uint16_t id;
  std::uint16_t version;
  std::uint32_t next;  ///< offset from the start of the Region; 0: the last
};
static_assert(sizeof(Capability) == 8);
inline constexpr std::uint16_t kCapabilitySparse = 1;
inline constexpr std::uint16_t kCapabilityType = 2;  // as Linux's; the document leaves it out
inline constexpr std::uint16_t kCapabilityMsixMappable = 3;

/// "VFIO region info cap sparse mmap": `areas` times SparseArea follow.
struct Sparse {
  Capability header;
  std::uint32_t areas;
  std::uint32_t reserved;
};
static_assert(sizeof(Sparse) == 16);
struct SparseArea {
  std::uint64_t offset;
  std::uint64_t size;
};
static_assert(sizeof(SparseArea) == 16);

/// Linux, include/uapi/linux/vfio.h, struct vfio_region_info_cap_type.
struct Type {
  Capability header;
  std::uint32_t type;
  std::uint32_t subtype;
};
static_assert(sizeof(Type) == 16);

/// "VFIO_USER_DEVICE_GET_IRQ_INFO": both ways.
struct Irq {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t count;
};
static_assert(sizeof(Irq) == 16);
inline constexpr std::uint32_t kIrqEventFd = 1U << 0;
inline constexpr std::uint32_t kIrqMaskable = 1U << 1;

/// "VFIO_USER_DEVICE_SET_IRQS": descriptors come along as ancillary data; no payload in the reply.
struct SetIrqs {
  std::uint32_t argsz;
  std::uint32_t flags;
  std::uint32_t index;
  std::uint32_t start;
  std::uint32_t count;
};
static_assert(sizeof(SetIrqs) == 20);
inline constexpr std::uint32_t kIrqDataNone = 1U << 0;
inline constexpr std::uint32_t kIrqDataEventFd = 1U << 2;
inline constexpr std::uint32_t kIrqActionMask = 1U << 3;
inline constexpr std::uint32_t kIrqActionUnmask = 1U << 4;
inline constexpr std::uint32_t kIrqActionTrigger = 1U << 5;

/// "VFIO_USER_REGION_READ", "VFIO_USER_REGION_WRITE": both ways; data follows in a read's reply and
/// in a write's command.
struct RegionAccess {
  std::uint64_t offset;
  std::uint32_t region;
  std::uint32_t count;
};
static_assert(sizeof(RegionAccess) == 16);

}  // namespace gpuvm::vfio_user
