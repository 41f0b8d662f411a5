// SPDX-License-Identifier: Apache-2.0
// The rows of the reset policy, each with its reason and its source.
#include <array>

#include "devices/physical/reset/reset_policy.hpp"

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

// What NVIDIA's chips answer where a read fails on their way to a register (PRI error).
constexpr std::uint32_t kPriErrorPrefix = 0xbadf;
constexpr std::uint32_t kAllBits = 0xffffffff;

// All ones: nobody answers, or the firewall before the BARs is still up.
constexpr RegisterCheck kChipId{RegionIndex::kBar0,
                                0x0,
                                kAllBits,
                                0xffffffff,
                                false,
                                "chip id (NV_PMC_BOOT_0)",
                                "NVIDIA open-gpu-kernel-modules, kern_gpu_gb100.c",
                                kPriErrorPrefix};
constexpr std::string_view kBootSource =
    "NVIDIA open-gpu-kernel-modules, kern_gpu_tu102.c; nouveau, devinit/tu102.c";
constexpr std::array<RegisterCheck, 1> kNvidiaChecks{{kChipId}};
// From Turing to Ada the firmware says when it is done, and a driver refuses to start before that;
// nor while the write-protected region that GSP firmware locks is set (bits 31:4 are its end).
constexpr std::array<RegisterCheck, 4> kNvidiaGspChecks{
    {kChipId,
     {RegionIndex::kBar0, 0x118128, 0x1, 0x1, true, "mask that says that GFW_BOOT may be read",
      kBootSource, kPriErrorPrefix},
     {RegionIndex::kBar0, 0x118234, 0xff, 0xff, true, "progress of the firmware's boot (GFW_BOOT)",
      kBootSource, kPriErrorPrefix},
     {RegionIndex::kBar0, 0x1fa828, 0xfffffff0, 0, true, "GSP memory lock (WPR2_ADDR_HI)",
      "nouveau r535.c", kPriErrorPrefix}}};
// nouveau waits for 2050 looks of 1 to 2 ms each, NVIDIA's driver 2.05 s where no load delays it.
constexpr milliseconds kFirmwareBootTime{4000};
// B200 and B300: the firewall before their BARs is up for up to 4 s.
constexpr milliseconds kFirewallTime{4000};

// What amdgpu waits for after its own resets: all ones until the chip answers. BAR 5 holds the
// registers.
constexpr std::string_view kMemorySize = "size of the chip's memory (CONFIG_MEMSIZE)";
constexpr std::array<RegisterCheck, 1> kPolarisChecks{
    {{RegionIndex::kBar5, 0x5428, kAllBits, 0xffffffff, false, kMemorySize,
      "Linux drivers/gpu/drm/amd/amdgpu/vi.c; QEMU hw/vfio/pci-quirks.c"}}};
constexpr std::array<RegisterCheck, 1> kVegaChecks{
    {{RegionIndex::kBar5, 0x378c, kAllBits, 0xffffffff, false, kMemorySize,
      "Linux drivers/gpu/drm/amd/amdgpu/soc15.c and amdgpu_discovery.c"}}};

constexpr std::string_view kNoBusReset = "a bus reset leaves the link narrow or dead";
constexpr std::string_view kQuirks = "Linux drivers/pci/quirks.c";
constexpr std::string_view kDstack = "Dstack-TEE/dstack#1048";
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
                                       std::string_view name,
                                       std::span<const RegisterCheck> checks) {
  return {kAmd,        first,
          last,        name,
          kFunction,   false,
          true,        milliseconds(500),
          "",          "device_specific",
          checks,      kVendorResetReason,
          kVendorReset};
}

/// A row for AMD GPUs that a bus reset may leave as they are: a driver that starts a second time
/// may fail then. There is nothing better without AMD's own registers, and the check tells nothing.
constexpr ResetPolicy bus_deaf_row(std::uint16_t first, std::uint16_t last, std::string_view name) {
  return {kAmd,
          first,
          last,
          name,
          kFunction,
          true,
          true,
          milliseconds(500),
          "",
          "",
          kPolarisChecks,
          "it does not respond to a bus reset, so the kernel's own choice goes first; a driver may "
          "fail when it is loaded a second time",
          "QEMU hw/vfio/pci-quirks.c, vfio_setup_resetfn_quirk"};
}

