// SPDX-License-Identifier: Apache-2.0
// What a guest sees of the registers by which Intel's integrated graphics tells where the firmware
// has put things in the host's memory: stolen memory (GGC, BDSM) and the OpRegion (ASLS). Their
// addresses mean other memory in a guest, whose kernel would reserve or read it. The guest sees a
// GPU without either, as drivers of Broadwell and later allow (QEMU, hw/vfio/igd.c, "Universal
// Pass-Through"). Missing: an OpRegion for the guest, without which it may not know its screens;
// the copies of these registers in BAR 0 of Ice Lake and later (0x108040, 0x1080c0).
#pragma once

#include <cstddef>
#include <span>

#include "devices/passthrough/express_patch.hpp"

namespace gpuvm {

/// A display controller of Intel's without a link of its own: it has no PCI Express capability, or
/// one of a root complex integrated endpoint. Cards (Arc) have an endpoint's.
bool is_integrated_graphics(std::span<const std::byte> config);

/// Nothing for other functions.
PatchPart integrated_graphics_patch(std::span<const std::byte> config);

}  // namespace gpuvm
