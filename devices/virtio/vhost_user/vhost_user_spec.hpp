// SPDX-License-Identifier: Apache-2.0
// Numbers and structures of the vhost-user protocol. Source: QEMU, docs/interop/vhost-user.rst;
// "sections" below are its headings. Integers are in the host's byte order.
// Missing: what we do not use: the dirty log, postcopy, the IOTLB, memory slots one by one,
// tracking of requests in flight, which is for servers that are started anew under a running guest.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::vhost_user {

/// "Front-end message types".
enum class Request : std::uint32_t {
  kGetFeatures = 1,
  kSetFeatures = 2,
  kSetOwner = 3,
  kSetMemTable = 5,
  kSetVringNum = 8,
  kSetVringAddr = 9,
  kSetVringBase = 10,
  kGetVringBase = 11,
  kSetVringKick = 12,
  kSetVringCall = 13,
  kGetProtocolFeatures = 15,
  kSetProtocolFeatures = 16,
  kGetQueueNum = 17,
  kSetVringEnable = 18,
  kSetBackendReqFd = 21,
  kGetConfig = 24,
};

/// "Back-end message types".
enum class BackendRequest : std::uint32_t { kConfigChanged = 2 };

/// "Header".
struct Header {
  std::uint32_t request = 0;
  std::uint32_t flags = 0;
  std::uint32_t size = 0;  ///< of the payload
};
static_assert(sizeof(Header) == 12);
constexpr std::uint32_t kVersionMask = 3;
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kReply = 1 << 2;
constexpr std::uint32_t kNeedReply = 1 << 3;

/// Among the virtio features.
constexpr std::uint64_t kFeatureProtocolFeatures = std::uint64_t{1} << 30;

// "Protocol features".
constexpr std::uint64_t kProtocolMq = 1 << 0;
constexpr std::uint64_t kProtocolReplyAck = 1 << 3;
constexpr std::uint64_t kProtocolBackendReq = 1 << 5;
constexpr std::uint64_t kProtocolConfig = 1 << 9;

// "Payloads".
struct VringState {
  std::uint32_t index = 0;
  std::uint32_t number = 0;
};
static_assert(sizeof(VringState) == 8);

struct VringAddress {
  std::uint32_t index = 0;
  std::uint32_t flags = 0;
  std::uint64_t descriptors = 0;
  std::uint64_t used = 0;
  std::uint64_t available = 0;
  std::uint64_t log = 0;
};
static_assert(sizeof(VringAddress) == 40);

struct MemoryHead {
  std::uint32_t regions = 0;
  std::uint32_t padding = 0;
};
struct MemoryRegion {
  std::uint64_t guest_address = 0;
  std::uint64_t size = 0;
  /// By which other messages name it; it need not be one of this process.
  std::uint64_t user_address = 0;
  std::uint64_t file_offset = 0;
};
static_assert(sizeof(MemoryRegion) == 32);
constexpr std::size_t kMaxRegions = 8;

struct ConfigHead {
  std::uint32_t offset = 0;
  std::uint32_t size = 0;
  std::uint32_t flags = 0;
};
static_assert(sizeof(ConfigHead) == 12);
constexpr std::size_t kMaxConfig = 256;

/// Largest payload of any message that we take.
constexpr std::size_t kMaxPayload = sizeof(ConfigHead) + kMaxConfig;

}  // namespace gpuvm::vhost_user
