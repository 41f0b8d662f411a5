// SPDX-License-Identifier: Apache-2.0
// Numbers of virtio consoles with several ports, of which ours has one. Source: VIRTIO 1.2, 5.3;
// sections below are its. Missing: ports from number 1 on, whose queues follow the control queues.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gpuvm::virtio_named_port {

constexpr std::uint16_t kDeviceType = 3;  ///< 5
constexpr std::size_t kReceiveQueue = 0;  ///< 5.3.2: of port 0
constexpr std::size_t kTransmitQueue = 1;
constexpr std::size_t kControlReceiveQueue = 2;  ///< messages of the device
constexpr std::size_t kControlTransmitQueue = 3;
constexpr std::uint16_t kQueues = 4;

constexpr std::uint64_t kFeatureMultiport = 1 << 1;  ///< 5.3.3

// Configuration structure, 5.3.4: offsets. The fields before it belong to features that are not
// offered.
constexpr std::size_t kMostPorts = 4;  ///< 32 bits
constexpr std::size_t kConfigSize = 8;

// struct virtio_console_control, 5.3.6.2: offsets.
constexpr std::size_t kPort = 0;   ///< 32 bits
constexpr std::size_t kEvent = 4;  ///< 16 bits
constexpr std::size_t kValue = 6;  ///< 16 bits
constexpr std::size_t kControlSize = 8;

// Events, 5.3.6.2. "Driver": who sends it.
constexpr std::uint16_t kDeviceReady = 0;  ///< driver
constexpr std::uint16_t kPortAdd = 1;      ///< device
constexpr std::uint16_t kPortReady = 3;    ///< driver
constexpr std::uint16_t kPortOpen = 6;     ///< both
constexpr std::uint16_t kPortName = 7;     ///< device; the name follows, without a 0 at its end

}  // namespace gpuvm::virtio_named_port
