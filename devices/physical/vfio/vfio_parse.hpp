// SPDX-License-Identifier: Apache-2.0
// The variable-length answers of VFIO ioctls as values, and the argument of VFIO_DEVICE_SET_IRQS as
// bytes: pure functions, so that answers which lie about sizes can be tested (Linux,
// include/uapi/linux/vfio.h). The format is the kernel's, yet nothing here trusts a length in it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"

namespace gpuvm::vfio {

/// Where a capability of the given id lies in an answer: its bytes up to the end of the answer.
/// Nothing if the chain does not hold it, loops, or leaves the answer.
std::optional<std::span<const std::byte>> find_capability(std::span<const std::byte> answer,
                                                          std::uint32_t first, std::uint16_t id);

/// The ids of the chain's capabilities in their order, up to where it leaves the answer; 64 of one
/// that loops.
std::vector<std::uint16_t> capability_ids(std::span<const std::byte> answer, std::uint32_t first);

struct ParsedRegion {
  RegionInfo info;
  std::uint64_t file_offset = 0;  ///< of the region in the device's file descriptor
};
/// VFIO_DEVICE_GET_REGION_INFO. Sparse areas that leave the region are dropped. Errors: kHost for
/// an answer that is too short, or whose region runs past the end of the file offset space.
Result<ParsedRegion> parse_region_info(std::span<const std::byte> answer);

/// VFIO_DEVICE_GET_INFO of a PCI function.
struct ParsedDevice {
  std::uint32_t flags = 0;    ///< VFIO_DEVICE_FLAGS_*
  std::uint32_t regions = 0;  ///< as the kernel says, unbounded
  std::uint32_t irqs = 0;     ///< likewise
  /// As PhysicalDevice::atomic_completers().
  std::uint32_t atomic_completers = 0;
  std::vector<std::uint16_t> capabilities = {};  ///< ids
};
/// Errors: kHost for an answer that is too short. A chain of capabilities that is broken counts as
/// none.
Result<ParsedDevice> parse_device_info(std::span<const std::byte> answer);

/// VFIO_IOMMU_GET_INFO: the usable IOVAs; empty: the kernel does not say. Errors: kHost for an
/// answer that is too short.
Result<std::vector<IovaRange>> parse_iova_ranges(std::span<const std::byte> answer);

/// VFIO_DEVICE_GET_PCI_HOT_RESET_INFO. Errors: kHost if it names more functions than it holds.
Result<std::vector<HotResetMember>> parse_hot_reset_info(std::span<const std::byte> answer);

enum class IrqAction { kMask, kUnmask, kTrigger };
/// Argument of VFIO_DEVICE_SET_IRQS with eventfds, or (fds empty) with `count` vectors and no data;
/// count 0 with kTrigger disables the type.
std::vector<std::byte> build_irq_set(IrqType type, IrqAction action, std::uint32_t start,
                                     std::uint32_t count, std::span<const int> fds);

/// Argument of VFIO_DEVICE_PCI_HOT_RESET.
std::vector<std::byte> build_hot_reset(std::span<const int> group_fds);

/// Success if [at, at + size) lies in one usable range. Errors: kHost naming the ranges.
Status check_iova(std::span<const IovaRange> usable, Iova at, std::uint64_t size);

}  // namespace gpuvm::vfio
