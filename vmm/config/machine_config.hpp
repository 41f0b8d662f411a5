// SPDX-License-Identifier: Apache-2.0
// [machine]: what the guest has of processors and memory, and what becomes of it at its reboot.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/units.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

enum class RebootAction {
  kReset,  ///< the machine starts again with the same devices
  kExit,   ///< gpuvm ends with exit status 32
};

/// Whether PCI configuration space can also be reached through ports 0xcf8 and 0xcfc.
enum class ConfigPortsMode {
  kAuto,  ///< only where the boot mode needs it: a directly booted Linux knows the ECAM
  kOn,
  kOff,
};

/// When guest memory is pinned for the devices.
enum class PinMemory {
  kAuto,         ///< by its size
  kBeforeStart,  ///< the guest starts when all is
  kBackground,   ///< while it boots; its first bus mastering waits
  kEarly,        ///< as kBeforeStart; for a guest without devices its pages are taken then, so that
                 ///< the first attach only pins them
};

/// What of a card is overwritten before the next user gets it (docs/reset.md).
enum class PciScrub {
  kOff,   ///< nothing
  kVram,  ///< its memory, as far as its BARs show it
};

/// More root ports than this cannot be kept free.
inline constexpr unsigned kMostFreePorts = 8;
/// More cards than this cannot be listed for them.
inline constexpr std::size_t kMostAttachable = 16;

struct MachineConfig {
  unsigned cpus = 1;             ///< 1 to 255
  std::uint64_t memory = 1_GiB;  ///< bytes; 128 MiB to 16 TiB, whole 2 MiB (or huge pages)
  HugePages huge_pages = HugePages::kOff;
  RebootAction on_reboot = RebootAction::kReset;
  ConfigPortsMode config_ports = ConfigPortsMode::kAuto;
  PinMemory pin_memory = PinMemory::kAuto;
  /// The longest wait before a guest that reboots again and again starts; 0: none. At most 15 min.
  std::chrono::seconds reboot_backoff{60};
  bool battery = false;     ///< ACPI shows a battery and an AC adapter
  bool rng = true;          ///< a virtio device for random numbers
  unsigned free_ports = 0;  ///< hot-plug slots for cards that come later; at most kMostFreePorts
  /// The cards that may come, a function of each, each slot once; empty: any, where this process
  /// takes them itself. At most kMostAttachable.
  std::vector<Bdf> attachable;
  PciScrub scrub = PciScrub::kOff;  ///< of cards that come later, as PciConfig has it
  /// 64-bit address space for the card behind each free port, bytes: a power of two.
  std::uint64_t reserve = 32_GiB;
  std::vector<unsigned> pin;  ///< the host's CPU of each vCPU; empty: wherever the host likes
  bool operator==(const MachineConfig&) const = default;
};

}  // namespace gpuvm
