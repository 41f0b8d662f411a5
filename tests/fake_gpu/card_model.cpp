// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/card_model.hpp"

#include <algorithm>

#include "vmm/base/units.hpp"

namespace gpuvm::fake_gpu {
namespace {

constexpr std::uint8_t kBits32 = 0x00;
constexpr std::uint8_t kBits64Prefetchable = 0x0c;

// The chip id is the one of nouveau's nvkm/engine/device/base.c, ids and revision those of
// amdgpu_drv.c and of boards on the market.
constexpr std::array<CardModel, 2> kModels = {{
    {.name = "gp107",
     .meaning = "NVIDIA's GeForce GTX 1050 Ti (10de:1c82)",
     .vendor = 0x10de,
     .device = 0x1c82,
     .sub_vendor = 0x10de,
     .sub_device = 0x11bf,
     .revision = 0xa1,
     .bars = {{{0, 16_MiB, kBits32},
               {1, 64_MiB, kBits64Prefetchable},
               {3, 32_MiB, kBits64Prefetchable}}},
     .first_register = 0x137000a1},
    {.name = "polaris",
     .meaning = "AMD's Radeon RX 480 (1002:67df)",
     .vendor = 0x1002,
     .device = 0x67df,
     .sub_vendor = 0x1002,
     .sub_device = 0x0b37,
     .revision = 0xc7,
     .bars = {{{0, 256_MiB, kBits64Prefetchable},
               {2, 2_MiB, kBits64Prefetchable},
               {5, 256_KiB, kBits32}}},
     .first_register = 0},
}};

}  // namespace

std::span<const CardModel> card_models() {
  return kModels;
}

const CardModel* find_card_model(std::string_view name) {
  const auto found = std::find_if(kModels.begin(), kModels.end(),
                                  [name](const CardModel& model) { return model.name == name; });
  return found == kModels.end() ? nullptr : &*found;
}

}  // namespace gpuvm::fake_gpu
