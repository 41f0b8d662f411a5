// SPDX-License-Identifier: Apache-2.0
// HostFunction: a function that the configuration's [[pci]] entries name, where the guest will find
// it and how it shall look to it. Nothing happens to the host yet.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/passthrough/function_view.hpp"
#include "devices/physical/reset/reset_plan.hpp"
#include "devices/physical/scrub/memory_scrub.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/bar_resize.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// One function and where the guest will find it.
struct HostFunction {
  Bdf host;                   ///< meaningless for one of a server
  std::uint8_t port = 0;      ///< root port
  std::uint8_t function = 0;  ///< number behind it
  bool managed = true;        ///< gpuvm binds it
  FunctionResetOptions reset;
  FunctionView view = {};
  std::string socket = {};  ///< of the vfio-user server that has it; empty: the host has it
  /// What a BAR is to become before it is opened; nothing: as the host has it. Of the host's only.
  std::optional<BarSizeChoice> bar_size = {};
  std::string vf_token = {};  ///< as VfioFunction
  /// Of its memory, before the next user gets it; nothing: it is left as the guest leaves it.
  std::optional<ScrubChoice> scrub = {};

  bool is_remote() const { return !socket.empty(); }
  /// As PhysicalDevice::name().
  std::string name() const { return is_remote() ? socket : host.to_string(); }
};
/// Some functions, wherever they are kept.
using FunctionPointers = std::vector<const HostFunction*>;
FunctionPointers pointers_to(const std::vector<HostFunction>& functions);

/// Of those that the host has.
std::vector<Bdf> addresses_of(const FunctionPointers& functions);
/// Of those that servers have.
std::vector<std::string> sockets_of(const FunctionPointers& functions);

/// Which functions an entry of the host's takes, ascending (slot_choice.cpp). Without a list
/// ("all"): those of the slot but virtual ones, or the virtual one alone that the entry names.
/// Errors: kConfig: a function is absent, or "all" would take what the host needs, with the list to
/// write instead.
Result<std::vector<Bdf>> functions_of(const HostSystem& host, const PciConfig& entry);

/// The choice of an entry; nothing where it has none. Errors: kConfig: `function` is the one that
/// it names, and cannot be resized so.
Result<std::optional<BarSizeChoice>> bar_size_of(const HostSystem& host, const PciConfig& entry,
                                                 const Bdf& function);

/// A token is there exactly where the kernel wants one: for a virtual function whose parent is
/// VFIO's, and perhaps for such a parent (Linux, drivers/vfio/pci/vfio_pci_core.c, "VF token").
/// Errors: kConfig with the cure.
Status check_vf_token(const HostSystem& host, const Bdf& function, const std::string& token);

/// The entry of a card of the host that comes later: as one of [[pci]] without keys but scrub.
PciConfig entry_of_card(const Bdf& card, PciScrub scrub);

/// Resolves "all", ports and guest function numbers (port_assignment.hpp). In the
/// order of the entries, but those of servers come last. Reads ROM files. Errors: kConfig (absent
/// device, taken twice or needed by the host, no place behind a port, a ROM file that does not
/// fit); kInternal for an entry with match, whose card is found before (vmm/cards). `host` must
/// outlive what is returned.
Result<std::vector<HostFunction>> resolve_functions(const HostSystem& host,
                                                    const std::vector<PciConfig>& entries);

/// Lanes of its link now, from sysfs; 0: not known.
std::uint8_t link_width_of(const HostSystem& host, const Bdf& bdf);

/// The kernel resets a function when VFIO opens it; on some hardware that must not happen the
/// kernel's way. `chosen`: the reset that the configuration says, which wins over the policy.
/// Errors: kUnsafeDevice with the command that cures it.
Status check_open_is_safe(const HostSystem& host, const Bdf& bdf,
                          std::optional<ResetMethod> chosen = {});

/// What the user should know before such a function is opened: sentences, for instance what the
/// chosen reset overrides, or that the host's console goes. Empty: nothing.
std::vector<std::string> open_advice(const HostSystem& host, const Bdf& bdf,
                                     std::optional<ResetMethod> chosen = {});

}  // namespace gpuvm
