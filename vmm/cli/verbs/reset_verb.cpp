// SPDX-License-Identifier: Apache-2.0
// gpuvm reset: makes devices that a guest left dirty fit again.
#include "vmm/cli/client/client_verbs.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/devices/device_repair.hpp"

namespace gpuvm::cli {

namespace {

std::optional<SlotMethod> method_of(const std::string& name) {
  return name.empty()           ? std::nullopt
         : name == "slot-power" ? std::optional(SlotMethod::kPower)
                                : std::optional(SlotMethod::kRescan);
}

}  // namespace

Status repair(const HostSystem& host, const std::vector<Bdf>& functions, const std::string& owner,
              std::optional<SlotMethod> first) {
  const auto certificates = TRY(repair_devices(host, functions, owner, first));
  for (const auto& certificate : certificates) {
    if (certificate.is_safe()) {
      TRY(print(fmt::format("{}: {}\n", certificate.functions, certificate.text)));
    }
  }
  for (const Bdf& bdf : functions) {
    const auto device = TRY(HostPciDevice::open(host, bdf));
    TRY(print(
        fmt::format("{} is with {}\n", bdf.to_string(), device.driver().value_or("no driver"))));
  }
  return check_all_safe(certificates);
}

Result<int> reset_verb(const ResetArguments& arguments) {
  TRY(set_up_log(arguments.log));
  const HostSystem host;
  for (const std::string& text : arguments.addresses) {
    if (is_running_guest(text)) {
      return fail(ErrorKind::kUsage,
                  "{} is a guest, and gpuvm reset is for devices: gpuvm reboot {} presses the "
                  "guest's reset button",
                  text, text);
    }
  }
  const auto addresses = TRY(parse_addresses(host, arguments.addresses));
  TRY(repair(host, TRY(slot_functions(host, addresses)), "gpuvm reset",
             method_of(arguments.first)));
  return 0;
}

}  // namespace gpuvm::cli
