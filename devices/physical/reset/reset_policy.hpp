// SPDX-License-Identifier: Apache-2.0
// Which reset suits which device: a table of known hardware with a reason and a source per row. No
// single reset is right for all GPUs: on some a function level reset hangs the chip, on others a
// bus reset does. A device that is in no row gets the default: a hot reset if it covers exactly the
// guest's functions, else a function reset.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "devices/physical/physical_device.hpp"

namespace gpuvm {

enum class ResetMethod {
  kHotReset,       ///< secondary bus reset of the whole slot (VFIO_DEVICE_PCI_HOT_RESET)
  kFunctionReset,  ///< FLR or what the host's kernel has in its place (VFIO_DEVICE_RESET)
  kLinkRetrain,    ///< after a hot reset, or with one: the link of the port above trained again
  kSlotPower,      ///< the slot's power off and on; only where no process has the functions open
  kRescan,         ///< out of the kernel and found again, then reset; the same
  kPowerReset,     ///< D3hot to D0; only guests do it
  kNone,           ///< only because the configuration says so: quiesced and checked, not reset
};
std::string_view to_string(ResetMethod method);

/// A 32-bit register that tells after a reset whether the chip is well.
struct RegisterCheck {
  RegionIndex region;
  std::uint32_t offset;
  std::uint32_t mask;   ///< the bits that are compared
  std::uint32_t value;  ///< of those bits
  bool must_equal;      ///< else: must differ
  std::string_view meaning;
  std::string_view source;  ///< who reads it so
  /// Upper 16 bits of what a chip answers where the read itself failed within it, which says
  /// nothing of the register; 0: nothing is known.
  std::uint32_t error_prefix = 0;
};

struct ResetPolicy {
  std::uint16_t vendor;
  std::uint16_t first_device;
  std::uint16_t last_device;
  std::string_view name;
  ResetMethod preferred;
  bool allows_hot_reset;
  bool allows_function_reset;
  std::chrono::milliseconds settle;  ///< rest after the device answers again
  /// A method that must not be in sysfs reset_method when VFIO opens the device (the kernel resets
  /// then, before we can choose); empty: none.
  std::string_view forbidden_kernel_method;
  /// A method that must be the first there; empty: none.
  std::string_view required_kernel_method;
  std::span<const RegisterCheck> checks;
  std::string_view reason;
  std::string_view source;
  /// A function reset may stand in for a hot reset that failed; else only where there is none.
  bool function_reset_suffices = true;
  /// It may not wake from the D3cold into which vfio-pci puts devices that nobody has opened.
  bool sleeps_badly = false;
  /// How long after the rest its registers and capabilities may take to be as they should: its
  /// firmware boots. Only a card that is not well waits for it.
  std::chrono::milliseconds boot_time{1000};

  /// GPU vendors give numbers of one range to GPUs and to the audio and USB functions beside them.
  bool is_for_gpus() const { return vendor == 0x10de || vendor == 0x1002; }
  /// Whether the row is about this device; rows for GPUs are about display controllers and
  /// processing accelerators. `class_code` has 24 bits.
  bool concerns(std::uint16_t of_vendor, std::uint16_t of_device, std::uint32_t class_code) const;
};

/// Every row; the first that concerns a device wins.
std::span<const ResetPolicy> reset_policies();
/// What holds for a device without a row.
const ResetPolicy& default_reset_policy();
/// The row of a device, or the default.
const ResetPolicy& find_reset_policy(std::uint16_t vendor, std::uint16_t device,
                                     std::uint32_t class_code);

/// FLR must not be offered to a guest: a function reset is known to lose the device, or the user
/// forbids every reset. `chosen`: by the user, who may also insist on it, but on nothing else by a
/// choice of the hot reset.
bool hides_function_reset(const ResetPolicy& policy, std::optional<ResetMethod> chosen);

/// Before VFIO opens the function: may the kernel reset it with its own methods (sysfs
/// reset_method, in order)? `shares_slot`: it has neighbours in its slot, or that is not known: the
/// kernel then refuses `bus`, though it may have listed it. `chosen`: by the user, who owns the
/// card and wins over the policy; but only who insists on the function reset insists on a method of
/// the kernel that is known to hang the card. Errors: kUnsafeDevice with the command that cures it.
Status check_kernel_reset_methods(const std::string& name, const ResetPolicy& policy,
                                  std::span<const std::string> methods, bool shares_slot = true,
                                  std::optional<ResetMethod> chosen = {});
/// What check_kernel_reset_methods() would have refused but for the user's choice; empty: nothing.
std::string overridden_refusal(const std::string& name, const ResetPolicy& policy,
                               std::span<const std::string> methods, bool shares_slot,
                               std::optional<ResetMethod> chosen);

}  // namespace gpuvm
