// SPDX-License-Identifier: Apache-2.0
// FunctionInterrupts: INTx, MSI and MSI-X of one function, of which the hardware has one on at a
// time: INTx while neither of the others is enabled (PCI Express Base 6.0, 6.1.4: a function with
// MSI or MSI-X enabled must not use INTx). MSI-X goes before MSI if a guest enables both.
#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include "devices/passthrough/intx.hpp"
#include "devices/passthrough/msi.hpp"
#include "devices/passthrough/msix.hpp"
#include "vmm/bus/guest_bus.hpp"

namespace gpuvm {

/// Not thread safe: the function's lock protects it.
class FunctionInterrupts : public Inspectable {
 public:
  struct Options {
    PhysicalDevice& device;
    GuestBus bus;
    Gsi intx_pin;
    std::optional<MsiCapability> msi;
    std::optional<MsixLayout> msix;             ///< as the guest sees it
    std::optional<MsixLayout> moved_msix = {};  ///< as the hardware has it, where that differs
  };
  explicit FunctionInterrupts(const Options& options);

  /// Connects what the registers enable (INTx at power-on). Errors: kHost: INTx, the only type that
  /// the function has, cannot be connected, so that no interrupt would ever arrive. Where there is
  /// MSI or MSI-X, that is a warning.
  Status start();
  /// Disconnects everything until the next start(). The registers stay.
  void stop();
  /// Registers as after a reset; to be called between stop() and start().
  void reset_registers();
  /// Command register, Interrupt Disable.
  void set_intx_masked(bool masked);

  /// The dword as the guest sees it; `value` is what it would see without us.
  std::uint32_t config_read(std::uint16_t offset, std::uint32_t value) const;
  /// True if the dword is part of the MSI or MSI-X capability: nothing goes to the hardware then.
  bool config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask);

  /// nullptr when the function has no MSI-X.
  Msix* msix() { return msix_.get(); }
  void inspect(InspectNode& node) const override;

 private:
  enum class Mode { kOff, kIntx, kMsi, kMsix };
  Mode wanted_mode() const;
  static std::string_view mode_name(Mode mode);
  /// Errors: kHost: what they enable cannot be; it stays off until the guest tries again.
  Status follow_registers();
  /// The same, with a line in the log.
  void follow_registers_and_tell();
  void disable_current();
  Status enable(Mode mode);

  PhysicalDevice& device_;
  IntxLine intx_;
  std::unique_ptr<Msi> msi_;
  std::unique_ptr<Msix> msix_;
  bool started_ = false;
  Mode mode_ = Mode::kOff;
  log::RateLimit limit_;
};

}  // namespace gpuvm
