// SPDX-License-Identifier: Apache-2.0
// The payloads of vfio-user messages as values and as bytes: pure functions. What comes from a
// server is hostile: nothing here trusts a length, an index or an offset in it, and whatever a
// parser lets through is safe to act on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/vfio_user/vfio_user_spec.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm::vfio_user {

using Bytes = std::vector<std::byte>;

/// For messages: "DEVICE_GET_INFO".
std::string_view to_string(Command command);

/// Descriptors that we take with one message.
inline constexpr std::size_t kMaxReceivedFds = 8;
/// Most data that we ask for or send in one message.
inline constexpr std::uint32_t kMaxTransfer = 64 * 1024;
/// Largest payload that any answer may have.
inline constexpr std::size_t kMaxPayload = sizeof(RegionAccess) + kMaxTransfer;

/// What we propose: version and capabilities.
Bytes version_request();

/// What the server can take, within our own limits.
struct ServerLimits {
  std::size_t message_fds = 1;      ///< with one message; 1 to 16
  std::uint32_t transfer_size = 0;  ///< bytes of data in one message; 1 to kMaxTransfer
};
/// Errors: kHost for another major version, a minor one above ours, text that is no JSON, limits
/// that leave nothing, or no pages of 4 KiB.
Result<ServerLimits> parse_version(std::span<const std::byte> payload);

struct DeviceSummary {
  bool can_reset = false;  ///< DEVICE_RESET works
  std::uint32_t regions = 0;
  std::uint32_t irqs = 0;
};
/// Errors: kHost unless it is a PCI function with a configuration space.
Result<DeviceSummary> parse_device_info(std::span<const std::byte> payload);

struct ParsedRegion {
  RegionInfo info;
  std::uint64_t file_offset = 0;
  std::uint32_t needed = 0;  ///< bytes that the whole answer has: more than `payload` if it was cut
};
/// Errors: kHost for an answer about another region, a size that such a region cannot have, or
/// areas that leave it.
Result<ParsedRegion> parse_region(std::span<const std::byte> payload, RegionIndex index);

/// Errors: kHost for an answer about another type, or more vectors than the type can have. Without
/// eventfds there are no vectors.
Result<IrqInfo> parse_irq(std::span<const std::byte> payload, IrqType type);

/// The data of a REGION_READ's answer. Errors: kHost unless it answers exactly `asked`.
Result<std::span<const std::byte>> parse_region_read(std::span<const std::byte> payload,
                                                     const RegionAccess& asked);
/// Errors: kHost unless it answers exactly `asked`.
Status parse_region_write(std::span<const std::byte> payload, const RegionAccess& asked);

}  // namespace gpuvm::vfio_user
