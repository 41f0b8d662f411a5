// SPDX-License-Identifier: Apache-2.0
// gpuvm devices: the PCI functions of a host by IOMMU group, and which of them a guest could have.
#include "vmm/cli/verbs/host_source.hpp"
#include "vmm/host_map/map_json.hpp"
#include "vmm/host_map/map_text.hpp"
#include "vmm/host_map/save_host.hpp"
#include "vmm/host_map/snapshot_file.hpp"
#include "vmm/machine/report_file/report_file.hpp"

namespace gpuvm::cli {
namespace {

Result<int> save_to(const HostSystem& host, const std::string& path) {
  auto file = TRY(ReportFile::create(path));
  const auto copy = TRY(save_host(host));
  TRY(file.save(to_snapshot_text(copy, GPUVM_VERSION)));
  TRY(print(fmt::format(
      "The host is saved in {}. Serial numbers, MAC addresses and names of hosts, users and guests "
      "are not in it;\nlook through it before you send it.\n",
      path)));
  return 0;
}

}  // namespace

Result<int> devices_verb(const DevicesArguments& arguments) {
  if (arguments.save == "-") {
    return fail(ErrorKind::kUsage,
                "--save takes a new FILE: - is no name of one (a file of that name is ./-)");
  }
  const auto source = TRY(open_host(arguments.from));
  if (!arguments.save.empty()) {
    return save_to(*source.host, arguments.save);
  }
  const auto map = TRY(map_of(source));
  const auto filter = arguments.gpus ? MapFilter::kGpus : MapFilter::kAll;
  TRY(print(arguments.json   ? map_json(map, filter)
            : arguments.tree ? tree_text(map, filter)
                             : devices_text(map, filter)));
  return 0;
}

}  // namespace gpuvm::cli
