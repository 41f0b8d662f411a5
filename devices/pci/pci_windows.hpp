// SPDX-License-Identifier: Apache-2.0
// Placing of BARs and bridge windows, as firmware would do it, so that a guest booted without
// firmware finds working addresses and one with firmware may keep them (PCI Express Base 6.0,
// 7.5.1.3.6 to 7.5.1.3.10 for the windows).
//
// 64-bit prefetchable BARs go to the 64-bit aperture. Everything else that is memory goes to the
// 32-bit one: a root port has one non-prefetchable window, which is 32 bits wide, and its
// prefetchable window is used above 4 GiB. Inside a port BARs lie largest first, so natural
// alignment leaves no gaps.
// Missing: slack inside a port's windows; the slack is in the apertures (memory64_wanted()).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "devices/pci/bar_set.hpp"
#include "devices/pci/root_port.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// A BAR that needs an address.
struct BarRequest {
  std::string function = {};  ///< for messages, for instance "0000:01:00.0"
  unsigned bar = 0;           ///< 0 to 5 or BarSet::kRom
  BarDescription description = {};
};

/// The BARs of all functions behind one root port, or of functions on bus 0.
struct PortRequest {
  std::string name;    ///< for messages
  bool bridge = true;  ///< false: on bus 0, no windows
  std::vector<BarRequest> bars = {};
};

/// What the machine's memory map leaves for PCI.
struct PciApertures {
  std::optional<GuestRange> memory32 = {};  ///< below 4 GiB
  std::optional<GuestRange> memory64 = {};
  std::optional<PortRange> io = {};
};

struct PortPlacement {
  std::vector<std::uint64_t> addresses;  ///< of PortRequest::bars, in their order
  /// The windows that a bridge needs; none for functions on bus 0.
  std::optional<PortRange> io;
  std::optional<GuestRange> memory;
  std::optional<GuestRange> prefetchable;
};

/// All requests of a function's BarSet, appended to `bars`.
void append_requests(const BarSet& set, const std::string& function, std::vector<BarRequest>& bars);

/// Bytes of 64-bit aperture that the machine should offer: twice what the BARs take with their
/// alignment, so that a guest can move any of them without first moving the others, provided that
/// the aperture starts at a multiple of the largest BAR. 0: none.
std::uint64_t memory64_wanted(std::span<const PortRequest> ports);

/// Addresses for all, but for I/O BARs behind bridges: those of a port without room have address 0,
/// which is none, and no window, as firmware does it. Errors: kConfig naming the port and the BAR
/// that does not fit and what to change. Same input, same output: a guest sees the same addresses
/// at each start.
Result<std::vector<PortPlacement>> place_bars(const PciApertures& apertures,
                                              std::span<const PortRequest> ports);

}  // namespace gpuvm
