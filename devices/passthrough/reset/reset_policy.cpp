// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/reset/reset_policy.hpp"

#include <algorithm>
#include <array>

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

constexpr std::uint16_t kNvidia = 0x10de;
constexpr std::uint16_t kAmd = 0x1002;
constexpr std::uint16_t kAmdChipset = 0x1022;
constexpr std::uint16_t kIntel = 0x8086;
constexpr std::uint16_t kAsmedia = 0x1b21;

constexpr ResetMethod kHot = ResetMethod::kHotReset;
constexpr ResetMethod kFunction = ResetMethod::kFunctionReset;

// NV_PMC_BOOT_0, the chip's id, and, from Turing on, the upper end of the write-protected region
// that GSP firmware locks (NV_PFB_PRI_MMU_WPR2_ADDR_HI): a driver refuses to start while it is set.
constexpr std::array<RegisterCheck, 1> kNvidiaChecks{
    {{RegionIndex::kBar0, 0x0, 0xffffffff, false, "chip id (NV_PMC_BOOT_0)"}}};
constexpr std::array<RegisterCheck, 2> kNvidiaGspChecks{
    {{RegionIndex::kBar0, 0x0, 0xffffffff, false, "chip id (NV_PMC_BOOT_0)"},
     {RegionIndex::kBar0, 0x1fa828, 0, true, "GSP memory lock (WPR2_ADDR_HI)"}}};

constexpr std::string_view kNoBusReset = "a bus reset leaves the link narrow or dead";
constexpr std::string_view kQuirks = "Linux drivers/pci/quirks.c";
constexpr std::string_view kVendorReset = "gnif/vendor-reset README and src/amd";
constexpr std::string_view kVendorResetReason =
    "a bus reset does not bring it back; needs the out-of-tree module vendor-reset";

constexpr ResetPolicy kDefault{
    0,
    0,
    0xffff,
    "unknown device",
    kHot,
    true,
    true,
    milliseconds(100),
    "",
    "",
    {},
    "a hot reset clears most, where it covers only the guest's functions",
    "PCI Express Base 6.0, 6.6.1"};

/// A row for AMD GPUs that only vendor-reset can reset.
constexpr ResetPolicy vendor_reset_row(std::uint16_t first, std::uint16_t last,
                                       std::string_view name) {
  return {kAmd,        first,
          last,        name,
          kFunction,   false,
          true,        milliseconds(500),
          "",          "device_specific",
          {},          kVendorResetReason,
          kVendorReset};
}

constexpr ResetPolicy nvidia_row(std::uint16_t first, std::uint16_t last, std::string_view name,
                                 std::span<const RegisterCheck> checks, std::string_view reason,
                                 std::string_view source) {
  return {kNvidia,           first, last, name,   kHot,   true,  true,
          milliseconds(500), "",    "",   checks, reason, source};
}

/// GB202 hangs in a function level reset until the host is switched off.
constexpr ResetPolicy gb202_row(std::uint16_t first, std::uint16_t last) {
  return {kNvidia,
          first,
          last,
          "NVIDIA GB202",
          kHot,
          true,
          false,
          milliseconds(500),
          "flr",
          "",
          kNvidiaChecks,
          "a function level reset never returns; only switching the host off helps",
          "tinygrad/tinygrad#18199"};
}

