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

Status PciTopology::insert(Table& table, std::uint8_t devfn, PciFunction& function) {
  auto& place = table.root_bus[devfn];
  if (place != nullptr) {
    return fail(ErrorKind::kInternal, "PCI 00:{:02x}.{} is taken by {}, so {} has no place",
                devfn >> 3, devfn & 7, place->name(), function.name());
  }
  place = &function;
  return {};
}

Status PciTopology::add(std::uint8_t devfn, PciFunction& function) {
  return table_.change([&](Table& next) { return insert(next, devfn, function); });
}

Status PciTopology::add_root_port(RootPort& port) {
  return table_.change([&](Table& next) -> Status {
    TRY(insert(next, port.devfn(), port));
    next.ports.push_back(&port);
    return {};
  });
}

Status PciTopology::remove(std::uint8_t devfn) {
  TRY(Versions::check_outside());
  TRY(table_.change([devfn](Table& next) -> Status {
    if (next.root_bus[devfn] == nullptr) {
      return fail(ErrorKind::kInternal, "Nothing is at PCI 00:{:02x}.{}", devfn >> 3, devfn & 7);
    }
    next.root_bus[devfn] = nullptr;
    std::erase_if(next.ports, [devfn](const RootPort* port) { return port->devfn() == devfn; });
    return {};
  }));
  return table_.drain();
}

/// Calls `use` with the function that answers now, if one does, which stays until it has returned.
template <class Use>
void PciTopology::visit(PciAddress address, Use&& use) const {
  const auto table = table_.read();
  if (address.bus == 0) {
    if (auto* const function = table->root_bus[address.devfn]; function != nullptr) {
      use(*function);
    }
    return;
  }
  // A guest may program two ports with the same bus; like a real root complex we must pick one.
  const auto claims = [&](const RootPort* port) { return port->claims_bus(address.bus); };
  const auto port = std::find_if(table->ports.begin(), table->ports.end(), claims);
  if (port == table->ports.end()) {
    return;
  }
  if (const auto route = (*port)->route(address.bus, address.devfn); route.function != nullptr) {
    use(*route.function);
  }
}

void PciTopology::read(PciAddress address, std::uint16_t offset, std::span<std::byte> out) const {
  std::fill(out.begin(), out.end(), std::byte{0xff});
  if (offset + out.size() > pci::kConfigSize) {
    return;
  }
  visit(address, [&](PciFunction& function) {
    for (std::size_t done = 0; done < out.size();) {
      const Lane lane = lane_at(offset + done, out.size() - done);
      store_le(out.subspan(done, lane.count), function.config_read(lane.dword) >> (lane.first * 8));
      done += lane.count;
    }
  });
}

void PciTopology::write(PciAddress address, std::uint16_t offset,
                        std::span<const std::byte> in) const {
  if (offset + in.size() > pci::kConfigSize) {
    return;
  }
  visit(address, [&](PciFunction& function) {
    for (std::size_t done = 0; done < in.size();) {
      const Lane lane = lane_at(offset + done, in.size() - done);
      const auto value = static_cast<std::uint32_t>(load_le(in.subspan(done, lane.count)));
      const std::uint32_t lanes = pci::kAllOnes >> ((4 - lane.count) * 8);
      function.config_write(lane.dword, value << (lane.first * 8), lanes << (lane.first * 8));
      done += lane.count;
    }
  });
}

std::vector<std::uint8_t> PciTopology::root_devices() const {
  const auto table = table_.read();
  std::vector<std::uint8_t> devices;
  for (unsigned devfn = 0; devfn < table->root_bus.size(); ++devfn) {
    const auto device = static_cast<std::uint8_t>(devfn / pci::kFunctionsPerDevice);
    if (table->root_bus[devfn] != nullptr && (devices.empty() || devices.back() != device)) {
      devices.push_back(device);
    }
  }
  return devices;
}

void PciTopology::inspect(InspectNode& node) const {
  const auto table = table_.read();
  for (unsigned devfn = 0; devfn < table->root_bus.size(); ++devfn) {
    if (table->root_bus[devfn] != nullptr) {
      node.field(fmt::format("00:{:02x}.{}", devfn >> 3, devfn & 7),
                 table->root_bus[devfn]->name());
    }
  }
  for (const RootPort* port : table->ports) {
    port->inspect(node.child(port->name()));
  }
}

}  // namespace gpuvm
