// SPDX-License-Identifier: Apache-2.0
// FunctionOverlays: what answers in the place of one function's hardware within its BARs: the MSI-X
// structures, and the quirks that the configuration switched on.
#pragma once

#include <array>
#include <memory>
#include <vector>

#include "devices/passthrough/msix.hpp"
#include "devices/passthrough/quirks/config_mirror.hpp"
#include "devices/passthrough/quirks/config_window.hpp"
#include "devices/passthrough/quirks/quirk_policy.hpp"
#include "devices/passthrough/quirks/write_relays.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

class FunctionOverlays : public Inspectable {
 public:
  /// All references must outlive this.
  struct Options {
    PhysicalDevice& device;
    Mutex& mutex;  ///< the function's, which guards msix
    Msix* msix;    ///< nullptr without MSI-X
    std::vector<QuirkKind> quirks;
    std::uint16_t msi_capability = 0;  ///< its offset; 0: none
    ConfigAccess config;               ///< takes the function's lock
    Doorbells& doorbells;              ///< for writes that the kernel can repeat
  };
  explicit FunctionOverlays(const Options& options);

  /// For BAR `bar`; nullptr for none.
  BarOverlay* of(unsigned bar);
  /// To be told where the BAR is; nullptr for none.
  BarListener* listener(unsigned bar);
  /// Parts of a memory BAR that must exit for a quirk; whole pages.
  std::vector<RegionArea> trapped(unsigned bar) const;
  /// After a reset of the device.
  void reset();
  void inspect(InspectNode& node) const override;

 private:
  /// Several overlays of one BAR that do not overlap: the first that an access touches answers.
  class Set final : public BarOverlay {
   public:
    void add(BarOverlay* overlay) { overlays_.push_back(overlay); }
    bool empty() const { return overlays_.empty(); }
    bool touches(std::uint64_t offset, std::uint64_t length) const override {
      return find(offset, length) != nullptr;
    }
    IoStatus overlay_read(std::uint64_t offset, std::span<std::byte> out) override {
      return find(offset, out.size())->overlay_read(offset, out);
    }
    IoStatus overlay_write(std::uint64_t offset, std::span<const std::byte> in) override {
      return find(offset, in.size())->overlay_write(offset, in);
    }

   private:
    BarOverlay* find(std::uint64_t offset, std::uint64_t length) const;
    std::vector<BarOverlay*> overlays_;
  };
  static constexpr unsigned kBars = 6;

  void add_quirk(const Options& options, const QuirkPolicy& policy);

  const std::vector<QuirkKind> quirks_;
  std::unique_ptr<WriteRelays> relays_;  ///< of NVIDIA's mirror, BAR 0; null without it
  std::vector<std::unique_ptr<BarOverlay>> owned_;
  std::vector<ConfigWindow*> windows_;  ///< of owned_
  std::array<Set, kBars> by_bar_;
};

}  // namespace gpuvm