constexpr std::array<ResetPolicy, 33> kPolicies{{
    {kNvidia, 0x1eb8, 0x1eb8, "NVIDIA T4", kFunction, false, true, milliseconds(100), "", "",
     kNvidiaGspChecks, kNoBusReset, kQuirks},
    {kNvidia, 0x2340, 0x237f, "NVIDIA GH200 class", kFunction, false, true, milliseconds(100), "",
     "", kNvidiaChecks, kNoBusReset, kQuirks},
    nvidia_row(0x2320, 0x233f, "NVIDIA H100 or H200", kNvidiaChecks,
               "a function level reset keeps stale firmware state, a bus reset clears it",
               "Dstack-TEE/dstack#1048"),
    nvidia_row(0x2901, 0x2901, "NVIDIA B200", kNvidiaChecks,
               "a function level reset keeps stale firmware state, a bus reset clears it",
               "Dstack-TEE/dstack#1048"),
    gb202_row(0x2b85, 0x2b85),
    gb202_row(0x2b87, 0x2b87),
    gb202_row(0x2b8c, 0x2b8c),
    gb202_row(0x2bb1, 0x2bb5),
    {kNvidia, 0x2c00, 0x2c3f, "NVIDIA GB203", kFunction, true, true, milliseconds(500), "", "",
     kNvidiaChecks, "a function level reset is the path that was reported to work",
     "NVIDIA/open-gpu-kernel-modules#1353"},
    nvidia_row(0x1e00, 0x28ff, "NVIDIA Turing to Ada", kNvidiaGspChecks,
               "the return of a reset does not say that the chip is ready: wait and check",
               "linux-pci 2026-06-03, RTX 4090 behind a switch; nouveau r535.c"),
    {kNvidia, 0x0fc0, 0x1d7f, "NVIDIA Kepler to Pascal", kHot, true, false, milliseconds(500), "",
     "", kNvidiaChecks,
     "it has no function level reset, and a power management reset keeps the chip's state",
     "NVIDIA/open-gpu-kernel-modules#1353; Linux drivers/pci/pci.c"},
    vendor_reset_row(0x67c0, 0x67ff, "AMD Polaris 10 or 11"),
    vendor_reset_row(0x6980, 0x699f, "AMD Polaris 12"),
    vendor_reset_row(0x6fdf, 0x6fdf, "AMD Polaris 20"),
    vendor_reset_row(0x6860, 0x687f, "AMD Vega 10"),
    vendor_reset_row(0x66a0, 0x66af, "AMD Vega 20"),
    vendor_reset_row(0x69a0, 0x69af, "AMD Vega 12"),
    vendor_reset_row(0x7310, 0x731f, "AMD Navi 10"),
    vendor_reset_row(0x7340, 0x734f, "AMD Navi 14"),
    vendor_reset_row(0x7360, 0x7362, "AMD Navi 12"),
    vendor_reset_row(0x738c, 0x738e, "AMD MI100"),
    {kAmd,
     0x73a0,
     0x73ff,
     "AMD RDNA 2",
     kFunction,
     true,
     true,
     milliseconds(500),
     "",
     "",
     {},
     "the kernel's own choice works; keep it out of D3",
     "gnif/vendor-reset#35"},
    {kAmd,
     0x7420,
     0x743f,
     "AMD RDNA 2 (Navi 24)",
     kFunction,
     true,
     true,
     milliseconds(500),
     "",
     "",
     {},
     "the kernel's own choice works; keep it out of D3",
     "gnif/vendor-reset#35"},
    {kAmd,
     0x7440,
     0x749f,
     "AMD RDNA 3",
     kFunction,
     true,
     true,
     milliseconds(500),
     "",
     "",
     {},
     "the kernel's own choice, with vfio_pci.disable_idle_d3=1",
     "gnif/vendor-reset#97"},
    {kAmd,
     0x7550,
     0x759f,
     "AMD RDNA 4",
     kFunction,
     true,
     true,
     milliseconds(500),
     "",
     "",
     {},
     "the kernel's own choice, with vfio_pci.disable_idle_d3=1",
     "vm-curator#63"},
    {kAmd,
     0x74a0,
     0x74a9,
     "AMD MI300",
     kFunction,
     false,
     false,
     milliseconds(0),
     "",
     "",
     {},
     "any reset of the physical function loses it until the host reboots: pass a virtual function",
     "amd/MxGPU-Virtualization#25"},
    {kAmd,
     0x75a0,
     0x75a3,
     "AMD MI350",
     kFunction,
     false,
     false,
     milliseconds(0),
     "",
     "",
     {},
     "any reset of the physical function loses it until the host reboots: pass a virtual function",
     "amd/MxGPU-Virtualization#25"},
    {kAmdChipset,
     0x1487,
     0x1487,
     "AMD Starship/Matisse audio",
     kHot,
     true,
     true,
     milliseconds(100),
     "flr",
     "",
     {},
     "it advertises a function level reset and hangs in it",
     kQuirks},
    {kAmdChipset,
     0x148c,
     0x148c,
     "AMD Starship USB 3.0",
     kHot,
     true,
     true,
     milliseconds(100),
     "flr",
     "",
     {},
     "it advertises a function level reset and hangs in it",
     kQuirks},
    {kAmdChipset,
     0x149c,
     0x149c,
     "AMD Matisse USB 3.0",
     kHot,
     true,
     true,
     milliseconds(100),
     "flr",
     "",
     {},
     "it advertises a function level reset and hangs in it",
     kQuirks},
    {kAmdChipset,
     0x7901,
     0x7901,
     "AMD FCH SATA",
     kHot,
     true,
     true,
     milliseconds(100),
     "flr",
     "",
     {},
     "it advertises a function level reset and hangs in it",
     kQuirks},
    {kIntel,
     0x1502,
     0x1503,
     "Intel 82579 network",
     kHot,
     true,
     true,
     milliseconds(100),
     "flr",
     "",
     {},
     "it advertises a function level reset and hangs in it",
     kQuirks},
    {kAsmedia,
     0x1164,
     0x1164,
     "ASMedia ASM1164",
     kFunction,
     false,
     true,
     milliseconds(100),
     "",
     "",
     {},
     kNoBusReset,
     kQuirks},
}};

