// SPDX-License-Identifier: Apache-2.0
// Prints the configuration space of a small synthesised machine in the format that `lspci -F`
// reads: the host bridge, a root port with a device behind and an empty one. Read through the ECAM,
// as a guest does.
#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cstdio>

#include "devices/pci/bar_set.hpp"
#include "devices/pci/config_space.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/pci/pci_topology.hpp"
#include "devices/pci/pci_windows.hpp"
#include "devices/pci/root_port.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

/// An endpoint with one BAR of each kind and a PCI Express capability, to stand behind the port.
class Endpoint : public PciFunction {
 public:
  static Result<std::unique_ptr<Endpoint>> create() {
    auto endpoint = std::make_unique<Endpoint>();
    endpoint->space_.define_identity(0x1af4, 0x10ff, 0x030000);
    endpoint->space_.define({.offset = pci::kCommand, .size = 2, .reset_value = 7, .writable = 7});
    TRY(endpoint->bars_.define(0, {.kind = BarKind::kMemory32, .size = 16_MiB}));
    TRY(endpoint->bars_.define(1,
                               {.kind = BarKind::kMemory64, .size = 8_GiB, .prefetchable = true}));
    TRY(endpoint->bars_.define(5, {.kind = BarKind::kIo, .size = 128}));
    TRY(endpoint->bars_.define(BarSet::kRom, {.kind = BarKind::kRom, .size = 512_KiB}));
    const auto express =
        TRY(endpoint->space_.add_capability(pci::CapabilityId::kPciExpress, pci::kExpressSize));
    endpoint->space_.define({.offset = static_cast<std::uint16_t>(express + pci::kExpressFlags),
                             .size = 2,
                             .reset_value = pci::kExpressVersion});
    // An extended capability, version 1: device serial number (7.9.3).
    endpoint->space_.define({.offset = pci::kExtendedCapabilities, .reset_value = 0x00010003});
    return endpoint;
  }
  std::string_view name() const override { return "endpoint"; }
  std::uint32_t config_read(std::uint16_t offset) override {
    return BarSet::owns(offset) ? bars_.read(offset) : space_.read(offset);
  }
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override {
    BarSet::owns(offset) ? bars_.write(offset, value, mask)
                         : static_cast<void>(space_.write(offset, value, mask));
  }
  BarSet& bars() { return bars_; }

 private:
  ConfigSpace space_;
  BarSet bars_;
};

/// Sixteen bytes a line after a line that names the function; 256 bytes unless there are extended
/// capabilities.
Status dump(Ecam& ecam, PciAddress address) {
  std::array<std::byte, pci::kConfigSize> bytes{};
  const std::uint64_t base = std::uint64_t{address.bus} << 20 | std::uint64_t{address.devfn} << 12;
  for (std::uint16_t offset = 0; offset < bytes.size(); offset += 4) {
    if (ecam.read(base + offset, std::span(bytes).subspan(offset, 4)) != IoStatus::kOk) {
      return fail(ErrorKind::kInternal, "ECAM refuses offset {:#x}", base + offset);
    }
  }
  fmt::print("{:02x}:{:02x}.{} function\n", address.bus, address.devfn >> 3, address.devfn & 7);
  const auto is_zero = [](std::byte byte) { return byte == std::byte{0}; };
  const bool extended =
      !std::all_of(bytes.begin() + pci::kExtendedCapabilities, bytes.end(), is_zero);
  const unsigned size = extended ? pci::kConfigSize : pci::kLegacyConfigSize;
  for (unsigned line = 0; line < size; line += 16) {
    fmt::print("{:02x}:", line);
    for (unsigned i = line; i < line + 16; ++i) {
      fmt::print(" {:02x}", static_cast<unsigned>(bytes[i]));
    }
    fmt::print("\n");
  }
  fmt::print("\n");
  return {};
}

Status place(Endpoint& endpoint, RootPort& port) {
  std::vector<PortRequest> ports = {{.name = "port1"}};
  append_requests(endpoint.bars(), "endpoint", ports[0].bars);
  const PciApertures apertures = {
      .memory32 = GuestRange::create(GuestAddress(0x80000000), 1_GiB),
      .memory64 = GuestRange::create(GuestAddress(0x10'0000'0000), memory64_wanted(ports)),
      .io = PortRange::create(IoPort(0xc000), 0x3000)};
  const auto placed = TRY(place_bars(apertures, ports));
  for (std::size_t i = 0; i < ports[0].bars.size(); ++i) {
    TRY(endpoint.bars().set_power_on_address(ports[0].bars[i].bar, placed[0].addresses[i]));
  }
  return port.set_power_on_setup({.secondary = 1,
                                  .subordinate = 1,
                                  .io = placed[0].io,
                                  .memory = placed[0].memory,
                                  .prefetchable = placed[0].prefetchable});
}

Status run() {
  const auto bridge = HostBridge::create(*GuestRange::create(GuestAddress(0xe0000000), 256_MiB));
  const auto port = TRY(RootPort::create(
      {.name = "port1",
       .device = 1,
       .slot = 1,
       .link = {.speed = 4, .width = 16},
       .max_payload_code = 1,
       .atomic_completer = pci::kDevice2AtomicComplete32 | pci::kDevice2AtomicComplete64}));
  const auto empty = TRY(RootPort::create({.name = "port2", .device = 2, .slot = 2}));
  const auto endpoint = TRY(Endpoint::create());
  TRY(port->attach(0, *endpoint));
  TRY(place(*endpoint, *port));
  PciTopology topology;
  TRY(topology.add(0, *bridge));
  TRY(topology.add_root_port(*port));
  TRY(topology.add_root_port(*empty));
  Ecam ecam(topology, 256);
  for (const PciAddress address :
       {PciAddress{0, 0}, PciAddress{0, 0x08}, PciAddress{0, 0x10}, PciAddress{1, 0}}) {
    TRY(dump(ecam, address));
  }
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
