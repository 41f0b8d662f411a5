// SPDX-License-Identifier: Apache-2.0
// HostBridge: function 00:00.0, class 0600, with the ids of Intel's Q35 memory controller hub,
// since OVMF recognises the platform by them. Register: PCIEXBAR at 0x60 (Intel 3 Series Chipset
// datasheet, 316966, 5.1.15), which says where the ECAM is.
// PCIEXBAR is writable where the machine follows it (set_ecam_listener): firmware such as OVMF puts
// the ECAM where it was built for (0xb0000000 until edk2-stable202302, 0xe0000000 since). Otherwise
// it is read-only, and the ECAM stays where the machine put it.
// Missing: every other register of the Q35 MCH (PAM, SMRAM, TOLUD).
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "devices/pci/config_space.hpp"
#include "devices/pci/pci_function.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

class HostBridge : public PciFunction, public Resettable, public Inspectable {
 public:
  static constexpr std::uint16_t kVendor = 0x8086;
  static constexpr std::uint16_t kDevice = 0x29c0;
  static constexpr std::uint16_t kEcamBaseRegister = 0x60;

  /// ecam: 64, 128 or 256 MiB aligned to its size, the lengths that PCIEXBAR can state; another
  /// length leaves the register disabled (0), and the guest finds the ECAM in the MCFG table only.
  static std::unique_ptr<HostBridge> create(GuestRange ecam);

  /// Makes PCIEXBAR writable. The listener is called after each write and reset() that moved the
  /// ECAM, on the same thread and without a lock held. It asks ecam(): two vCPUs may write at once,
  /// and the newest place is then what both find. Call before vCPUs run.
  void set_ecam_listener(std::function<void()> listener);
  /// Where PCIEXBAR puts the ECAM; nothing: disabled. Any thread.
  std::optional<GuestRange> ecam() const;

  std::string_view name() const override { return "host-bridge"; }
  std::uint32_t config_read(std::uint16_t offset) override;
  void config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) override;
  /// Nothing survives but the ECAM's place.
  void reset() override;
  void inspect(InspectNode& node) const override;

 private:
  explicit HostBridge(GuestRange ecam);
  std::optional<GuestRange> ecam_place() const GPUVM_REQUIRES(mutex_);
  void tell_if_moved(std::optional<GuestRange> before);

  std::function<void()> listener_;  ///< unchanged while vCPUs run
  mutable Mutex mutex_;
  ConfigSpace space_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
