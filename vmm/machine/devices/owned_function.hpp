// SPDX-License-Identifier: Apache-2.0
// OwnedFunction: one function that a guest owns, from the claim to its return. Its steps, each by
// who can do it: claimed (DeviceClaims), bound and opened (HostDevices), reset and verified
// (MachineReset), planned, placed and announced to the guest (PciComplex); and back in the reverse
// order. A start takes all functions through each step, a card that comes or goes while the guest
// runs is taken through them alone (vmm/machine/hot_plug). Defined in host_devices.cpp, which alone
// changes it.
#pragma once

#include <memory>
#include <string>

#include "devices/physical/physical_device.hpp"
#include "vmm/machine/devices/host_function.hpp"

namespace gpuvm {

class GuestFunctionReset;
class PassthroughFunction;

/// Stays where it is in memory while the guest owns the function. Control thread only, but for what
/// device() and guest() themselves allow.
class OwnedFunction {
 public:
  explicit OwnedFunction(HostFunction host);
  ~OwnedFunction();
  OwnedFunction(const OwnedFunction&) = delete;
  OwnedFunction& operator=(const OwnedFunction&) = delete;

  /// What the configuration says of it.
  const HostFunction& host() const { return host_; }
  /// As PhysicalDevice::name().
  std::string name() const { return host_.name(); }

  bool is_open() const { return device_ != nullptr; }
  /// Of an open function; until it is closed. Ask for it anew rather than keep it: HostDevices
  /// alone opens and closes, and does neither while the function is shown.
  PhysicalDevice& device() const { return *device_; }

  /// The guest's side of it exists.
  bool is_shown() const { return guest_ != nullptr; }
  /// Of a shown function.
  PassthroughFunction& guest() const { return *guest_; }
  /// What follows when the guest resets it; of a shown function.
  GuestFunctionReset& reset() const { return *reset_; }
  /// `guest` may refer to `reset` and to device(), which must be open.
  void show(std::unique_ptr<GuestFunctionReset> reset, std::unique_ptr<PassthroughFunction> guest);
  /// Takes the function out of the guest; does nothing to one that is not shown. vCPUs are stopped,
  /// or no access reaches it any more and none is in flight.
  void hide();

 private:
  friend class HostDevices;

  HostFunction host_;
  PhysicalDevice* device_ = nullptr;  ///< set by HostDevices::open() and close() alone
  std::unique_ptr<GuestFunctionReset> reset_;
  std::unique_ptr<PassthroughFunction> guest_;  ///< first to go: refers to reset_ and device_
};

}  // namespace gpuvm
