// SPDX-License-Identifier: Apache-2.0
// PCI addresses on the command line.
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm::cli {

Result<std::vector<Bdf>> parse_addresses(const HostSystem& host,
                                         const std::vector<std::string>& texts) {
  std::vector<Bdf> addresses;
  for (const auto& text : texts) {
    const auto bdf = Bdf::parse(text);
    if (!bdf) {
      return fail(ErrorKind::kUsage,
                  "{} is not a PCI address such as 0000:01:00.0; lspci -D lists them",
                  text.empty() ? "\"\"" : text);
    }
    if (!host.exists(pci_sysfs_path(*bdf))) {
      return fail(ErrorKind::kHost, "There is no PCI device {} on this host; lspci -D lists them",
                  bdf->to_string());
    }
    addresses.push_back(*bdf);
  }
  return addresses;
}

}  // namespace gpuvm::cli
