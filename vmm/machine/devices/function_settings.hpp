// SPDX-License-Identifier: Apache-2.0
// What a [[pci]] section says of one function, with the files that it names read and checked: how
// the guest sees it.
#pragma once

#include <cstdint>
#include <optional>

#include "devices/passthrough/coherent_memory.hpp"
#include "devices/passthrough/config_patch.hpp"
#include "devices/passthrough/msix_relocation.hpp"
#include "devices/passthrough/quirks/quirk_policy.hpp"
#include "devices/passthrough/rom.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

struct FunctionSettings {
  RomSource rom = {};
  PciAcpiRomMode acpi_rom = PciAcpiRomMode::kAuto;
  IdentityOverrides identity = {};
  std::optional<std::uint8_t> gpudirect_clique = {};
  CoherentMemory::Source coherent = {};          ///< which becomes memory of the guest
  std::optional<GuestAddress> coherent_at = {};  ///< where it must lie in the guest
  std::vector<QuirkKind> quirks = {};
  MsixRelocation msix_relocation = {};
  bool p2p = false;  ///< other functions may reach its BARs
};

/// As the section asks for it, also of a function that the host does not have.
MsixRelocation msix_relocation_of(const PciConfig& entry);

/// What the section calls memory of the CPUs, also of a function that the host does not have.
/// Errors: kConfig: no such region.
Result<CoherentMemory::Source> coherent_source_of(const PciConfig& entry);

/// ROM file, ids, clique, quirks and the place of the MSI-X table are for the function that the
/// section names; hidden ROMs, the check and peer-to-peer for all. Changes nothing of the host.
/// Errors: kConfig: no such function, an override of a bridge's ids, a ROM file that cannot be
/// used, no such place. `host` must outlive what is returned.
Result<FunctionSettings> settings_of(const HostSystem& host, const PciConfig& entry,
                                     const Bdf& function);

}  // namespace gpuvm
