// SPDX-License-Identifier: Apache-2.0
// Internal to this room: QEMU's options with little in them, and those without a counterpart.
#pragma once

#include <string_view>

#include "vmm/convert/qemu_parts.hpp"

namespace gpuvm::convert {

void serial_option(QemuParts& parts, const Word& word);
void smbios_option(QemuParts& parts, const Word& word);
void fw_cfg_option(QemuParts& parts, const Word& word);
void boot_option(QemuParts& parts, const Word& word);
void set_property(QemuParts& parts, const Word& word);
void rtc_option(QemuParts& parts, const Word& word);
void action_option(QemuParts& parts, const Word& word);
void name_option(QemuParts& parts, const Word& word);
void mem_path_option(QemuParts& parts, const Word& word);
void readconfig_option(QemuParts& parts, const Word& word);
/// A text of [boot]: "kernel", "initrd" or "append". The last of several counts.
void text_option(QemuParts& parts, std::string_view option, const Word& word, std::string& value);

/// An option with an argument and without a counterpart.
struct AdvisedOption {
  std::string_view name;
  std::string_view advice;  ///< empty: gpuvm does it by itself
};

/// Null: it is none of them.
const AdvisedOption* advised_option(std::string_view name);

}  // namespace gpuvm::convert
