// SPDX-License-Identifier: Apache-2.0
#include "vmm/check/host_facts.hpp"

#include <algorithm>
#include <charconv>
#include <sstream>

namespace gpuvm {
namespace {

/// "48 bits physical, 48 bits virtual"
std::optional<unsigned> first_number(const std::string& text) {
  const auto at = text.find_first_of("0123456789");
  unsigned value = 0;
  if (at == std::string::npos ||
      std::from_chars(text.data() + at, text.data() + text.size(), value).ec != std::errc()) {
    return std::nullopt;
  }
  return value;
}

bool has_word(const std::string& text, std::string_view wanted) {
  std::istringstream words(text);
  for (std::string word; words >> word;) {
    if (word == wanted) {
      return true;
    }
  }
  return false;
}

/// modules.dep and modules.builtin name files: "kernel/drivers/vfio/pci/vfio-pci.ko.xz: …".
bool lists_module(const std::string& text, std::string_view name) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    auto file = line.substr(0, line.find(':'));
    file = file.substr(file.rfind('/') + 1);
    file = file.substr(0, file.find(".ko"));
    std::replace(file.begin(), file.end(), '-', '_');
    if (file == name) {
      return true;
    }
  }
  return false;
}

}  // namespace

CpuFacts cpu_facts_of(const HostSystem& host) {
  CpuFacts facts;
  const auto text = host.read("/proc/cpuinfo");
  std::istringstream lines(text ? *text : std::string());
  facts.is_foreign = text && !text->empty();  // every x86 processor's text has vendor_id and flags
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    const auto colon = line.find(':');
    const std::string value = colon == std::string::npos ? "" : line.substr(colon + 1);
    if (line.starts_with("vendor_id")) {
      facts.is_foreign = false;
      facts.maker = has_word(value, "GenuineIntel")   ? CpuMaker::kIntel
                    : has_word(value, "AuthenticAMD") ? CpuMaker::kAmd
                                                      : CpuMaker::kOther;
    } else if (line.starts_with("flags")) {
      facts.has_virtualisation = has_word(value, "vmx") || has_word(value, "svm");
      facts.is_guest = has_word(value, "hypervisor");
      facts.is_foreign = false;
    } else if (line.starts_with("address sizes")) {
      facts.address_bits = first_number(value);
    }
  }
  return facts;
}

std::optional<std::string> boot_word(const HostSystem& host, std::string_view begin) {
  const auto line = host.read("/proc/cmdline");
  std::istringstream words(line ? *line : std::string());
  for (std::string word; words >> word;) {
    if (word.starts_with(begin)) {
      return word;
    }
  }
  return std::nullopt;
}

std::string add_boot_argument(std::string_view argument) {
  return fmt::format(
      "boot with {0}: add {0} to GRUB_CMDLINE_LINUX in /etc/default/grub, then `update-grub` "
      "(Fedora: `grubby --update-kernel=ALL --args={0}`) and restart",
      argument);
}

ModuleState module_state(const HostSystem& host, std::string_view name) {
  if (host.exists(fmt::format("/sys/module/{}", name))) {
    return ModuleState::kLoaded;
  }
  const auto release = host.read("/proc/sys/kernel/osrelease");
  if (!release || release->find('/') != std::string::npos) {
    return ModuleState::kUnknown;
  }
  bool has_list = false;
  for (const char* const list : {"modules.builtin", "modules.dep"}) {
    const auto text = host.read(fmt::format("/lib/modules/{}/{}", *release, list));
    has_list = has_list || text.has_value();
    if (text && lists_module(*text, name)) {
      return ModuleState::kAvailable;
    }
  }
  return has_list ? ModuleState::kMissing : ModuleState::kUnknown;
}

bool is_kernel_at_least(const HostSystem& host, unsigned major, unsigned minor) {
  const auto release = host.read("/proc/sys/kernel/osrelease");
  const auto found_major = release ? first_number(*release) : std::nullopt;
  const auto dot = release ? release->find('.') : std::string::npos;
  const auto found_minor =
      dot == std::string::npos ? std::nullopt : first_number(release->substr(dot));
  return found_major && found_minor &&
         (*found_major > major || (*found_major == major && *found_minor >= minor));
}

}  // namespace gpuvm
