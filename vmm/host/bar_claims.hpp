// SPDX-License-Identifier: Apache-2.0
// What of the host has memory inside a function's BARs: a frame buffer that the firmware set up
// (efifb, simpledrm), or anything else. vfio-pci must have a BAR as a whole (Linux,
// kernel/resource.c, __request_region), so that the BAR of such a function cannot be mapped, which
// shows only when the guest starts. /proc/iomem tells before (Documentation/filesystems/proc.rst).
// Missing: I/O BARs and the expansion ROM, which are never mapped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// One line of /proc/iomem.
struct MemoryClaim {
  std::uint64_t first = 0;
  std::uint64_t last = 0;  ///< inclusive
  unsigned depth = 0;      ///< 0: part of no other
  std::string name;
};

/// Lines that make no sense are passed over, and those whose addresses are hidden, as they are
/// without root. At most 65536.
std::vector<MemoryClaim> parse_iomem(std::string_view text);

struct BarClaim {
  std::uint8_t bar = 0;
  std::string name;  ///< "efifb"
  std::uint64_t address = 0;
};

/// Not what goes by itself: buses and the function's own resource around it, VFIO's, and what the
/// host driver has that will be unbound. Frame buffers always count.
std::vector<BarClaim> find_bar_claims(const HostSystem& host, const HostPciDevice& device);

/// Nothing of the host is in the way of VFIO in the function's BARs, or vfio-pci will remove it
/// when it is bound (frame buffers in VGA controllers: Linux 6.0 and later). Errors: kHost naming
/// who has the memory, and the cure.
Status check_bars_free(const HostSystem& host, const Bdf& bdf);

/// What check_bars_free() lets pass because vfio-pci ought to remove it, as a sentence; empty:
/// there is nothing.
std::string frame_buffer_advice(const HostSystem& host, const Bdf& bdf);

/// Consoles of the host on a frame buffer, as commands that take them off, joined by "; "; empty:
/// none.
std::string unbind_consoles(const HostSystem& host);

}  // namespace gpuvm
