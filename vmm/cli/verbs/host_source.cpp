// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/verbs/host_source.hpp"

#include "vmm/base/log.hpp"
#include "vmm/host_map/folder_host.hpp"
#include "vmm/host_map/snapshot_file.hpp"

namespace gpuvm::cli {

Result<HostSource> open_host(const HostChoice& choice) {
  HostSource source;
  source.is_here = choice.sysfs.empty() && choice.snapshot.empty();
  source.name = choice.snapshot.empty() ? choice.sysfs : choice.snapshot;
  if (!choice.snapshot.empty()) {
    auto copy = TRY(load_snapshot(choice.snapshot));
    source.remarks = copy.remarks();
    source.host = std::make_unique<HostCopy>(std::move(copy));
  } else if (!choice.sysfs.empty()) {
    source.host = std::make_unique<FolderHost>(TRY(FolderHost::open(choice.sysfs)));
  } else {
    source.host = std::make_unique<HostSystem>();
  }
  return source;
}

namespace {

Result<HostMap> gather_saved(const HostSource& source, const PciNames& names) {
  return TRY_CONTEXT(gather_host_map(*source.host, names), source.name);
}

}  // namespace

Result<HostMap> map_of(const HostSource& source) {
  auto names = PciNames::of_host(*source.host);
  if (names.is_empty() && !source.is_here) {
    names = PciNames::of_host(HostSystem());
  }
  if (names.is_empty()) {
    log::warn(
        "There is no list of PCI names, so that devices have none: apt install pci.ids (Fedora: "
        "hwdata)");
  }
  auto map =
      TRY(source.is_here ? gather_host_map(*source.host, names) : gather_saved(source, names));
  map.remarks = source.remarks;
  return map;
}

}  // namespace gpuvm::cli
