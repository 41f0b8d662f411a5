// SPDX-License-Identifier: Apache-2.0
// ConfigPatch: how the guest's view of a physical function's configuration space differs from the
// hardware, as a table: each row lays value over the hardware's dword under mask, and says why and
// according to what. Built once from the real configuration space by the policy of
// capability_policy.hpp; capability chains are re-linked around what is hidden.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/passthrough/capability_policy.hpp"
#include "devices/passthrough/express_patch.hpp"
#include "devices/pci/capability_chain.hpp"
#include "devices/pci/msix_capability.hpp"
#include "devices/pci/pcie_link.hpp"
#include "vmm/base/inspect.hpp"

namespace gpuvm {

/// Ids that the guest sees in place of the hardware's.
struct IdentityOverrides {
  std::optional<std::uint16_t> vendor = {};
  std::optional<std::uint16_t> device = {};
  std::optional<std::uint16_t> subsystem_vendor = {};
  std::optional<std::uint16_t> subsystem_device = {};
  std::optional<std::uint32_t> class_code = {};  ///< 24 bits: base class, sub-class, interface
  bool operator==(const IdentityOverrides&) const = default;
};

/// A standard capability that the hardware does not have, read-only, of two dwords; the link in the
/// first is filled in.
struct ExtraCapability {
  std::uint16_t offset = 0;  ///< a free place, multiple of 4
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  const char* reason = "";
};

/// Capabilities whose registers the guest may write, by the user's choice: what it writes there may
/// outlive it, or reach what nobody here knows.
struct WritableCapabilities {
  bool vpd = false;    ///< Vital Product Data: memory on the card that keeps what is written
  bool dvsec = false;  ///< Designated Vendor-Specific: else they can only be read
  bool doe = false;    ///< Data Object Exchange: a mailbox of the card; else it is hidden
  bool operator==(const WritableCapabilities&) const = default;
};

class ConfigPatch : public Inspectable {
 public:
  struct Options {
    bool multi_function = false;       ///< function 0 of several that the guest sees
    bool hide_msi = false;             ///< the host cannot deliver it
    bool hide_msix = false;            ///< likewise, or the capability makes no sense
    bool hide_intx = false;            ///< likewise
    bool hide_function_reset = false;  ///< FLR is known to kill this device
    bool no_function_reset = false;    ///< nobody would carry out an FLR: hidden, too
    IdentityOverrides identity = {};
    std::optional<ExtraCapability> extra = {};  ///< linked behind the last capability
    std::optional<MsixLayout> moved_msix = {};  ///< where the guest sees a table that was moved
    WritableCapabilities writable = {};
    std::optional<PcieLink> link = {};  ///< of the guest's root port at its best; absent: as it is
  };

  /// `config`: the hardware's configuration space, 256 or 4096 bytes (fewer reads as absent).
  static ConfigPatch create(std::span<const std::byte> config, const Options& options);

  /// What the guest sees at `offset` (a multiple of 4) where the hardware has `hardware`.
  std::uint32_t apply(std::uint16_t offset, std::uint32_t hardware) const;
  /// True if the dword belongs to a hidden capability: writes must not reach the hardware.
  bool hidden(std::uint16_t offset) const;
  /// True if writes to the dword must not reach the hardware: hidden, or read-only for the guest.
  bool drops_writes(std::uint16_t offset) const;
  /// True if a write of these bits begins a write of the card's Vital Product Data, which is not
  /// the guest's to do.
  bool begins_vpd_write(std::uint16_t offset, std::uint32_t bits) const;
  /// Bits of the dword that come from a row: where others beside them are written, these must stay
  /// as the hardware has them.
  std::uint32_t patched_bits(std::uint16_t offset) const;

  const std::vector<ConfigPatchRow>& rows() const { return rows_; }
  void inspect(InspectNode& node) const override;

 private:
  using Config = std::span<const std::byte>;

  void add(std::uint16_t offset, std::uint32_t mask, std::uint32_t value, std::string reason,
           const char* source);
  void add(const CapabilityPolicy& policy, PatchPart part);
  void add_header_rows(Config config, const Options& options);
  void add_identity_rows(const IdentityOverrides& identity);
  void add_function_reset_rows(Config config, const Options& options);
  void add_integrated_graphics(Config config);
  void add_standard(Config config, const Options& options);
  void add_extra(const ExtraCapability& extra);
  void add_moved_msix(const MsixLayout& layout);
  void add_extended(Config config, const Options& options);
  void seal_vpd(const CapabilityHeader& capability, std::uint16_t room,
                const CapabilityPolicy& policy);
  /// True if the guest sees the capability; its rows are added.
  bool show_standard(Config config, const CapabilityHeader& capability, std::uint16_t room,
                     const Options& options);
  bool show_extended(Config config, const CapabilityHeader& capability, std::uint16_t room,
                     const WritableCapabilities& writable);
  void hide(const CapabilityHeader& capability, std::uint16_t room, const CapabilityPolicy& policy,
            const char* reason);

  std::vector<ConfigPatchRow> rows_;  ///< sorted by offset
  std::vector<ConfigArea> hidden_;
  std::vector<ConfigArea> read_only_;
  std::uint16_t sealed_vpd_ = 0;  ///< its capability; 0: none, or the guest may write it
};

}  // namespace gpuvm
