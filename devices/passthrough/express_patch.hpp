// SPDX-License-Identifier: Apache-2.0
// Rows of a ConfigPatch inside one capability: PCI Express as an endpoint of the guest's link shows
// it, Power Management without wake-ups, Resizable BAR with one size. Pure; PCI Express Base 5.0,
// sections in the code.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pcie_link.hpp"

namespace gpuvm {

struct ConfigPatchRow {
  std::uint16_t offset;  ///< multiple of 4
  std::uint32_t mask;    ///< bits that the guest sees from value
  std::uint32_t value;
  std::string reason;
  const char* source;  ///< of the reason: a specification's section, or ours
};

/// A part of configuration space that the guest may not write, or not even see.
struct ConfigArea {
  std::uint16_t offset;
  std::uint16_t size;
  std::string reason;
  const char* source;
};

struct PatchPart {
  std::vector<ConfigPatchRow> rows;
  std::vector<ConfigArea> read_only;
};

/// `at`, `room`: the PCI Express capability and how many bytes it has. `link`: what the guest's
/// root port is capable of, for functions whose hardware shows no link; nothing: link registers
/// stay the hardware's.
PatchPart express_patch(std::span<const std::byte> config, std::uint16_t at, std::uint16_t room,
                        std::optional<PcieLink> link);

/// `at`, `room`: Advanced Error Reporting: all read-only but the two status registers, whose bits a
/// guest's driver clears by writing ones to them. They go to the device: they say what it saw, so
/// only its own registers can show the next error of the same kind.
PatchPart error_patch(std::uint16_t at, std::uint16_t room);

/// `at`: the Power Management capability, of at least 8 bytes.
PatchPart power_patch(std::uint16_t at);

/// `at`, `room`: Resizable BAR. Nothing where the capability contradicts itself: hide it then.
std::optional<PatchPart> current_size_patch(std::span<const std::byte> config, std::uint16_t at,
                                            std::uint16_t room);

}  // namespace gpuvm
