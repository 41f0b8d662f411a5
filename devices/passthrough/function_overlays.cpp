// SPDX-License-Identifier: Apache-2.0
// Offsets of the quirks: QEMU, hw/vfio/pci-quirks.c.
#include "devices/passthrough/function_overlays.hpp"

#include <algorithm>

namespace gpuvm {
namespace {

constexpr RegionArea kNvidiaMirror{.offset = 0x88000, .size = 0x1000};
/// In the mirror: where drivers acknowledge an MSI, beside the capability's id.
constexpr RegionArea kNvidiaMsiRearm{.offset = 0x704, .size = 4};
constexpr RegionArea kNvidiaLowMirror{.offset = 0x1800, .size = 0x100};
constexpr RegionArea kAtiMirror{.offset = 0x4000, .size = 0x1000};

constexpr ConfigWindow::Target target_of(RegionArea area) {
  return {.base = static_cast<std::uint32_t>(area.offset),
          .size = static_cast<std::uint32_t>(area.size)};
}

std::unique_ptr<ConfigWindow> nvidia_window(PhysicalDevice& device, const ConfigAccess& config) {
  return std::make_unique<ConfigWindow>(
      ConfigWindow::Options{.device = device,
                            .bar = 5,
                            .index = 0x8,
                            .data = 0xc,
                            .targets = {target_of(kNvidiaMirror), target_of(kNvidiaLowMirror)},
                            .enables = {0x0, 0x4},
                            .config = config});
}

std::unique_ptr<ConfigWindow> ati_window(PhysicalDevice& device, const ConfigAccess& config) {
  return std::make_unique<ConfigWindow>(ConfigWindow::Options{.device = device,
                                                              .bar = 4,
                                                              .index = 0x0,
                                                              .data = 0x4,
                                                              .targets = {target_of(kAtiMirror)},
                                                              .enables = {},
                                                              .config = config});
}

}  // namespace

BarOverlay* FunctionOverlays::Set::find(std::uint64_t offset, std::uint64_t length) const {
  const auto found =
      std::find_if(overlays_.begin(), overlays_.end(),
                   [&](const BarOverlay* overlay) { return overlay->touches(offset, length); });
  return found == overlays_.end() ? nullptr : *found;
}

FunctionOverlays::FunctionOverlays(const Options& options) : quirks_(options.quirks) {
  for (unsigned bar = 0; options.msix != nullptr && bar < kBars; ++bar) {
    owned_.push_back(std::make_unique<MsixOverlay>(options.mutex, *options.msix, bar));
    by_bar_.at(bar).add(owned_.back().get());
  }
  for (const auto kind : quirks_) {
    add_quirk(options, policy_of(kind));
  }
}

void FunctionOverlays::add_quirk(const Options& options, const QuirkPolicy& policy) {
  const auto mirror = [&](RegionArea area, WriteRelays* relays, std::vector<RegionArea> forwarded) {
    owned_.push_back(std::make_unique<ConfigMirror>(
        ConfigMirror::Options{.device = options.device,
                              .bar = policy.bar,
                              .area = area,
                              .config = options.config,
                              .on_write =
                                  [relays](std::uint64_t offset, std::span<const std::byte> in) {
                                    if (relays != nullptr) {
                                      relays->note(offset, in);
                                    }
                                  },
                              .forwarded = std::move(forwarded)}));
  };
  const auto window = [&](std::unique_ptr<ConfigWindow> made) {
    windows_.push_back(made.get());
    owned_.push_back(std::move(made));
  };
  switch (policy.kind) {
    case QuirkKind::kNvidiaMirror:
      relays_ = std::make_unique<WriteRelays>(options.device, policy.bar, options.doorbells);
      mirror(kNvidiaMirror, relays_.get(), {{options.msi_capability, 2}, kNvidiaMsiRearm});
      break;
    case QuirkKind::kNvidiaLowMirror:
      mirror(kNvidiaLowMirror, nullptr, {});
      break;
    case QuirkKind::kAtiMirror:
      mirror(kAtiMirror, nullptr, {});
      break;
    case QuirkKind::kNvidiaWindow:
      window(nvidia_window(options.device, options.config));
      break;
    case QuirkKind::kAtiWindow:
      window(ati_window(options.device, options.config));
      break;
  }
  by_bar_.at(policy.bar).add(owned_.back().get());
}

BarOverlay* FunctionOverlays::of(unsigned bar) {
  return by_bar_.at(bar).empty() ? nullptr : &by_bar_.at(bar);
}

BarListener* FunctionOverlays::listener(unsigned bar) {
  return bar == policy_of(QuirkKind::kNvidiaMirror).bar ? relays_.get() : nullptr;
}

std::vector<RegionArea> FunctionOverlays::trapped(unsigned bar) const {
  std::vector<RegionArea> areas;
  for (const auto kind : quirks_) {
    const auto& policy = policy_of(kind);
    if (policy.bar == bar && !policy.io) {
      areas.push_back(policy.trapped);
    }
  }
  return areas;
}

void FunctionOverlays::reset() {
  for (auto* window : windows_) {
    window->reset();
  }
}

void FunctionOverlays::inspect(InspectNode& node) const {
  for (const auto kind : quirks_) {
    const auto& policy = policy_of(kind);
    auto& child = node.child(policy.name);
    child.field("needed_by", policy.needed_by);
    child.field("cost", policy.cost);
    child.field("source", policy.source);
  }
  if (relays_) {
    relays_->inspect(node);
  }
}

}  // namespace gpuvm
