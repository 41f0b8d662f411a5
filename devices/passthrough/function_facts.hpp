// SPDX-License-Identifier: Apache-2.0
// FunctionFacts: what a physical function is, taken once from an image of its configuration space
// (PCI Express Base 6.0, 7.5 and 7.7) and from what the host tells beside it. There are two
// sources: the opened function, and the host's sysfs before anybody opened it
// (vmm/machine/devices/sysfs_facts.hpp); a start and its preview so decide by the same facts.
// Missing: resizable BARs; capabilities are found in the image by capability_chain.hpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "devices/passthrough/msix_relocation.hpp"
#include "devices/pci/msix_capability.hpp"
#include "devices/pci/pcie_link.hpp"
#include "devices/physical/physical_device.hpp"
#include "firmware/rom/rom_fit.hpp"

namespace gpuvm {

/// What a source tells beside the configuration space.
struct FunctionOffers {
  std::array<RegionInfo, 6> regions = {};  ///< of the BARs
  /// In place of what the registers say; for sources that tell it themselves.
  std::optional<BarDescriptions> bars = {};
  std::uint64_t rom_size = 0;  ///< bytes; 0: no ROM BAR
  /// Vectors that the host can deliver; 0: none.
  std::uint32_t intx_vectors = 0;
  std::uint32_t msi_vectors = 0;
  std::uint32_t msix_vectors = 0;
  bool has_function_reset = false;
  std::uint32_t atomic_completers = 0;  ///< as PhysicalDevice's; sysfs does not tell
  /// False: BARs or capabilities are not shown, as sysfs keeps them from users that are not root.
  bool is_complete = true;
};

/// The MSI capability (7.7.1), as far as the host can deliver it.
struct AnnouncedMsi {
  std::uint16_t offset = 0;
  std::uint16_t control = 0;  ///< Message Control
  std::uint32_t vectors = 0;  ///< of the host, at least 1
};

/// Values are the device's and hostile: every one is checked where it is used as an index or size.
struct FunctionFacts {
  std::vector<std::byte> config;  ///< the image: 4096 or 256 bytes, or fewer
  RomIds ids;                     ///< vendor and device
  std::uint32_t class_code = 0;   ///< 24 bits: base class, sub-class, interface
  unsigned interrupt_pin = 0;     ///< 0 to 3: INTA# to INTD#; 0 also for a function without one
  PcieLink link = {};             ///< as trained; the slowest where the function does not say
  /// The most that the function's end is capable of, no less than `link`.
  PcieLink link_capability = {};
  std::uint8_t max_payload_code = 0;  ///< Device Control, as the host has set it
  BarDescriptions bars = {};
  FunctionOffers offers;
  std::optional<AnnouncedMsi> msi = {};
  std::optional<MsixLayout> msix = {};  ///< that the host can deliver, in the device's memory

  static FunctionFacts parse(std::vector<std::byte> config, FunctionOffers offers);
  /// Of an opened function; writes nothing. Errors: kHost (it does not answer), kConfig (a bridge).
  static Result<FunctionFacts> read(PhysicalDevice& device);
  /// Of a virtual function, whose registers show none.
  void take_link(const CardLink& card);
};

/// What the hardware's dword at 0x10 + 4 * number says, for a region of this size; nothing for no
/// BAR.
std::optional<BarDescription> describe_bar(std::uint32_t hardware, std::uint64_t region_size);

}  // namespace gpuvm
