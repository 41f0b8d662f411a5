// SPDX-License-Identifier: Apache-2.0
// What the configuration spaces of the fake cards have in common (PCI Express Base 6.0, 7.5 and
// 7.7): power management, MSI and PCI Express, one behind the other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "tests/fake_gpu/fake_gpu_spec.hpp"

namespace gpuvm::fake_gpu {

inline constexpr std::uint16_t kWideLink = 0x0103;    ///< generation 3, x16
inline constexpr std::uint16_t kNarrowLink = 0x0013;  ///< x1

void put(std::span<std::byte> config, std::size_t offset, std::size_t width, std::uint64_t value);

/// Fresh capabilities, the first one at kPowerOffset; `next`: of the one behind them, 0 for none.
void put_capabilities(std::span<std::byte> config, bool has_function_reset, std::uint8_t next);
/// The bits of Command, of the interrupt line and of these capabilities that a write changes.
void put_common_masks(std::span<std::byte> masks);
/// Whether a write to configuration space sets Initiate Function Level Reset (7.5.3.4).
bool starts_function_reset(std::uint64_t offset, std::span<const std::byte> in);
/// Writes the bits that the masks have.
void write_masked(std::span<std::byte> config, std::span<const std::byte> masks,
                  std::uint64_t offset, std::span<const std::byte> in);

}  // namespace gpuvm::fake_gpu
