// SPDX-License-Identifier: Apache-2.0
// Numbers of virtio network devices. Source: VIRTIO 1.2, 5.1; sections below are its.
// Missing: most of the control queue (5.1.6.5), hashes, UDP segmentation.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::virtio_net {

constexpr std::uint16_t kDeviceType = 1;  ///< 5
constexpr std::size_t kReceiveQueue = 0;  ///< 5.1.2
constexpr std::size_t kTransmitQueue = 1;
constexpr std::uint16_t kQueues = 2;  ///< of a pair; further pairs follow, then the control queue

// Feature bits, 5.1.3. "Guest": what the driver can receive; "host": what it may send.
constexpr std::uint64_t kFeatureChecksum = 1 << 0;
constexpr std::uint64_t kFeatureGuestChecksum = 1 << 1;
constexpr std::uint64_t kFeatureMtu = 1 << 3;
constexpr std::uint64_t kFeatureMac = 1 << 5;
constexpr std::uint64_t kFeatureGuestTso4 = 1 << 7;
constexpr std::uint64_t kFeatureGuestTso6 = 1 << 8;
constexpr std::uint64_t kFeatureGuestEcn = 1 << 9;
constexpr std::uint64_t kFeatureHostTso4 = 1 << 11;
constexpr std::uint64_t kFeatureHostTso6 = 1 << 12;
constexpr std::uint64_t kFeatureHostEcn = 1 << 13;
constexpr std::uint64_t kFeatureMergeable = 1 << 15;  ///< VIRTIO_NET_F_MRG_RXBUF
constexpr std::uint64_t kFeatureStatus = 1 << 16;
constexpr std::uint64_t kFeatureControl = 1 << 17;     ///< VIRTIO_NET_F_CTRL_VQ
constexpr std::uint64_t kFeatureMultiQueue = 1 << 22;  ///< VIRTIO_NET_F_MQ
/// All by which checksums and segments are left to whoever is on the other side.
constexpr std::uint64_t kOffloads = kFeatureChecksum | kFeatureGuestChecksum | kFeatureGuestTso4 |
                                    kFeatureGuestTso6 | kFeatureGuestEcn | kFeatureHostTso4 |
                                    kFeatureHostTso6 | kFeatureHostEcn;

// Configuration structure, 5.1.4: offsets.
constexpr std::size_t kMac = 0;  ///< 6 bytes; the others 16 bits
constexpr std::size_t kStatus = 6;
constexpr std::size_t kMostPairs = 8;
constexpr std::size_t kMtu = 10;
constexpr std::size_t kConfigSize = 12;
constexpr std::uint16_t kStatusLinkUp = 1;

// Commands of the control queue and their answers, 5.1.6.5.
constexpr std::byte kDone{0};        ///< VIRTIO_NET_OK
constexpr std::byte kRefused{1};     ///< VIRTIO_NET_ERR
constexpr std::byte kClassPairs{4};  ///< VIRTIO_NET_CTRL_MQ
constexpr std::byte kUsePairs{0};    ///< VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET: 16 bits

// The header in front of each frame, 5.1.6: flags, gso_type, hdr_len, gso_size, csum_start,
// csum_offset, num_buffers. With VIRTIO_F_VERSION_1 the last is always there.
constexpr std::size_t kHeaderSize = 12;
constexpr std::size_t kBufferCount = 10;

constexpr std::size_t kEthernetHeader = 14;
/// The most with a header: 64 KiB of segments that are one packet, its Ethernet header and a VLAN's
/// tag (5.1.6.3.1 has 65562 without one).
constexpr std::size_t kMostFrame = kHeaderSize + kEthernetHeader + 4 + 65535;

}  // namespace gpuvm::virtio_net
