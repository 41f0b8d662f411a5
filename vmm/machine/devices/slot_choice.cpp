// SPDX-License-Identifier: Apache-2.0
// Which functions of the host a [[pci]] entry takes: functions_of().

#include <algorithm>
#include <array>
#include <string>

#include "vmm/host/pci_device.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {
namespace {

using HostNeed = std::string;  ///< why the host needs the function; empty: it does not

HostNeed as_security_processor(const HostPciDevice& device) {
  constexpr std::uint16_t kAmd = 0x1022;
  constexpr std::uint32_t kEncryption = 0x1080;
  return device.ids().vendor == kAmd && device.ids().class_code >> 8 == kEncryption
             ? "the processor's security processor"
             : HostNeed();
}

HostNeed as_usb_in_use(const HostPciDevice& device) {
  const auto plugged = device.usb_devices();
  return plugged.empty()
             ? HostNeed()
             : fmt::format("a USB controller with what is plugged in: {}", fmt::join(plugged, " "));
}

HostNeed as_parent(const HostPciDevice& device) {
  const auto count = device.virtual_function_count();
  return count == 0 ? HostNeed()
                    : fmt::format("its {} virtual functions go with its driver", count);
}

struct HostNeedRule {
  HostNeed (*why)(const HostPciDevice&);
  bool even_if_named;  ///< also for the function that the entry's host names
  const char* source;
};
constexpr std::array<HostNeedRule, 3> kHostNeeds = {{
    {as_security_processor, false, "gnif/vendor-reset#82, isc30/ryzen-gpu-passthrough-proxmox"},
    {as_usb_in_use, false, "isc30/ryzen-gpu-passthrough-proxmox"},
    {as_parent, true, "Linux, Documentation/PCI/pci-iov-howto.rst: SR-IOV ends with the driver"},
}};

Result<HostNeed> need_of(const HostSystem& host, const Bdf& bdf, bool is_named) {
  const auto device = TRY(HostPciDevice::open(host, bdf));
  for (const auto& rule : kHostNeeds) {
    auto why = is_named && !rule.even_if_named ? HostNeed() : rule.why(device);
    if (!why.empty()) {
      return why;
    }
  }
  return HostNeed();
}

/// "all" of the slot of a function that is no virtual one.
Result<std::vector<Bdf>> all_functions(const HostSystem& host, const PciConfig& entry,
                                       const HostPciDevice& named) {
  std::vector<Bdf> functions;
  std::vector<std::string> needed;
  std::vector<std::uint8_t> rest;
  for (const auto& bdf : named.slot_functions()) {
    if (TRY(HostPciDevice::open(host, bdf)).physical_function()) {
      continue;
    }
    const auto why = TRY(need_of(host, bdf, bdf == entry.host));
    if (!why.empty()) {
      needed.push_back(fmt::format("{} ({})", bdf.to_string(), why));
    }
    if (why.empty() || bdf == entry.host) {
      rest.push_back(bdf.function);
    }
    functions.push_back(bdf);
  }
  if (needed.empty()) {
    return functions;
  }
  return fail(ErrorKind::kConfig,
              "functions = \"all\" would take from the host what it needs: {}. Write functions = "
              "[{}], or a list with what the guest shall have of these too",
              fmt::join(needed, ", "), fmt::join(rest, ", "));
}

}  // namespace

Result<std::vector<Bdf>> functions_of(const HostSystem& host, const PciConfig& entry) {
  const auto device = TRY(HostPciDevice::open(host, entry.host));
  if (entry.functions.empty()) {
    return device.physical_function() ? std::vector{entry.host}
                                      : all_functions(host, entry, device);
  }
  std::vector<Bdf> functions;
  for (const std::uint8_t number : entry.functions) {
    Bdf bdf = entry.host;
    bdf.function = number;
    TRY(HostPciDevice::open(host, bdf));
    functions.push_back(bdf);
  }
  return functions;
}

}  // namespace gpuvm
