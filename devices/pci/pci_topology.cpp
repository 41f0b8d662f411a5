// SPDX-License-Identifier: Apache-2.0
// PciTopology: see pci_topology.hpp.
#include "devices/pci/pci_topology.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

/// The part of an access that lies in one dword.
struct Lane {
  std::uint16_t dword;  ///< offset of the dword
  unsigned first;       ///< first byte in it
  unsigned count;
};

Lane lane_at(std::size_t offset, std::size_t left) {
  const unsigned first = offset % 4;
  return {static_cast<std::uint16_t>(offset - first), first,
          static_cast<unsigned>(std::min<std::size_t>(4 - first, left))};
}

}  // namespace

Status PciTopology::add(std::uint8_t devfn, PciFunction& function) {
  if (root_bus_[devfn] != nullptr) {
    return fail(ErrorKind::kInternal, "PCI 00:{:02x}.{} is taken by {}, so {} has no place",
                devfn >> 3, devfn & 7, root_bus_[devfn]->name(), function.name());
  }
  root_bus_[devfn] = &function;
  return {};
}

Status PciTopology::add_root_port(RootPort& port) {
  TRY(add(port.devfn(), port));
  ports_.push_back(&port);
  return {};
}

PciFunction* PciTopology::find(PciAddress address) const {
  if (address.bus == 0) {
    return root_bus_[address.devfn];
  }
  // A guest may program two ports with the same bus; like a real root complex we must pick one.
  const auto claims = [&](const RootPort* port) { return port->claims_bus(address.bus); };
  const auto port = std::find_if(ports_.begin(), ports_.end(), claims);
  return port == ports_.end() ? nullptr : (*port)->route(address.bus, address.devfn);
}

void PciTopology::read(PciAddress address, std::uint16_t offset, std::span<std::byte> out) const {
  PciFunction* const function = find(address);
  if (function == nullptr || offset + out.size() > pci::kConfigSize) {
    std::fill(out.begin(), out.end(), std::byte{0xff});
    return;
  }
  for (std::size_t done = 0; done < out.size();) {
    const Lane lane = lane_at(offset + done, out.size() - done);
    store_le(out.subspan(done, lane.count), function->config_read(lane.dword) >> (lane.first * 8));
    done += lane.count;
  }
}

void PciTopology::write(PciAddress address, std::uint16_t offset,
                        std::span<const std::byte> in) const {
  PciFunction* const function = find(address);
  if (function == nullptr || offset + in.size() > pci::kConfigSize) {
    return;
  }
  for (std::size_t done = 0; done < in.size();) {
    const Lane lane = lane_at(offset + done, in.size() - done);
    const auto value = static_cast<std::uint32_t>(load_le(in.subspan(done, lane.count)));
    const std::uint32_t lanes = pci::kAllOnes >> ((4 - lane.count) * 8);
    function->config_write(lane.dword, value << (lane.first * 8), lanes << (lane.first * 8));
    done += lane.count;
  }
}

std::vector<std::uint8_t> PciTopology::root_devices() const {
  std::vector<std::uint8_t> devices;
  for (unsigned devfn = 0; devfn < root_bus_.size(); ++devfn) {
    const auto device = static_cast<std::uint8_t>(devfn / pci::kFunctionsPerDevice);
    if (root_bus_[devfn] != nullptr && (devices.empty() || devices.back() != device)) {
      devices.push_back(device);
    }
  }
  return devices;
}

void PciTopology::inspect(InspectNode& node) const {
  for (unsigned devfn = 0; devfn < root_bus_.size(); ++devfn) {
    if (root_bus_[devfn] != nullptr) {
      node.field(fmt::format("00:{:02x}.{}", devfn >> 3, devfn & 7), root_bus_[devfn]->name());
    }
  }
  for (const RootPort* port : ports_) {
    port->inspect(node.child(port->name()));
  }
}

}  // namespace gpuvm
