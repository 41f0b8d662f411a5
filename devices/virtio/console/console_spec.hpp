// SPDX-License-Identifier: Apache-2.0
// Numbers of virtio consoles. Source: VIRTIO 1.2, 5.3; sections below are its.
// Missing: several ports and the control queues by which they come and go (5.3.6.2).
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::virtio_console {

constexpr std::uint16_t kDeviceType = 3;  ///< 5
constexpr std::size_t kReceiveQueue = 0;  ///< 5.3.2: of port 0
constexpr std::size_t kTransmitQueue = 1;
constexpr std::uint16_t kQueues = 2;

constexpr std::uint64_t kFeatureSize = 1 << 0;  ///< 5.3.3

// Configuration structure, 5.3.4: offsets. The fields of features that are not offered are left
// out.
constexpr std::size_t kColumns = 0;
constexpr std::size_t kRows = 2;
constexpr std::size_t kConfigSize = 4;

}  // namespace gpuvm::virtio_console