/// A row for AMD GPUs that the kernel resets well by itself.
constexpr ResetPolicy rdna_row(std::uint16_t first, std::uint16_t last, std::string_view name,
                               std::string_view source) {
  return {kAmd,      first, last,        name,
          kFunction, true,  true,        milliseconds(500),
          "",        "",    kVegaChecks, "the kernel's own choice works; keep it out of D3",
          source};
}

/// As rdna_row(), for those that were seen to stay in D3cold.
constexpr ResetPolicy sleepy_row(std::uint16_t first, std::uint16_t last, std::string_view name,
                                 std::string_view source) {
  ResetPolicy row = rdna_row(first, last, name, source);
  row.reason = "the kernel's own choice, with vfio_pci.disable_idle_d3=1";
  row.sleeps_badly = true;
  return row;
}

/// A row for AMD accelerators that no reset of the physical function brings back.
constexpr ResetPolicy never_row(std::uint16_t first, std::uint16_t last, std::string_view name) {
  return {kAmd,
          first,
          last,
          name,
          kFunction,
          false,
          false,
          milliseconds(0),
          "",
          "",
          {},
          "any reset of the physical function loses it until the host reboots: pass a virtual "
          "function",
          "amd/MxGPU-Virtualization#25"};
}

/// A row for devices that hang in the function level reset which they offer.
constexpr ResetPolicy no_flr_row(std::uint16_t vendor, std::uint16_t first, std::uint16_t last,
                                 std::string_view name) {
  return {vendor, first, last, name,
          kHot,   true,  true, milliseconds(100),
          "flr",  "",    {},   "it advertises a function level reset and hangs in it",
          kQuirks};
}

constexpr ResetPolicy nvidia_row(std::uint16_t first, std::uint16_t last, std::string_view name,
                                 std::span<const RegisterCheck> checks, std::string_view reason,
                                 std::string_view source) {
  return {kNvidia,           first, last, name,   kHot,   true,  true,
          milliseconds(500), "",    "",   checks, reason, source};
}

/// What a guest that was killed leaves in the firmware of these survives a function level reset,
/// and no register tells.
constexpr ResetPolicy hopper_row(std::uint16_t first, std::uint16_t last, std::string_view name) {
  ResetPolicy row = nvidia_row(
      first, last, name, kNvidiaChecks,
      "a function level reset keeps stale firmware state, a bus reset clears it", kDstack);
  row.function_reset_suffices = false;
  return row;
}

/// From Turing to Ada the end of the firmware's boot can be seen.
constexpr ResetPolicy gsp_row(ResetPolicy row) {
  row.checks = kNvidiaGspChecks;
  row.boot_time = kFirmwareBootTime;
  return row;
}

constexpr ResetPolicy firewall_row(ResetPolicy row) {
  row.boot_time = kFirewallTime;
  return row;
}

