// SPDX-License-Identifier: Apache-2.0
// The fake GPU's registers. It is no real card: what it has of one is what resets, interrupts,
// BARs and DMA need to be tried.
#pragma once

#include <cstdint>

namespace gpuvm::fake_gpu {

// BAR 0: 16 MiB of registers, 32 bits wide, trapped. They answer while memory decode is on.
inline constexpr std::uint64_t kRegisterBarSize = std::uint64_t{16} << 20;
inline constexpr std::uint32_t kBoot0 = 0x0;  ///< chip id, where NVIDIA has it (NV_PMC_BOOT_0)
inline constexpr std::uint32_t kControl = 0x100;
inline constexpr std::uint32_t kControlBoot = 1U << 0;  ///< "loads firmware": locks kWpr2
/// Works for ever: bus mastering cannot be taken away and the function stays dirty until a reset.
inline constexpr std::uint32_t kControlRun = 1U << 1;
inline constexpr std::uint32_t kStatus = 0x104;
inline constexpr std::uint32_t kStatusDone = 1U << 0;   ///< the last transfer
inline constexpr std::uint32_t kStatusError = 1U << 1;  ///< it met memory that is not there
inline constexpr std::uint32_t kDmaAddressLow = 0x110;
inline constexpr std::uint32_t kDmaAddressHigh = 0x114;
inline constexpr std::uint32_t kDmaSize = 0x118;     ///< bytes, at most 1 MiB
inline constexpr std::uint32_t kDmaVram = 0x11c;     ///< offset in VRAM
inline constexpr std::uint32_t kDmaCommand = 0x120;  ///< starts and ends it; then vector 0
inline constexpr std::uint32_t kDmaToVram = 1;
inline constexpr std::uint32_t kDmaToMemory = 2;
inline constexpr std::uint32_t kRaise = 0x130;  ///< raises the vector written
inline constexpr std::uint32_t kScratch = 0x134;
inline constexpr std::uint32_t kWpr2 = 0x1fa828;  ///< where NVIDIA has WPR2_ADDR_HI

// Where NVIDIA has the progress of the firmware's boot from Turing on (GFW_BOOT): whether it may be
// read, and ff once it is done.
inline constexpr std::uint32_t kFirmwareMask = 0x118128;
inline constexpr std::uint32_t kFirmwareProgress = 0x118234;
inline constexpr std::uint32_t kFirmwareDone = 0xff;
inline constexpr std::uint32_t kFirmwareBoots = 0x12;
inline constexpr std::uint32_t kPriError = 0xbadf1100;

inline constexpr std::uint32_t kBoot0Value = 0x164000a1;
inline constexpr std::uint32_t kWpr2Locked = 0x00fa4e00;

// BAR 2 and 3: VRAM, a file that is mapped. BAR 4: MSI-X table and pending bits, unless a fault
// puts them into the middle of VRAM.
inline constexpr std::uint64_t kMsixBarSize = 0x4000;
inline constexpr std::uint32_t kMsixVectors = 4;
inline constexpr std::uint32_t kMsixPendingDistance = 0x800;  ///< from the table
inline constexpr std::uint64_t kRomSize = 0x10000;
/// NVLink2 memory, on request: the first device-specific region, of NVIDIA's type, subtype RAM.
inline constexpr std::uint32_t kNvlinkRegion = 9;
inline constexpr std::uint32_t kNvlinkType = 0x800010de;
inline constexpr std::uint32_t kNvlinkSubtype = 1;

// Configuration space.
inline constexpr std::uint8_t kPowerOffset = 0x40;
inline constexpr std::uint8_t kMsiOffset = 0x50;
inline constexpr std::uint8_t kExpressOffset = 0x60;
inline constexpr std::uint8_t kMsixOffset = 0xa0;
inline constexpr std::uint64_t kConfigSize = 0x100;
/// With the fault that needs more.
inline constexpr std::uint64_t kExtendedConfigSize = 0x1000;
/// NVIDIA's: bit 25 shows the audio function behind the GPU, and so the multi-function bit.
inline constexpr std::uint32_t kShowAudioOffset = 0x488;
inline constexpr std::uint32_t kShowAudio = 1U << 25;

}  // namespace gpuvm::fake_gpu
