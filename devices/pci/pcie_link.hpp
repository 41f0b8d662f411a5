// SPDX-License-Identifier: Apache-2.0
// PcieLink: speed and width of a PCI Express link, as both of its ends show them.
#pragma once

#include <cstdint>

namespace gpuvm {

/// What a link trains to, as the registers code it.
struct PcieLink {
  std::uint8_t speed = 1;  ///< 1: 2.5 GT/s, 2: 5, 3: 8, 4: 16, 5: 32, 6: 64 (7.5.3.18)
  std::uint8_t width = 1;  ///< lanes: 1, 2, 4, 8, 12, 16 or 32
};

}  // namespace gpuvm
