// SPDX-License-Identifier: Apache-2.0
// FADT and FACS (ACPI 6.5, 5.2.9 and 5.2.10).
#include "firmware/acpi/table_writers.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::acpi {
namespace {

// 5.2.9, table 5.9
constexpr std::uint8_t kProfileDesktop = 1;
constexpr std::uint8_t kProfileMobile = 2;
// Above 100 and 1000 microseconds: no C2, no C3 (5.2.9, P_LVL2_LAT, P_LVL3_LAT).
constexpr std::uint16_t kNoC2 = 101;
constexpr std::uint16_t kNoC3 = 1001;
constexpr std::uint8_t kEventLength = 4;
constexpr std::uint8_t kControlLength = 2;
constexpr std::uint8_t kTimerLength = 4;

GenericAddress io_register(IoPort port, std::uint8_t length, AccessSize access) {
  return {kSpaceSystemIo, static_cast<std::uint8_t>(length * 8), 0,
          static_cast<std::uint8_t>(access), port.value()};
}

/// The 32-bit and the 64-bit form name the same port and length, else guests complain of a
/// mismatch.
void set_power_registers(Fadt& fadt, const AcpiPowerPorts& power) {
  fadt.pm1a_event_block = static_cast<std::uint32_t>(power.pm1_event.value());
  fadt.pm1a_control_block = static_cast<std::uint32_t>(power.pm1_control.value());
  fadt.pm_timer_block = static_cast<std::uint32_t>(power.pm_timer.value());
  fadt.pm1_event_length = kEventLength;
  fadt.pm1_control_length = kControlLength;
  fadt.pm_timer_length = kTimerLength;
  fadt.x_pm1a_event_block = io_register(power.pm1_event, kEventLength, AccessSize::kWord);
  fadt.x_pm1a_control_block = io_register(power.pm1_control, kControlLength, AccessSize::kWord);
  fadt.x_pm_timer_block = io_register(power.pm_timer, kTimerLength, AccessSize::kDword);
  fadt.reset_register = io_register(power.reset, 1, AccessSize::kByte);
  fadt.reset_value = power.reset_value;
}

std::uint16_t boot_flags(const AcpiInput& input) {
  const unsigned flags = (input.has_legacy_uart ? kBootLegacyDevices : 0U) |
                         (input.has_vga ? 0U : kBootNoVga) |
                         (input.has_cmos_rtc ? 0U : kBootNoCmosRtc);
  return static_cast<std::uint16_t>(flags);  // 8042 stays clear: there is none
}

}  // namespace

aml::Bytes fadt_table(const AcpiInput& input) {
  Fadt fadt{};
  fadt.header = table_header("FACP", 6, sizeof fadt);
  fadt.minor_version = 5;
  fadt.preferred_pm_profile = input.is_portable ? kProfileMobile : kProfileDesktop;
  fadt.sci_interrupt = static_cast<std::uint16_t>(input.sci.value());
  fadt.c2_latency = kNoC2;
  fadt.c3_latency = kNoC3;
  fadt.century = input.has_cmos_rtc ? input.rtc_century : std::uint8_t{0};
  fadt.boot_architecture = boot_flags(input);
  // PWR_BUTTON clear: the power button is a fixed feature.
  fadt.flags = kFadtWbinvd | kFadtProcC1 | kFadtNoFixedSleepButton | kFadtNoFixedRtcWake |
               kFadtResetRegister | (input.power.timer_has_32_bits ? kFadtTimerIs32Bit : 0U);
  fadt.hypervisor_vendor = {'G', 'P', 'U', 'V', 'M'};
  set_power_registers(fadt, input.power);
  aml::Bytes out;
  append_bytes(out, fadt);
  return out;
}

aml::Bytes facs_table() {
  Facs facs{};
  facs.signature = {'F', 'A', 'C', 'S'};
  facs.length = sizeof facs;
  facs.version = 2;
  aml::Bytes out;
  append_bytes(out, facs);
  return out;
}

}  // namespace gpuvm::acpi
