// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/quirks/quirk_policy.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::uint16_t kAti = 0x1002;
constexpr std::uint16_t kVgaController = 0x0300;
constexpr const char* kOldDrivers =
    "drivers before NVIDIA's open kernel modules and a VGA BIOS that runs in the guest; not by "
    "today's drivers, which run under monitors without it";
constexpr const char* kVgaBios = "a VGA BIOS that runs in the guest; not by amdgpu and radeon";
constexpr const char* kSource = "QEMU, hw/vfio/pci-quirks.c; Cloud Hypervisor and OpenVMM: none";

constexpr QuirkPolicy kPolicies[] = {
    {QuirkKind::kNvidiaMirror,
     "nvidia-mirror",
     kNvidia,
     0,
     false,
     {0x88000, 0x1000},
     kOldDrivers,
     "an exit for each access to a page of BAR 0, the re-arm of an MSI ten times, then none",
     kSource},
    {QuirkKind::kNvidiaLowMirror,
     "nvidia-low-mirror",
     kNvidia,
     0,
     false,
     {0x1000, 0x1000},
     "GPUs before Tesla (NV50) and a VGA BIOS that runs in the guest",
     "an exit for each access to a page of BAR 0",
     kSource},
    {QuirkKind::kNvidiaWindow,
     "nvidia-window",
     kNvidia,
     5,
     true,
     {0, 0x80},
     kOldDrivers,
     "none: accesses to I/O BARs exit anyway",
     kSource},
    {QuirkKind::kAtiMirror,
     "ati-mirror",
     kAti,
     2,
     false,
     {0x4000, 0x1000},
     kVgaBios,
     "an exit for each access to a page of BAR 2",
     kSource},
    {QuirkKind::kAtiWindow,
     "ati-window",
     kAti,
     4,
     true,
     {0, 0x100},
     kVgaBios,
     "none: accesses to I/O BARs exit anyway",
     kSource},
};

bool fits(const QuirkPolicy& policy, std::span<const std::byte> config) {
  const auto bar = load_at<std::uint32_t>(config, pci::kBar0 + std::size_t{policy.bar} * 4);
  return load_at<std::uint16_t>(config, pci::kVendorId) == policy.vendor &&
         load_at<std::uint16_t>(config, 0x0a) == kVgaController && bar && *bar != 0 &&
         ((*bar & pci::kBarIo) != 0) == policy.io;
}

}  // namespace

std::span<const QuirkPolicy> quirk_policies() {
  return kPolicies;
}

const QuirkPolicy& policy_of(QuirkKind kind) {
  return *std::find_if(std::begin(kPolicies), std::end(kPolicies),
                       [kind](const QuirkPolicy& policy) { return policy.kind == kind; });
}

Result<QuirkKind> parse_quirk(std::string_view name) {
  std::string names;
  for (const auto& policy : kPolicies) {
    if (policy.name == name) {
      return policy.kind;
    }
    names += names.empty() ? policy.name : std::string(", ") + policy.name;
  }
  return fail(ErrorKind::kConfig, "no quirk is called \"{}\"; there are {}", name, names);
}

std::vector<QuirkKind> possible_quirks(std::span<const std::byte> config) {
  std::vector<QuirkKind> kinds;
  for (const auto& policy : kPolicies) {
    if (fits(policy, config)) {
      kinds.push_back(policy.kind);
    }
  }
  return kinds;
}

Status check_quirks(std::span<const std::byte> config, std::span<const QuirkKind> wanted) {
  for (const auto kind : wanted) {
    const auto& policy = policy_of(kind);
    if (!fits(policy, config)) {
      return fail(ErrorKind::kConfig,
                  "pci.quirks: {} is for VGA controllers of vendor {:04x} with {} BAR {}; leave it "
                  "out",
                  policy.name, policy.vendor, policy.io ? "an I/O" : "a memory", policy.bar);
    }
  }
  return {};
}

}  // namespace gpuvm
