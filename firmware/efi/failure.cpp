// SPDX-License-Identifier: Apache-2.0
// The firmware's end without a running kernel.
#include "firmware/efi/cpu.hpp"
#include "firmware/efi/firmware.hpp"
#include "firmware/efi/monitor_port.hpp"
#include "firmware/efi/ports.hpp"

namespace gpuvm::efi {

[[noreturn]] void stop_with(const char* reason) {
  auto& state = firmware();
  state.console.print("EFI firmware: stopped: ");
  state.console.print(reason);
  state.console.print("\n");
  const std::uint16_t port = state.machine.monitor_port;
  if (port != 0) {
    const auto command =
        state.kernel_entered ? MonitorCommand::kKernelFailed : MonitorCommand::kFirmwareFailed;
    write_port8(port, static_cast<std::uint8_t>(command));
    for (; *reason != '\0'; ++reason) {
      write_port8(port, static_cast<std::uint8_t>(*reason));
    }
    write_port8(port, 0);
  }
  halt();
}

}  // namespace gpuvm::efi
