// SPDX-License-Identifier: Apache-2.0
// Prints the configuration space of a virtio block device on bus 0 as `lspci -F` reads it.
#include <fmt/format.h>

#include "devices/pci/pci_windows.hpp"
#include "devices/virtio/block/block_device.hpp"
#include "devices/virtio/virtio_pci_config.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

class NoDisk : public Disk {
 public:
  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t, std::span<const iovec>) override { return {}; }
  Status write(std::uint64_t, std::span<const iovec>) override { return {}; }
  Status flush() override { return {}; }
  Status discard(std::uint64_t, std::uint64_t) override { return {}; }
  Status write_zeroes(std::uint64_t, std::uint64_t, Unmap) override { return {}; }

 private:
  const Geometry geometry_{.size = 1_GiB};
};

Status run() {
  NoDisk disk;
  const BlockDevice device("disk-0", "serial", disk);
  auto config = TRY(VirtioPciConfig::create(device.identity()));
  std::vector<PortRequest> requests = {{.name = "bus 0", .bridge = false}};
  append_requests(config.bars(), "disk-0", requests[0].bars);
  const PciApertures apertures = {.memory32 = GuestRange::create(GuestAddress(0x80000000), 1_GiB)};
  const auto placed = TRY(place_bars(apertures, requests));
  TRY(config.bars().set_power_on_address(requests[0].bars[0].bar, placed[0].addresses[0]));
  config.write(pci::kCommand, pci::kCommandMemory | pci::kCommandBusMaster, 0xffff);
  fmt::print("00:10.0 function\n");
  for (std::uint16_t line = 0; line < pci::kLegacyConfigSize; line += 16) {
    fmt::print("{:02x}:", line);
    for (std::uint16_t i = line; i < line + 16; ++i) {
      const std::uint32_t dword = config.read(static_cast<std::uint16_t>(i & ~3U));
      fmt::print(" {:02x}", dword >> i % 4 * 8 & 0xff);
    }
    fmt::print("\n");
  }
  fmt::print("\n");
  return {};
}

}  // namespace
}  // namespace gpuvm

int main() {
  const gpuvm::Status status = gpuvm::run();
  if (!status) {
    fmt::print(stderr, "{}\n", status.error().to_string());
    return 1;
  }
  return 0;
}
