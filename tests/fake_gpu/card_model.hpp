// SPDX-License-Identifier: Apache-2.0
// CardModel: cards that there are, as far as their drivers must know them to look for a VBIOS: ids,
// BARs, and what tells the chip.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace gpuvm::fake_gpu {

struct CardBar {
  std::uint8_t index;
  std::uint64_t size;  ///< a power of two
  std::uint8_t type;   ///< the low bits of its register
};

struct CardModel {
  std::string_view name;
  std::string_view meaning;
  std::uint16_t vendor;
  std::uint16_t device;
  std::uint16_t sub_vendor;
  std::uint16_t sub_device;
  std::uint8_t revision;
  std::array<CardBar, 3> bars;
  std::uint32_t first_register;  ///< the first dword of BAR 0: NVIDIA's chip id
};

std::span<const CardModel> card_models();
/// nullptr: none is called so.
const CardModel* find_card_model(std::string_view name);

}  // namespace gpuvm::fake_gpu
