// SPDX-License-Identifier: Apache-2.0
// ConfigMirror: a part of a BAR that shows the function's own configuration space. A driver that
// reads a BAR's address there must find the guest's, not the host's, so the part is answered from
// the virtual configuration space. Writes to it count as configuration writes; those that mean
// something else in a mirror (NVIDIA's acknowledgement of an MSI, at the id of the capability or at
// 0x88704) go on to the BAR. Facts: QEMU, hw/vfio/pci-quirks.c, the NVIDIA BAR 0 and ATI
// BAR 2 quirks. Missing: mirrors whose offsets are not configuration space's.
#pragma once

#include <functional>

#include "devices/passthrough/trapped_region.hpp"
#include "devices/physical/physical_device.hpp"

namespace gpuvm {

/// Configuration space as the guest has it: that of PassthroughFunction. Any thread.
struct ConfigAccess {
  std::function<std::uint32_t(std::uint16_t offset)> read;
  std::function<void(std::uint16_t offset, std::uint32_t value, std::uint32_t mask)> write;
};

class ConfigMirror final : public BarOverlay {
 public:
  struct Options {
    PhysicalDevice& device;
    unsigned bar;
    RegionArea area;  ///< in the BAR; at most 4096 bytes of configuration space, from its start
    ConfigAccess config;
    /// Told of every write that goes on to the BAR; may be empty.
    std::function<void(std::uint64_t offset, std::span<const std::byte> in)> on_write = {};
    /// Parts of the configuration space, without overlaps; writes that lie in one go to the BAR
    /// too. All others end in the virtual configuration space: what it lets the device do must not
    /// happen a second time behind its back.
    std::vector<RegionArea> forwarded = {};
  };
  explicit ConfigMirror(Options options) : options_(std::move(options)) {}

  bool touches(std::uint64_t offset, std::uint64_t length) const override;
  IoStatus overlay_read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus overlay_write(std::uint64_t offset, std::span<const std::byte> in) override;

 private:
  bool contains(std::uint64_t offset, std::uint64_t length) const;

  const Options options_;
};

/// Bytes of configuration space at any offset and length, by its aligned dwords.
void read_config_bytes(const ConfigAccess& config, std::uint64_t offset, std::span<std::byte> out);
void write_config_bytes(const ConfigAccess& config, std::uint64_t offset,
                        std::span<const std::byte> in);

}  // namespace gpuvm
