// SPDX-License-Identifier: Apache-2.0
// The two capability chains of a PCI function's configuration space, walked, in bytes that were
// read or in the device itself. They come from a device and are hostile: loops, pointers into the
// header and past the end stop a walk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// One capability as found in the hardware.
struct CapabilityHeader {
  std::uint16_t id;
  std::uint16_t offset;
};

/// The dword at offset; 0 past the end.
std::uint32_t config_dword(std::span<const std::byte> config, std::uint16_t offset);

/// Reads the aligned dword at an offset of configuration space.
using ConfigDwordReader = std::function<Result<std::uint32_t>(std::uint16_t offset)>;
/// Of bytes that were read and must outlive what is returned. Errors: past their end.
ConfigDwordReader config_dword_reader(std::span<const std::byte> config);
/// Is told of a capability; false: it has seen enough.
using CapabilityVisitor = std::function<bool(const CapabilityHeader&)>;

/// Walks the standard capabilities (PCI Local Bus 3.0, 6.7) in chain order, each once. Stops at a
/// loop or a bad pointer. Reads what it needs: in a device that is being reset that is much faster
/// than all of configuration space. Errors: the reader's.
Status for_each_capability(const ConfigDwordReader& read, const CapabilityVisitor& visit);
/// The same for the extended ones (PCI Express Base 6.0, 7.6.3) of a configuration space of 4096
/// bytes.
Status for_each_extended_capability(const ConfigDwordReader& read, const CapabilityVisitor& visit);

/// PCI Local Bus 3.0, 6.7: the standard capabilities in chain order. Stops at a loop or a bad
/// pointer.
std::vector<CapabilityHeader> standard_capabilities(std::span<const std::byte> config);
/// PCI Express Base 6.0, 7.6.3: the extended ones; empty when config has no more than 256 bytes.
std::vector<CapabilityHeader> extended_capabilities(std::span<const std::byte> config);
/// Offset of the first standard capability with this id, or 0.
std::uint16_t find_capability(std::span<const std::byte> config, std::uint8_t id);

/// How much of [offset, offset + size) there is before the next capability of `all` or `end`.
std::uint16_t capability_room(std::uint16_t offset, std::uint16_t size,
                              std::span<const CapabilityHeader> all, std::size_t end);

}  // namespace gpuvm
