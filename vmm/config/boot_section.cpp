// SPDX-License-Identifier: Apache-2.0
// [boot]: what the guest starts. The files are opened, and the length of the command line is
// compared with what the kernel takes, where the guest is loaded.
#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

/// Keys that another mode would ignore are errors.
Status check_mode(const TableReader& table, const BootConfig& boot) {
  if (boot.vars && boot.mode == BootMode::kLinux) {
    return table.wrong("vars",
                       "belongs to mode = \"efi-handover\" and mode = \"uefi\"; remove it, or "
                       "change the mode");
  }
  if (boot.decompress == Unpacker::kHost && boot.mode != BootMode::kLinux) {
    return table.wrong(
        "decompress",
        "= \"host\" belongs to mode = \"linux\": with the others the kernel's EFI stub "
        "unpacks it; remove it, or change the mode");
  }
  const std::pair<std::string_view, const std::optional<std::string>&> only_uefi[] = {
      {"firmware", boot.firmware},
      {"vars_template", boot.vars_template},
      {"firmware_log", boot.firmware_log}};
  for (const auto& [key, value] : only_uefi) {
    if (value && boot.mode != BootMode::kUefi) {
      return table.wrong(key, "belongs to mode = \"uefi\"; remove it, or change the mode");
    }
  }
  return {};
}

Status check_uefi(const TableReader& table, const BootConfig& boot) {
  if (!boot.firmware) {
    return table.wrong("firmware",
                       "is missing: name the firmware's code, for instance "
                       "firmware = \"/usr/share/OVMF/OVMF_CODE_4M.fd\" in [boot]");
  }
  if (!boot.vars) {
    return table.wrong("vars", "is missing: name the file that keeps the guest's UEFI variables");
  }
  if (boot.kernel.empty() && boot.initrd) {
    return table.wrong("initrd", "goes with a kernel: name that, or remove it");
  }
  if (boot.kernel.empty() && !boot.cmdline.empty()) {
    return table.wrong("cmdline", "goes with a kernel: name that, or remove it");
  }
  return {};
}

}  // namespace

Result<BootConfig> read_boot(TableReader table) {
  BootConfig boot;
  boot.mode = TRY(table.choice("mode", boot.mode));
  boot.kernel = TRY(table.optional_path("kernel")).value_or("");
  boot.initrd = TRY(table.optional_path("initrd"));
  boot.cmdline = TRY(table.optional_string("cmdline")).value_or(boot.cmdline);
  boot.decompress = TRY(table.choice("decompress", boot.decompress));
  boot.vars = TRY(table.optional_path("vars"));
  boot.firmware = TRY(table.optional_path("firmware"));
  boot.vars_template = TRY(table.optional_path("vars_template"));
  boot.firmware_log = TRY(table.optional_path("firmware_log"));
  TRY(table.finish());
  TRY(check_mode(table, boot));
  if (boot.mode == BootMode::kUefi) {
    TRY(check_uefi(table, boot));
    return boot;
  }
  if (boot.kernel.empty()) {
    return table.wrong("kernel",
                       "is missing: name the Linux image to start, for instance "
                       "kernel = \"/boot/vmlinuz-6.1.0-28-amd64\" in [boot]");
  }
  return boot;
}

}  // namespace gpuvm::config
