// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/disks.hpp"

#include "devices/pci/pci_acpi.hpp"

namespace gpuvm {

Result<DiskFiles> open_disks(const std::vector<DiskConfig>& configs, DiskFile::Use use) {
  DiskFiles files;
  for (const auto& config : configs) {
    files.push_back(TRY_CONTEXT(
        DiskFile::open({.path = config.path, .read_only = config.read_only, .use = use}),
        fmt::format("disk.{}", files.size())));
    log::debug("Disk {}: {}, {} bytes{}", files.size() - 1, config.path,
               files.back()->geometry().size, config.read_only ? ", read-only" : "");
  }
  return files;
}

Result<std::unique_ptr<Disks>> Disks::create(const Options& options) {
  auto disks = std::make_unique<Disks>();
  if (options.files.size() > kSlots) {
    return fail(ErrorKind::kInternal, "There are slots for {} disks", kSlots);
  }
  for (std::size_t i = 0; i < options.files.size(); ++i) {
    Entry entry;
    entry.device = std::make_unique<BlockDevice>(
        fmt::format("disk-{}", i), fmt::format("gpuvm-disk-{}", i), *options.files[i]);
    entry.function =
        TRY(VirtioPci::create({.device = *entry.device,
                               .memory = options.memory,
                               .intx_pin = intx_gsi(static_cast<std::uint8_t>(kFirstSlot + i), 0),
                               .mmio = options.mmio,
                               .doorbells = options.doorbells,
                               .msi = options.msi,
                               .pins = options.pins,
                               .bar_space = options.bar_space}));
    disks->entries_.push_back(std::move(entry));
  }
  return disks;
}

Status Disks::add_to(PciTopology& topology) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    TRY(topology.add(static_cast<std::uint8_t>((kFirstSlot + i) * pci::kFunctionsPerDevice),
                     *entries_[i].function));
  }
  return {};
}

PortRequest Disks::request() const {
  PortRequest request{.name = "bus 0", .bridge = false};
  for (const auto& entry : entries_) {
    append_requests(entry.function->bars(), std::string(entry.function->name()), request.bars);
  }
  return request;
}

Status Disks::place(const PortPlacement& placement) {
  std::size_t next = 0;
  for (auto& entry : entries_) {
    PortRequest own;
    append_requests(entry.function->bars(), {}, own.bars);
    for (const auto& bar : own.bars) {
      TRY(entry.function->bars().set_power_on_address(bar.bar, placement.addresses.at(next++)));
    }
  }
  return {};
}

void Disks::quiesce() {
  for (auto& entry : entries_) {
    entry.function->quiesce();
  }
}

void Disks::reset() {
  for (auto& entry : entries_) {
    entry.function->reset();
  }
}

void Disks::inspect(InspectNode& node) const {
  for (const auto& entry : entries_) {
    entry.function->inspect(node.child(entry.function->name()));
  }
}

}  // namespace gpuvm
