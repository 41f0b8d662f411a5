// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/remarks.hpp"

#include <fmt/format.h>

namespace gpuvm {
namespace {

std::string both(const PciConfig& one, const PciConfig& other) {
  return fmt::format("{} and {} are of one slot of the host", one.place.text, other.place.text);
}

/// Functions that are no virtual ones are of one slot together; only sysfs tells which they are.
void add_remarks(const PciConfig& one, const PciConfig& other, std::vector<std::string>& remarks) {
  if (!one.socket.empty() || !other.socket.empty() || !one.host.same_slot(other.host)) {
    return;
  }
  if (one.functions.empty() || other.functions.empty()) {
    remarks.push_back(fmt::format(
        "{}, and \"all\" takes the whole slot but for virtual functions: unless these are some, "
        "write functions = [{}] and functions = [{}], or keep one entry",
        both(one, other), one.host.function, other.host.function));
  }
  if (one.port && other.port && one.port != other.port) {
    remarks.push_back(
        fmt::format("{} and behind ports {} and {} of the guest: unless they are virtual functions "
                    "a reset of either port's bus cannot be a hot reset of the slot; write the "
                    "same port in both",
                    both(one, other), *one.port, *other.port));
  }
}

}  // namespace

std::vector<std::string> remarks_on(const Config& config) {
  std::vector<std::string> remarks;
  for (std::size_t i = 0; i < config.pci.size(); ++i) {
    for (std::size_t j = i + 1; j < config.pci.size(); ++j) {
      add_remarks(config.pci[i], config.pci[j], remarks);
    }
  }
  return remarks;
}

}  // namespace gpuvm
