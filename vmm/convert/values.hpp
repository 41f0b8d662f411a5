// SPDX-License-Identifier: Apache-2.0
// Internal to this room: numbers, sizes and lists as libvirt and QEMU write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"

namespace gpuvm::convert {

inline constexpr std::uint64_t kGibibyte = 1ULL << 30;

/// Without white space around it.
std::string_view trimmed(std::string_view text);
/// In small letters (ASCII).
std::string lower(std::string_view text);
/// Decimal, or hexadecimal with "0x"; nothing for other texts.
std::optional<std::uint64_t> number_of(std::string_view text);
/// "on", "yes", "true", "1": true; their opposites: false; nothing for other texts.
std::optional<bool> switch_of(std::string_view text);
/// "4096", "4G", "1.5G" with QEMU's suffixes, in bytes; `shift` is of the unit that goes without
/// saying. Nothing for other texts and 2^63 and more.
std::optional<std::uint64_t> qemu_size(std::string_view text, unsigned shift);
/// libvirt's number and unit ("KiB", "MB", "bytes"), in bytes; nothing as above.
std::optional<std::uint64_t> libvirt_size(std::string_view number, std::string_view unit);
/// "0-3,8,^2" as numbers in ascending order; nothing for other texts, and for numbers over 8191.
std::optional<std::vector<unsigned>> cpu_list(std::string_view text);

/// "1:0.0", "01:00.0", "0000:01:00.0": QEMU takes numbers of any length; nothing for other texts.
std::optional<Bdf> qemu_address(std::string_view text);

}  // namespace gpuvm::convert
