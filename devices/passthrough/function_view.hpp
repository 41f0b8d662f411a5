// SPDX-License-Identifier: Apache-2.0
// FunctionView: how a guest shall see a function, by the user's choice; all else follows from the
// function itself (function_facts.hpp). Handed on as a whole, so that a new choice is a line here
// and one where it is used.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "devices/passthrough/coherent_memory.hpp"
#include "devices/passthrough/config_patch.hpp"
#include "devices/passthrough/msix_relocation.hpp"
#include "devices/passthrough/quirks/quirk_policy.hpp"
#include "devices/passthrough/rom.hpp"
#include "vmm/base/address.hpp"

namespace gpuvm {

/// Whether ACPI hands out the option ROM.
enum class AcpiRomChoice {
  kAuto,  ///< for GPUs without a screen, whose drivers look there
  kOn,
  kOff,
};

struct FunctionView {
  RomSource rom = {};
  AcpiRomChoice acpi_rom = AcpiRomChoice::kAuto;
  IdentityOverrides identity = {};
  std::optional<std::uint8_t> gpudirect_clique = {};
  CoherentMemory::Source coherent = {};          ///< which becomes memory of the guest
  std::optional<GuestAddress> coherent_at = {};  ///< where it must lie in the guest
  std::vector<QuirkKind> quirks = {};
  MsixRelocation msix_relocation = {};
  WritableCapabilities writable = {};
  bool p2p = false;  ///< other functions may reach its BARs by DMA
};

}  // namespace gpuvm
