// SPDX-License-Identifier: Apache-2.0
// SerialPort: a 16550A at its ports, with its interrupt pin, its ACPI device and the host side of
// its line. The registers are in uart16550.hpp.
//
// Exits: one for each byte that the guest transmits (the data sheet leaves no other way), one for
// each byte it reads plus the status reads of its driver. Input that waits is served by one
// interrupt.
#pragma once

#include <cstdint>
#include <functional>

#include "devices/platform/console_sink.hpp"
#include "devices/platform/uart16550.hpp"
#include "firmware/acpi/acpi_source.hpp"
#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

/// COM1 of a PC. The ports are registered on the port bus with kPortCount ports from kCom1Base.
inline constexpr IoPort kCom1Base{0x3f8};
inline constexpr Gsi kCom1Gsi{4};

class SerialPort : public IoHandler, public AcpiSource, public Resettable, public Inspectable {
 public:
  static constexpr std::uint64_t kPortCount = uart::kRegisterCount;

  /// Both must outlive this.
  SerialPort(ConsoleSink& sink, InterruptPins& pins) : sink_(sink), pins_(pins) {}

  /// Called, without a lock and from a vCPU thread or reset()'s, when receive() had refused bytes
  /// and there is room again. Set before vCPUs run.
  void set_input_ready(std::function<void()> input_ready) { input_ready_ = std::move(input_ready); }

  /// Bytes typed on the host; returns how many were taken. Any thread.
  std::size_t receive(std::span<const std::byte> bytes);

  std::string_view name() const override { return "COM1"; }
  /// Byte accesses only; wider ones get kInvalidSize.
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;

  aml::Terms acpi() const override;
  /// Survives: the host side of the line (sink, callback) and the counters.
  void reset() override;
  void inspect(InspectNode& node) const override;

 private:
  /// Counters are not seen by the guest.
  struct Counters {
    std::uint64_t transmitted = 0;
    std::uint64_t received = 0;
    std::uint64_t interrupts = 0;
  };

  void update_interrupt() GPUVM_REQUIRES(mutex_);
  bool take_input_ready() GPUVM_REQUIRES(mutex_);

  ConsoleSink& sink_;
  InterruptPins& pins_;
  std::function<void()> input_ready_;  ///< unchanged once vCPUs run
  mutable Mutex mutex_;                ///< also keeps output and pin changes in order
  Uart16550 uart_ GPUVM_GUARDED_BY(mutex_);
  bool line_ GPUVM_GUARDED_BY(mutex_) = false;           ///< as the pin was last driven
  bool input_refused_ GPUVM_GUARDED_BY(mutex_) = false;  ///< the host waits for input_ready_
  Counters counters_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
