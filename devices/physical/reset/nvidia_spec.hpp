// SPDX-License-Identifier: Apache-2.0
// Registers of NVIDIA's GPUs that resets look at or restore. NVIDIA publishes no numbered
// specification: each names the driver that uses it.
#pragma once

#include <cstdint>

namespace gpuvm::nvidia {

inline constexpr std::uint16_t kVendor = 0x10de;

/// In configuration space: whether the audio function behind the GPU is shown (Linux,
/// drivers/pci/quirks.c, quirk_nvidia_hda, which sets it at enumeration and resume only).
inline constexpr std::uint64_t kShowAudioOffset = 0x488;
inline constexpr std::uint32_t kShowAudio = 1U << 25;

}  // namespace gpuvm::nvidia
