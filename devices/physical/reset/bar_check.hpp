// SPDX-License-Identifier: Apache-2.0
// Do a function's BARs lead to it? A card that was without power, or was reset where the host's
// kernel did not see it, has lost its BAR registers, while the kernel, and so VFIO, goes on with
// the addresses that it knows: configuration space as VFIO shows it looks as ever, each reset saves
// the zeros and puts them back, and what a guest writes goes nowhere (Linux, drivers/vfio/pci/
// vfio_pci_config.c, vfio_bar_fixup; drivers/pci/pci.c, pci_dev_save_and_disable).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "devices/physical/reset/function_state.hpp"
#include "devices/physical/reset/reset_policy.hpp"

namespace gpuvm {

/// What was looked at, for certificates; of one function or of several.
struct BarLook {
  unsigned compared = 0;   ///< BARs whose hardware register is where the host believes it
  unsigned answering = 0;  ///< memory BARs that answered a read
  unsigned memory = 0;     ///< memory BARs that were read

  void add(const BarLook& other);
  /// "3 BAR registers as the host has them, 2 of 2 memory BARs answer"
  std::string to_text() const;
};

struct BarFindings {
  std::vector<std::string> faults;
  std::vector<std::string> oddities;
  bool has_lost_registers = false;  ///< among the faults: nothing but a rescan mends them
  BarLook look;
};

/// Which memory BARs answer now: bit n for BAR n, for FunctionState::answering_bars. None where the
/// function cannot be read. Memory decode is on meanwhile only.
std::uint8_t find_answering_bars(PhysicalDevice& device);

/// Compares the hardware's BAR registers with the host's addresses. With `may_read`, memory decode
/// is switched on for that and put back, and memory BARs are read: it is a fault where none answers
/// any more that did, or, of a GPU that is no virtual function, where none answers at all; that is
/// waited for, up to the policy's boot_time.
BarFindings check_bars(PhysicalDevice& device, const FunctionState& known,
                       const ResetPolicy& policy, const ResetClock& clock, bool may_read);

}  // namespace gpuvm
