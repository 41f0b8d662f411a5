// SPDX-License-Identifier: Apache-2.0
// The one private port between firmware and monitor: commands by a byte written to it, the answer
// to the last one by a byte read from it. Used by the firmware's code and by the monitor's device.
#pragma once

#include <cstdint>

namespace gpuvm::efi {

enum class MonitorCommand : std::uint8_t {
  kSaveVariables = 1,  ///< the variable store in memory has changed: make it last
  // The reason follows, byte by byte, and a zero; after it the CPU stops.
  kFirmwareFailed = 2,  ///< the firmware cannot start the kernel
  kKernelFailed = 3,    ///< the kernel was entered and gave up, or went wrong, before it took over
};

enum class MonitorAnswer : std::uint8_t {
  kDone = 0,
  kFailed = 1,
};

}  // namespace gpuvm::efi
