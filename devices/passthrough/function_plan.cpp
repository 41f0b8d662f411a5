// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/function_plan.hpp"

#include <utility>

#include "devices/passthrough/function_capabilities.hpp"
#include "devices/passthrough/gpudirect.hpp"
#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

/// Where the guest finds the MSI-X structures; says so where the configuration asked.
Result<MsixPlan> place_msix(const PassthroughFunction::Options& options,
                            std::span<const std::byte> config) {
  const auto around = msix_surroundings(options.device, config, options.coherent.bar);
  auto plan = TRY_CONTEXT(plan_msix(options.msix_relocation, around),
                          "pci.msix_relocation of " + options.name);
  if (options.msix_relocation.mode != MsixRelocation::Mode::kOff) {
    log::info("{}: MSI-X table {}: {}; effect: {}", options.name,
              plan.home ? "relocated" : "not relocated", plan.reason, plan.effect);
  }
  return plan;
}

RomIds real_ids(std::span<const std::byte> config) {
  return {load_at<std::uint16_t>(config, pci::kVendorId).value_or(0),
          load_at<std::uint16_t>(config, pci::kDeviceId).value_or(0)};
}

}  // namespace

Result<FunctionPlan> FunctionPlan::create(const PassthroughFunction::Options& options) {
  auto& device = options.device;
  auto config = TRY(read_physical_config(device));
  const auto msi = find_msi(device, config);
  auto msix = TRY(place_msix(options, config));
  std::optional<ExtraCapability> extra;
  if (options.gpudirect_clique) {
    extra = TRY(gpudirect_capability(config, *options.gpudirect_clique));
  }
  TRY(check_quirks(config, options.quirks));
  auto patch = ConfigPatch::create(config, {.multi_function = options.multi_function,
                                            .hide_msi = !msi,
                                            .hide_msix = !msix.shown,
                                            .hide_intx = device.irq(IrqType::kIntx).count == 0,
                                            .hide_function_reset = options.hide_function_reset,
                                            .no_function_reset = !device.has_function_reset(),
                                            .identity = options.identity,
                                            .extra = extra,
                                            .moved_msix = msix.home ? msix.shown : std::nullopt,
                                            .link = options.link});
  return FunctionPlan{std::move(config), msi, std::move(msix), std::move(patch)};
}

FunctionInterrupts::Options FunctionPlan::interrupts(
    const PassthroughFunction::Options& options) const {
  return {.device = options.device,
          .controller = options.msi_controller,
          .pins = options.interrupt_pins,
          .intx_pin = options.intx_pin,
          .msi = msi,
          .msix = msix.shown,
          .moved_msix = msix.home ? msix.hardware : std::nullopt};
}

FunctionBars::Options FunctionPlan::bars(PassthroughFunction::Options& options,
                                         FunctionOverlays& overlays) const {
  const auto real = real_ids(config);
  return {.device = options.device,
          .config = config,
          .slots = options.slots,
          .mmio = options.mmio,
          .ports = options.ports,
          .space = options.bar_space,
          .rom = std::move(options.rom),
          .shown = {options.identity.vendor.value_or(real.vendor),
                    options.identity.device.value_or(real.device)},
          .real = real,
          .msix = msix.shown,
          .overlays = overlays,
          .coherent = options.coherent,
          .peers = options.peers,
          .msix_home = msix.home};
}

}  // namespace gpuvm
