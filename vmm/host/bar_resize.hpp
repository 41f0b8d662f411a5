// SPDX-License-Identifier: Apache-2.0
// The sizes of BARs, as a function's Resizable BAR capability has them (PCI Express Base 6.0,
// 7.8.6), changed by the kernel: resourceN_resize (Linux, Documentation/ABI/testing/sysfs-bus-pci;
// drivers/pci/pci-sysfs.c). The kernel demands that the function has no driver and no virtual
// functions, switches its memory decode off meanwhile, and moves the windows of the bridges above.
// Missing: the BARs of virtual functions, whose sizes the physical function has (VF Resizable BAR,
// 7.8.7).
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

class HostPciDevice;

constexpr std::size_t kFunctionBars = 6;
/// Bytes of each BAR; 0: nothing is said of it.
using BarSizes = std::array<std::uint64_t, kFunctionBars>;

/// What a user wants of one BAR of a function.
struct BarSizeChoice {
  /// 0 to 5. Nothing: of those that can be resized the one that can become largest, which is where
  /// GPUs have their memory.
  std::optional<std::uint8_t> bar = {};
  std::uint64_t size = 0;  ///< bytes, a power of two from 1 MiB on; 0: the largest there is
  bool operator==(const BarSizeChoice&) const = default;
};

struct BarResize {
  std::uint8_t bar = 0;    ///< 0 to 5
  std::uint64_t from = 0;  ///< bytes, now
  std::uint64_t to = 0;    ///< bytes; may be the same
  /// "BAR 1: 256 MiB -> 16 GiB", or "BAR 1: 16 GiB already".
  std::string to_string() const;
};

/// "256 MiB", "16 GiB".
std::string bar_size_text(std::uint64_t bytes);

/// What the choice means for the function; changes nothing. Errors: kConfig: no such function, a
/// BAR that cannot be resized, a size that it cannot have, with those that it can.
Result<BarResize> plan_bar_resize(const HostSystem& host, const Bdf& bdf,
                                  const BarSizeChoice& choice);

/// What is to be done so that BARs have the sizes in `wanted`; nothing for those that have them.
/// Errors: kHost where sysfs does not tell the sizes now.
Result<std::vector<BarResize>> steps_to_bar_sizes(const HostSystem& host, const Bdf& bdf,
                                                  const BarSizes& wanted);

/// The sizes now of those BARs that can be resized. Errors: kHost where sysfs does not tell them.
Result<BarSizes> resizable_bar_sizes(const HostSystem& host, const HostPciDevice& device);

/// Does a step. The function must have no driver. Errors: kHost naming the cause, the bridge where
/// there is no room behind it, and the cure; the kernel then leaves the BAR as it was.
Status resize_bar(const HostSystem& host, const Bdf& bdf, const BarResize& step);

}  // namespace gpuvm
