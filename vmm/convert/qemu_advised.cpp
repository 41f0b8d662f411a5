// SPDX-License-Identifier: Apache-2.0
// QEMU's options that have an argument and no counterpart, with what to do instead.
#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_small_options.hpp"

namespace gpuvm::convert {
namespace {

constexpr AdvisedOption kAdvised[] = {
    {"sandbox", ""},
    {"id", ""},  // Proxmox's
    {"iscsi", ""},
    {"balloon", advice::kBalloon},
    {"sd", advice::kUnknown},
    {"mtdblock", advice::kUnknown},
    {"dtb", advice::kUnknown},
    {"shim", advice::kUnknown},
    {"vcpu", advice::kPinVcpus},
    {"plugin", advice::kMonitor},
    {"dump-vmstate", advice::kMonitor},
    {"dfilter", advice::kMonitor},
    {"g", advice::kScreen},
    {"prom-env", advice::kUnknown},
    {"semihosting-config", advice::kUnknown},
    {"tb-size", ""},
    {"compat", ""},
    {"uuid", advice::kSmbios},
    {"acpitable", advice::kAcpiTable},
    {"bios",
     "one file with code and variables is not taken: name OVMF's two, firmware (…CODE…) and "
     "vars (a copy of …VARS…)"},
    {"vga", advice::kScreen},
    {"display", advice::kScreen},
    {"spice", advice::kRemote},
    {"vnc", advice::kRemote},
    {"audiodev", advice::kSound},
    {"audio", advice::kSound},
    {"soundhw", advice::kSound},
    {"usbdevice", advice::kInput},
    {"tpmdev", advice::kTpm},
    {"watchdog", advice::kWatchdog},
    {"watchdog-action", advice::kWatchdog},
    {"monitor", advice::kMonitor},
    {"qmp", advice::kMonitor},
    {"qmp-pretty", advice::kMonitor},
    {"mon", advice::kMonitor},
    {"gdb", advice::kMonitor},
    {"trace", "its trace points are QEMU's own: leave it out"},
    {"d", advice::kMonitor},
    {"D", "gpuvm writes its messages to standard error: send that to a file"},
    {"pidfile", advice::kForeground},
    {"runas", "gpuvm changes no user: start it as that user, or by systemd with User="},
    {"run-with", advice::kForeground},
    {"chroot", advice::kForeground},
    {"incoming", "guests are not migrated and not restored"},
    {"loadvm", "there are no snapshots of a running guest; disk.throwaway keeps a disk as it is"},
    {"fda", advice::kFloppy},
    {"fdb", advice::kFloppy},
    {"parallel", advice::kPort},
    {"debugcon", "boot.firmware_log takes what the firmware prints"},
    {"overcommit", ""},
    {"realtime", ""},
    {"msg", ""},
    {"L", ""},
    {"k", advice::kInput},
    {"icount", "the guest runs at the host's speed"},
    {"option-rom", "only pci.rom gives a ROM, that of a passed-through function"},
};

}  // namespace

const AdvisedOption* advised_option(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kAdvised), std::end(kAdvised),
                                         [&](const auto& one) { return one.name == name; });
  return found == std::end(kAdvised) ? nullptr : found;
}

}  // namespace gpuvm::convert
