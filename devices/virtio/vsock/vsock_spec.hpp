// SPDX-License-Identifier: Apache-2.0
// Numbers of virtio sockets. Source: VIRTIO 1.2, 5.10; sections below are its.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::virtio_vsock {

constexpr std::uint16_t kDeviceType = 19;  ///< 5

// Queues, 5.10.2.
constexpr std::size_t kReceiveQueue = 0;
constexpr std::size_t kTransmitQueue = 1;
constexpr std::size_t kEventQueue = 2;
constexpr std::uint16_t kQueues = 3;

// Feature bits, 5.10.3.
constexpr std::uint64_t kFeatureSeqpacket = 1 << 1;

// Configuration structure, 5.10.4: the guest's address, whose upper 32 bits are 0.
constexpr std::size_t kGuestCid = 0;
constexpr std::size_t kConfigSize = 8;

// Addresses that no guest can have, 5.10.4: any, the hypervisor's, local, the host's, and all ones.
constexpr std::uint32_t kLeastCid = 3;
constexpr std::uint32_t kMostCid = 0xfffffffe;

}  // namespace gpuvm::virtio_vsock
