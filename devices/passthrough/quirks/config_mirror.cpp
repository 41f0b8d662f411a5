// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/quirks/config_mirror.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {

void read_config_bytes(const ConfigAccess& config, std::uint64_t offset, std::span<std::byte> out) {
  for (std::size_t i = 0; i < out.size();) {
    const auto at = offset + i;
    const auto dword = config.read(static_cast<std::uint16_t>(at & ~std::uint64_t{3}));
    const auto count = std::min<std::size_t>(4 - at % 4, out.size() - i);
    store_le(out.subspan(i, count), dword >> at % 4 * 8);
    i += count;
  }
}

void write_config_bytes(const ConfigAccess& config, std::uint64_t offset,
                        std::span<const std::byte> in) {
  for (std::size_t i = 0; i < in.size();) {
    const auto at = offset + i;
    const auto count = std::min<std::size_t>(4 - at % 4, in.size() - i);
    const auto first = static_cast<unsigned>(at % 4);
    const auto value = static_cast<std::uint32_t>(load_le(in.subspan(i, count))) << first * 8;
    config.write(static_cast<std::uint16_t>(at & ~std::uint64_t{3}), value,
                 byte_lanes(first, static_cast<unsigned>(count)));
    i += count;
  }
}

bool ConfigMirror::contains(std::uint64_t offset, std::uint64_t length) const {
  return is_inside(options_.area.offset, options_.area.size, offset, length);
}

bool ConfigMirror::touches(std::uint64_t offset, std::uint64_t length) const {
  return offset < options_.area.offset + options_.area.size && length > 0 &&
         offset + length > options_.area.offset;
}

IoStatus ConfigMirror::overlay_read(std::uint64_t offset, std::span<std::byte> out) {
  if (!contains(offset, out.size())) {
    return IoStatus::kUnaligned;
  }
  read_config_bytes(options_.config, offset - options_.area.offset, out);
  return IoStatus::kOk;
}

IoStatus ConfigMirror::overlay_write(std::uint64_t offset, std::span<const std::byte> in) {
  if (!contains(offset, in.size())) {
    return IoStatus::kUnaligned;
  }
  const auto at = offset - options_.area.offset;
  write_config_bytes(options_.config, at, in);
  const bool is_forwarded = std::any_of(
      options_.forwarded.begin(), options_.forwarded.end(),
      [&](const RegionArea& area) { return is_inside(area.offset, area.size, at, in.size()); });
  if (!is_forwarded) {
    return IoStatus::kOk;
  }
  if (!options_.device.write(bar_region(options_.bar), offset, in)) {
    return IoStatus::kNoResponse;
  }
  // Where the virtual configuration space has no part in the write the kernel may repeat it.
  if (options_.on_write && at >= pci::kExtendedCapabilities) {
    options_.on_write(offset, in);
  }
  return IoStatus::kOk;
}

}  // namespace gpuvm
