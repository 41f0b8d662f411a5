// SPDX-License-Identifier: Apache-2.0
// [boot]: what the guest starts. The files are opened, and the length of the command line is
// compared with what the kernel takes, where the guest is loaded.
#include "vmm/config/names.hpp"
#include "vmm/config/sections.hpp"

namespace gpuvm::config {

Result<BootConfig> read_boot(TableReader table) {
  BootConfig boot;
  boot.mode = static_cast<BootMode>(
      TRY(table.choice("mode", kBootModeNames, static_cast<std::size_t>(boot.mode))));
  boot.kernel = TRY(table.optional_path("kernel")).value_or("");
  boot.initrd = TRY(table.optional_path("initrd"));
  boot.cmdline = TRY(table.optional_string("cmdline")).value_or(boot.cmdline);
  boot.vars = TRY(table.optional_path("vars"));
  TRY(table.finish());
  if (boot.vars && boot.mode != BootMode::kEfiHandover) {
    return table.wrong("vars", "belongs to mode = \"efi-handover\"; remove it, or change the mode");
  }
  if (boot.kernel.empty()) {
    return table.wrong("kernel",
                       "is missing: name the Linux image to start, for instance "
                       "kernel = \"/boot/vmlinuz\" in [boot]");
  }
  return boot;
}

}  // namespace gpuvm::config
