// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/function_plan.hpp"

#include "devices/passthrough/gpudirect.hpp"
#include "devices/pci/pci_spec.hpp"

namespace gpuvm {
namespace {

/// Where the guest finds the MSI-X structures. Of a function that is not wholly known they stay
/// where they are: whether they can move is told when it is opened.
Result<MsixPlan> place_msix(const std::string& name, const FunctionFacts& facts,
                            const FunctionView& view) {
  if (!facts.offers.is_complete) {
    return MsixPlan{.hardware = facts.msix, .shown = facts.msix};
  }
  return TRY_CONTEXT(plan_msix(view.msix_relocation, {.layout = facts.msix,
                                                      .bars = facts.bars,
                                                      .regions = facts.offers.regions,
                                                      .coherent_bar = view.coherent.bar}),
                     "pci.msix_relocation of " + name);
}

BarDescriptions bars_for_guest(const FunctionFacts& facts, const FunctionView& view,
                               const MsixPlan& msix) {
  auto bars = facts.bars;
  if (msix.home) {
    bars.at(msix.home->bar) = msix.home->description;
  }
  if (const auto memory = view.coherent.bar; memory && *memory < bars.size()) {
    auto& bar = bars.at(*memory);
    if (bar && bar->kind != BarKind::kIo) {
      bar.reset();
    }
  }
  return bars;
}

}  // namespace

Result<FunctionPlan> FunctionPlan::create(const std::string& name, const FunctionFacts& facts,
                                          const FunctionView& view, const FunctionPlace& place) {
  std::optional<ExtraCapability> extra;
  if (view.gpudirect_clique && facts.config.size() >= pci::kLegacyConfigSize) {
    extra = TRY_CONTEXT(gpudirect_capability(facts.config, *view.gpudirect_clique), name);
  }
  TRY_CONTEXT(check_quirks(facts.config, view.quirks), "pci.quirks of " + name);
  auto msix = TRY(place_msix(name, facts, view));
  auto patch =
      ConfigPatch::create(facts.config, {.multi_function = place.multi_function,
                                         .hide_msi = !facts.msi,
                                         .hide_msix = !msix.shown,
                                         .hide_intx = facts.offers.intx_vectors == 0,
                                         .hide_function_reset = place.hide_function_reset,
                                         .no_function_reset = !facts.offers.has_function_reset,
                                         .identity = view.identity,
                                         .extra = extra,
                                         .moved_msix = msix.home ? msix.shown : std::nullopt,
                                         .writable = view.writable,
                                         .link = place.link});
  auto bars = bars_for_guest(facts, view, msix);
  return FunctionPlan{.msix = std::move(msix),
                      .patch = std::move(patch),
                      .bars = bars,
                      .shown = {view.identity.vendor.value_or(facts.ids.vendor),
                                view.identity.device.value_or(facts.ids.device)}};
}

}  // namespace gpuvm
