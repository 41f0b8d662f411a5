// SPDX-License-Identifier: Apache-2.0
// [cpu]: which of the host's processor features the guest does not see, and what it sees of the
// hypervisor. Whether a name is a feature
// that can be hidden is known where CPUID is made.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kLongestFeature = 64;
constexpr std::string_view kVendorRule = "at most 12 printable ASCII characters";

bool is_feature_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  return !name.empty() && name.size() <= kLongestFeature &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

/// The signature of CPUID leaf 0x40000000 is three registers long.
bool is_vendor_id(std::string_view text) {
  return text.size() <= 12 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
}

}  // namespace

Result<CpuConfig> read_cpu(TableReader table) {
  CpuConfig cpu;
  cpu.hide = TRY(table.optional_strings("hide")).value_or(cpu.hide);
  cpu.hide_hypervisor = TRY(table.boolean("hide_hypervisor", cpu.hide_hypervisor));
  cpu.hyperv_vendor_id = TRY(table.optional_string("hyperv_vendor_id", kVendorRule)).value_or("");
  cpu.hyperv = TRY(table.optional_strings("hyperv")).value_or(cpu.hyperv);
  TRY(table.finish());
  if (!is_vendor_id(cpu.hyperv_vendor_id)) {
    return table.must_be("hyperv_vendor_id", kVendorRule,
                         '"' + printable(cpu.hyperv_vendor_id) + '"');
  }
  for (const auto& name : cpu.hyperv) {
    if (!is_feature_name(name)) {
      return table.wrong(
          "hyperv",
          fmt::format("has \"{}\": each must be a name such as \"relaxed\"", printable(name)));
    }
  }
  for (const auto& feature : cpu.hide) {
    if (!is_feature_name(feature)) {
      return table.wrong("hide", fmt::format("has \"{}\": each must be a feature's name as in the "
                                             "flags of /proc/cpuinfo",
                                             printable(feature)));
    }
  }
  return cpu;
}

}  // namespace gpuvm::config