std::string joined(std::span<const std::string> words) {
  std::string text;
  for (const std::string& word : words) {
    text += (text.empty() ? "" : " ") + word;
  }
  return text.empty() ? "none" : text;
}

}  // namespace

std::string_view to_string(ResetMethod method) {
  switch (method) {
    case ResetMethod::kHotReset:
      return "hot reset";
    case ResetMethod::kFunctionReset:
      return "function reset";
    case ResetMethod::kPowerReset:
      return "power management reset";
    case ResetMethod::kNone:
      return "no reset";
  }
  return "unknown";
}

std::span<const ResetPolicy> reset_policies() {
  return kPolicies;
}

const ResetPolicy& find_reset_policy(std::uint16_t vendor, std::uint16_t device) {
  const auto row =
      std::find_if(kPolicies.begin(), kPolicies.end(), [vendor, device](const ResetPolicy& entry) {
        return entry.vendor == vendor && device >= entry.first_device &&
               device <= entry.last_device;
      });
  return row == kPolicies.end() ? kDefault : *row;
}

bool hides_function_reset(const ResetPolicy& policy, std::optional<ResetMethod> chosen) {
  return chosen == ResetMethod::kNone ||
         (!policy.allows_function_reset && chosen != ResetMethod::kFunctionReset);
}

namespace {

/// The argument of `echo` that leaves the kernel all methods but the forbidden one; with none left
/// it switches all off (Linux, drivers/pci/pci-sysfs.c and pci.c, reset_method_store), and a hot
/// reset by VFIO still works. The kernel lists `bus` for function 0 before it has found the other
/// functions of the slot, and then refuses to be told it (pci_parent_bus_reset).
std::string methods_without(std::string_view forbidden, std::span<const std::string> methods,
                            bool shares_slot) {
  std::string text;
  for (const std::string& method : methods) {
    if (method != forbidden && !(shares_slot && method == "bus")) {
      text += " " + method;
    }
  }
  return text;
}

}  // namespace

Status check_kernel_reset_methods(const std::string& name, const ResetPolicy& policy,
                                  std::span<const std::string> methods, bool shares_slot) {
  const std::string path = "/sys/bus/pci/devices/" + name + "/reset_method";
  const bool is_forbidden =
      std::find(methods.begin(), methods.end(), policy.forbidden_kernel_method) != methods.end();
  if (!policy.forbidden_kernel_method.empty() && is_forbidden) {
    return fail(ErrorKind::kUnsafeDevice,
                "{} ({}) must not get the kernel's \"{}\" reset: {} (source: {}). The kernel would "
                "use it when the device is opened (its methods: {}). As root: `echo{} > {}`",
                name, policy.name, policy.forbidden_kernel_method, policy.reason, policy.source,
                joined(methods),
                methods_without(policy.forbidden_kernel_method, methods, shares_slot), path);
  }
  const std::string_view first = methods.empty() ? std::string_view() : methods.front();
  if (!policy.required_kernel_method.empty() && first != policy.required_kernel_method) {
    return fail(ErrorKind::kUnsafeDevice,
                "{} ({}) needs the kernel's \"{}\" reset: {} (source: {}). Its methods are: {}. "
                "Load the module vendor-reset before vfio-pci, then as root: `echo {} > {}`",
                name, policy.name, policy.required_kernel_method, policy.reason, policy.source,
                joined(methods), policy.required_kernel_method, path);
  }
  return {};
}

}  // namespace gpuvm
