// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report/gather_report.hpp"

#include <algorithm>
#include <map>
#include <sstream>

#include "devices/pci/pci_spec.hpp"
#include "vmm/host/host_check.hpp"

namespace gpuvm {
namespace {

/// "intel" for dmar0, "amd" for ivhd0 (Linux, drivers/iommu/intel/dmar.c and amd/init.c).
std::string iommu_kind(const HostSystem& host, const PrivateText& texts) {
  const auto names = host.list("/sys/class/iommu");
  if (names.empty()) {
    return "none";
  }
  return names.front().starts_with("dmar")   ? "intel"
         : names.front().starts_with("ivhd") ? "amd"
                                             : texts.clean(names.front());
}

/// Of the first processor.
std::map<std::string, std::string> cpu_facts(const HostSystem& host) {
  std::map<std::string, std::string> facts;
  const auto text = host.read("/proc/cpuinfo");
  std::istringstream lines(text ? *text : std::string());
  for (std::string line; std::getline(lines, line) && !line.empty();) {
    const auto colon = line.find(':');
    const auto key_end = line.find_last_not_of(" \t", colon == 0 ? 0 : colon - 1);
    if (colon == std::string::npos || colon == 0 || key_end == std::string::npos) {
      continue;
    }
    const auto value = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
    facts.emplace(line.substr(0, key_end + 1), line.substr(value));
  }
  return facts;
}

HostRecord host_record(const HostSystem& host, const PrivateText& texts) {
  const auto release = host.read("/proc/sys/kernel/osrelease");
  HostRecord record{.kernel = release ? texts.clean(*release) : "",
                    .kernel_package = texts.clean(kernel_release(host)),
                    .iommu = iommu_kind(host, texts)};
  auto cpu = cpu_facts(host);
  record.cpu_vendor = texts.clean(cpu["vendor_id"]);
  record.cpu_family = texts.clean(cpu["cpu family"]);
  record.cpu_model = texts.clean(cpu["model"]);
  record.cpu_stepping = texts.clean(cpu["stepping"]);
  record.cpu_name = texts.clean(cpu["model name"]);
  record.microcode = texts.clean(cpu["microcode"]);
  return record;
}

std::vector<std::string> gaps_of(const CardReport& report) {
  std::vector<std::string> gaps;
  for (const FunctionRecord& function : report.functions) {
    const std::string name = function.address.to_string();
    if (function.config.bytes.size() <= pci::kHeaderSize) {
      gaps.push_back(name +
                     ": configuration space past its first 64 bytes, and so capabilities: "
                     "run gpuvm report as root");
    }
    if (!function.bars) {
      gaps.push_back(name + ": sizes of its BARs: sysfs does not tell them");
    }
    if (!function.group) {
      gaps.push_back(name + ": IOMMU group: the host has no IOMMU at work");
    }
  }
  return gaps;
}

}  // namespace

Result<CardReport> gather_report(const HostSystem& host, const std::vector<Bdf>& functions,
                                 const PrivateText& texts, const std::string& version) {
  CardReport report{.gpuvm_version = version, .host = host_record(host, texts)};
  for (const Bdf& bdf : functions) {
    report.functions.push_back(TRY(gather_function(host, bdf, texts)));
  }
  report.not_recorded = gaps_of(report);
  return report;
}

}  // namespace gpuvm
