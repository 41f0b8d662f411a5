// SPDX-License-Identifier: Apache-2.0
// Platform: the machine's legacy devices at their ports: serial port, clock, ACPI fixed hardware,
// reset port, POST code, and the ports by which a guest tells of its end.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "devices/platform/acpi_battery.hpp"
#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/debug_ports.hpp"
#include "devices/platform/exit_port.hpp"
#include "devices/platform/generation_id.hpp"
#include "devices/platform/panic_port.hpp"
#include "devices/platform/reset_port.hpp"
#include "devices/platform/rtc_cmos.hpp"
#include "devices/platform/serial_port.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class Platform : public Inspectable {
 public:
  struct Options {
    MachineRequests requests;
    ConsoleSink& sink;
    InterruptPins& pins;
    const GuestMemory& memory;
    /// SLP_TYP of soft off: a firmware may insist on one.
    std::uint8_t s5_type = kS5SleepType;
    bool battery = false;
    bool exit_port = false;
    bool panic_port = false;
    bool generation_id = false;
    /// As RtcCmos::Options has it. Empty: the clock raises no interrupts.
    std::function<void(std::optional<std::chrono::nanoseconds>)> arm_clock = {};
  };
  /// Puts the devices on the buses, which must outlive this. The reset port is not: PCI's
  /// configuration ports lead to it.
  static Result<std::unique_ptr<Platform>> create(const Options& options, PortBus& ports,
                                                  MmioBus& mmio);

  SerialPort& serial() { return serial_; }
  RtcCmos& clock() { return clock_; }
  AcpiPm& power() { return power_; }
  ResetPort& reset_port() { return reset_port_; }
  /// The guest, if it has a generation id, reads another one and is told so. Errors: kHost.
  Status renew_generation_id();
  /// In the order in which they appear in the DSDT.
  std::vector<const AcpiSource*> acpi_sources() const;

  /// All devices to power-on state. vCPUs are stopped.
  void reset();
  void inspect(InspectNode& node) const override;

 private:
  explicit Platform(const Options& options);

  SerialPort serial_;
  RtcCmos clock_;
  AcpiPm power_;
  ResetPort reset_port_;
  PostCodePort post_code_;
  std::optional<AcpiBattery> battery_;
  std::optional<ExitPort> exit_port_;
  std::optional<PanicPort> panic_port_;
  std::optional<GenerationId> generation_id_;
};

}  // namespace gpuvm
