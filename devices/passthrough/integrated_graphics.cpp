// SPDX-License-Identifier: Apache-2.0
// Registers: Intel, 13th Generation Core Processors, Datasheet Volume 2, "Processor Graphics
// Registers (D2:F0)", and for older ones Linux, include/drm/intel/i915_drm.h.
#include "devices/passthrough/integrated_graphics.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kIntel = 0x8086;
constexpr std::uint8_t kDisplayController = 0x03;
constexpr unsigned kIntegratedEndpoint = 9;  // PCI Express Base 6.0, 7.5.3.2

constexpr std::uint16_t kGraphicsControl = 0x50;  // GGC: how much memory is stolen
constexpr std::uint16_t kStolenBase = 0x5c;       // BDSM
constexpr std::uint16_t kStolenBaseWide = 0xc0;   // BDSM of 64 bits
constexpr std::uint16_t kSoftwareSci = 0xe8;      // SWSCI
constexpr std::uint16_t kOpRegion = 0xfc;         // ASLS

// GMS: how much of it is the GPU's memory. GGMS, the size of its page table, stays: drivers count
// on it, and it is no address.
constexpr std::uint32_t kOldMemorySize = 0x00f8;
constexpr std::uint32_t kMemorySize = 0xff00;

struct Family {
  std::uint16_t mask;
  std::uint16_t value;  ///< of the device id under the mask
  std::uint32_t memory_size;
  bool has_wide_base;
  const char* name;
};

/// The first that fits. Source: QEMU, hw/vfio/igd.c, igd_gen(); Linux, include/drm/intel/pciids.h
/// and arch/x86/kernel/early-quirks.c.
constexpr std::array kFamilies{
    Family{0x0ffe, 0x0a84, kMemorySize, false, "Broxton"},
    Family{0xff00, 0x0100, kOldMemorySize, false, "Sandy Bridge and Ivy Bridge"},
    Family{0xff00, 0x0400, kOldMemorySize, false, "Haswell"},
    Family{0xff00, 0x0a00, kOldMemorySize, false, "Haswell"},
    Family{0xff00, 0x0c00, kOldMemorySize, false, "Haswell"},
    Family{0xff00, 0x0d00, kOldMemorySize, false, "Haswell"},
    Family{0xff00, 0x0f00, kOldMemorySize, false, "Bay Trail"},
    Family{0xff00, 0x1600, kMemorySize, false, "Broadwell"},
    Family{0xff00, 0x2200, kMemorySize, false, "Cherry Trail"},
    Family{0xff00, 0x1900, kMemorySize, false, "Skylake"},
    Family{0xff00, 0x5900, kMemorySize, false, "Kaby Lake"},
    Family{0xff00, 0x3100, kMemorySize, false, "Gemini Lake"},
    Family{0xff00, 0x3e00, kMemorySize, false, "Coffee Lake"},
    Family{0xff00, 0x9b00, kMemorySize, false, "Comet Lake"},
    Family{0x0000, 0x0000, kMemorySize, true, "Ice Lake and later"},
};

const Family& family_of(std::uint16_t device) {
  return *std::find_if(kFamilies.begin(), kFamilies.end(), [device](const Family& family) {
    return (device & family.mask) == family.value;
  });
}

}  // namespace

bool is_integrated_graphics(std::span<const std::byte> config) {
  const auto vendor = load_at<std::uint16_t>(config, pci::kVendorId).value_or(0);
  const auto class_code = load_at<std::uint32_t>(config, pci::kClassDword).value_or(0) >> 8;
  if (vendor != kIntel || class_code >> 16 != kDisplayController) {
    return false;
  }
  const auto express =
      find_capability(config, static_cast<std::uint8_t>(pci::CapabilityId::kPciExpress));
  const auto flags = load_at<std::uint16_t>(config, std::size_t{express} + pci::kExpressFlags);
  return express == 0 || ((flags.value_or(0) >> 4) & 0xfU) == kIntegratedEndpoint;
}

PatchPart integrated_graphics_patch(std::span<const std::byte> config) {
  if (!is_integrated_graphics(config)) {
    return {};
  }
  constexpr const char* kSource = "QEMU, hw/vfio/igd.c";
  constexpr const char* kAddress = "it is an address of the host's memory";
  const auto& family = family_of(load_at<std::uint16_t>(config, 2).value_or(0));
  PatchPart part;
  const auto serve = [&part](std::uint16_t offset, std::uint32_t mask, const char* name,
                             const char* reason) {
    part.rows.push_back({offset, mask, 0, fmt::format("{}: {}", name, reason), kSource});
    part.read_only.push_back({offset, 4, fmt::format("{} is the firmware's", name), kSource});
  };
  serve(kGraphicsControl, family.memory_size, "Graphics control",
        "no memory is stolen for the GPU in a guest");
  serve(kStolenBase, ~0U, "Base of stolen memory", kAddress);
  if (family.has_wide_base) {
    serve(kStolenBaseWide, ~0U, "Base of stolen memory", kAddress);
    serve(kStolenBaseWide + 4, ~0U, "Base of stolen memory", kAddress);
  }
  serve(kOpRegion, ~0U, "OpRegion", kAddress);
  part.read_only.push_back({kSoftwareSci, 4, "Software SCI: it would call the host's firmware",
                            "Linux, drivers/gpu/drm/i915/display/intel_opregion.c"});
  return part;
}

}  // namespace gpuvm
