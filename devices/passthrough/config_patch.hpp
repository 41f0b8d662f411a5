// SPDX-License-Identifier: Apache-2.0
// ConfigPatch: how the guest's view of a physical function's configuration space differs from the
// hardware, as a table: each row lays value over the hardware's dword under mask, and says why.
// Built once from the real configuration space; capability chains are re-linked around what is
// hidden. Chains come from a device and are hostile: every walk is bounded.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/inspect.hpp"

namespace gpuvm {

struct ConfigPatchRow {
  std::uint16_t offset;  ///< multiple of 4
  std::uint32_t mask;    ///< bits that the guest sees from value
  std::uint32_t value;
  std::string reason;
};

/// Ids that the guest sees in place of the hardware's.
struct IdentityOverrides {
  std::optional<std::uint16_t> vendor = {};
  std::optional<std::uint16_t> device = {};
  std::optional<std::uint16_t> subsystem_vendor = {};
  std::optional<std::uint16_t> subsystem_device = {};
  std::optional<std::uint32_t> class_code = {};  ///< 24 bits: base class, sub-class, interface
  bool operator==(const IdentityOverrides&) const = default;
};

/// One capability as found in the hardware.
struct CapabilityHeader {
  std::uint16_t id;
  std::uint16_t offset;
};

/// PCI Local Bus 3.0, 6.7: the standard capabilities in chain order. Stops at a loop or a bad
/// pointer.
std::vector<CapabilityHeader> standard_capabilities(std::span<const std::byte> config);
/// PCI Express Base 6.0, 7.6.3: the extended ones; empty when config has no more than 256 bytes.
std::vector<CapabilityHeader> extended_capabilities(std::span<const std::byte> config);
/// Offset of the first standard capability with this id, or 0.
std::uint16_t find_capability(std::span<const std::byte> config, std::uint8_t id);

/// A standard capability that the hardware does not have, read-only, of two dwords; the link in the
/// first is filled in.
struct ExtraCapability {
  std::uint16_t offset = 0;  ///< a free place, multiple of 4
  std::uint32_t first = 0;
  std::uint32_t second = 0;
  const char* reason = "";
};

class ConfigPatch : public Inspectable {
 public:
  struct Options {
    bool multi_function = false;       ///< function 0 of several that the guest sees
    bool hide_msi = false;             ///< the host cannot deliver it
    bool hide_msix = false;            ///< likewise, or the capability makes no sense
    bool hide_intx = false;            ///< likewise
    bool hide_function_reset = false;  ///< FLR is known to kill this device
    IdentityOverrides identity = {};
    std::optional<ExtraCapability> extra = {};  ///< linked behind the last capability
  };

  /// `config`: the hardware's configuration space, 256 or 4096 bytes (fewer reads as absent).
  static ConfigPatch create(std::span<const std::byte> config, const Options& options);

  /// What the guest sees at `offset` (a multiple of 4) where the hardware has `hardware`.
  std::uint32_t apply(std::uint16_t offset, std::uint32_t hardware) const;
  /// True if the dword belongs to a hidden capability: writes must not reach the hardware.
  bool hidden(std::uint16_t offset) const;

  const std::vector<ConfigPatchRow>& rows() const { return rows_; }
  void inspect(InspectNode& node) const override;

 private:
  struct Hidden {
    std::uint16_t offset;
    std::uint16_t size;
    std::string reason;
  };
  using Config = std::span<const std::byte>;

  void add(std::uint16_t offset, std::uint32_t mask, std::uint32_t value, std::string reason);
  void add_header_rows(const Options& options);
  void add_identity_rows(const IdentityOverrides& identity);
  void add_function_reset_rows(Config config, const Options& options);
  void link_standard(Config config, const Options& options);
  void link_extended(Config config);

  std::vector<ConfigPatchRow> rows_;  ///< sorted by offset
  std::vector<Hidden> hidden_;
};

}  // namespace gpuvm