/// Blackwell for data centers, where nothing else is known of it than the firewall.
constexpr ResetPolicy blackwell_row(std::uint16_t first, std::uint16_t last,
                                    std::string_view name) {
  return firewall_row(nvidia_row(first, last, name, kNvidiaChecks,
                                 "a firewall before its BARs is up for up to 4 s after a reset",
                                 "NVIDIA open-gpu-kernel-modules 595.45.04, kern_gpu_gb100.c"));
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

constexpr std::array<ResetPolicy, 39> kPolicies{{
    gsp_row({kNvidia, 0x1eb8, 0x1eb8, "NVIDIA T4", kFunction, false, true, milliseconds(100), "",
             "", kNvidiaGspChecks, kNoBusReset, kQuirks}),
    {kNvidia, 0x2340, 0x237f, "NVIDIA GH200 class", kFunction, false, true, milliseconds(100), "",
     "", kNvidiaChecks, kNoBusReset, kQuirks},
    hopper_row(0x2320, 0x233f, "NVIDIA H100 or H200"),
    firewall_row(hopper_row(0x2901, 0x2901, "NVIDIA B200")),
    blackwell_row(0x2900, 0x29ff, "NVIDIA B200 class"),
    blackwell_row(0x3180, 0x327f, "NVIDIA B300 class"),
    gb202_row(0x2b85, 0x2b85),
    gb202_row(0x2b87, 0x2b87),
    gb202_row(0x2b8c, 0x2b8c),
    gb202_row(0x2bb1, 0x2bb5),
    {kNvidia, 0x2c00, 0x2c3f, "NVIDIA GB203", kFunction, true, true, milliseconds(500), "", "",
     kNvidiaChecks, "a function level reset is the path that was reported to work",
     "NVIDIA/open-gpu-kernel-modules#1353"},
    gsp_row(nvidia_row(0x1e00, 0x28ff, "NVIDIA Turing to Ada", kNvidiaGspChecks,
                       "the return of a reset does not say that the chip is ready: wait and check",
                       "linux-pci 2026-06-03, RTX 4090 behind a switch; nouveau r535.c")),
    {kNvidia, 0x0fc0, 0x1d7f, "NVIDIA Kepler to Pascal", kHot, true, false, milliseconds(500), "",
     "", kNvidiaChecks,
     "it has no function level reset, and a power management reset keeps the chip's state",
     "NVIDIA/open-gpu-kernel-modules#1353; Linux drivers/pci/pci.c"},
    {kNvidia, 0x0000, 0xffff, "NVIDIA GPU", kHot, true, true, milliseconds(500), "", "",
     kNvidiaChecks, "the return of a reset does not say that the chip is ready: wait and check",
     "linux-pci 2026-06-03, RTX 4090 behind a switch"},
    bus_deaf_row(0x6640, 0x665f, "AMD Bonaire"),
    bus_deaf_row(0x67a0, 0x67be, "AMD Hawaii"),
    vendor_reset_row(0x67c0, 0x67ff, "AMD Polaris 10 or 11", kPolarisChecks),
    vendor_reset_row(0x6980, 0x699f, "AMD Polaris 12", kPolarisChecks),
    vendor_reset_row(0x6fdf, 0x6fdf, "AMD Polaris 20", kPolarisChecks),
    vendor_reset_row(0x6860, 0x687f, "AMD Vega 10", kVegaChecks),
    vendor_reset_row(0x66a0, 0x66af, "AMD Vega 20", kVegaChecks),
    vendor_reset_row(0x69a0, 0x69af, "AMD Vega 12", kVegaChecks),
    vendor_reset_row(0x7310, 0x731f, "AMD Navi 10", kVegaChecks),
    vendor_reset_row(0x7340, 0x734f, "AMD Navi 14", kVegaChecks),
    vendor_reset_row(0x7360, 0x7362, "AMD Navi 12", kVegaChecks),
    vendor_reset_row(0x738c, 0x738e, "AMD MI100", kVegaChecks),
    rdna_row(0x73a0, 0x73ff, "AMD RDNA 2", "gnif/vendor-reset#35"),
    rdna_row(0x7420, 0x743f, "AMD RDNA 2 (Navi 24)", "gnif/vendor-reset#35"),
    sleepy_row(0x7440, 0x749f, "AMD RDNA 3", "gnif/vendor-reset#97"),
    sleepy_row(0x7550, 0x759f, "AMD RDNA 4", "vm-curator#63"),
    never_row(0x7408, 0x740f, "AMD MI210 or MI250"),
    never_row(0x74a0, 0x74a9, "AMD MI300"),
    never_row(0x75a0, 0x75a3, "AMD MI350"),
    no_flr_row(kAmdChipset, 0x1487, 0x1487, "AMD Starship/Matisse audio"),
    no_flr_row(kAmdChipset, 0x148c, 0x148c, "AMD Starship USB 3.0"),
    no_flr_row(kAmdChipset, 0x149c, 0x149c, "AMD Matisse USB 3.0"),
    no_flr_row(kAmdChipset, 0x7901, 0x7901, "AMD FCH SATA"),
    no_flr_row(kIntel, 0x1502, 0x1503, "Intel 82579 network"),
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

}  // namespace

std::span<const ResetPolicy> reset_policies() {
  return kPolicies;
}

const ResetPolicy& default_reset_policy() {
  return kDefault;
}

}  // namespace gpuvm
