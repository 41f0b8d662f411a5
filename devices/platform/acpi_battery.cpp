// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/acpi_battery.hpp"

namespace gpuvm {
namespace {

// 6.3.7: present, enabled, shown, functioning; bit 4 of a battery: it is in its bay (10.2.1).
constexpr std::uint64_t kDevicePresent = 0x0f;
constexpr std::uint64_t kBatteryPresent = 0x1f;

// An ordinary notebook's: mWh and mV.
constexpr std::uint64_t kUnitMilliwatt = 0;
constexpr std::uint64_t kCapacity = 50000;
constexpr std::uint64_t kVoltage = 11400;
constexpr std::uint64_t kRechargeable = 1;

/// _BIF, 10.2.2.1: the battery as it was made.
aml::Term information() {
  return aml::package({aml::integer(kUnitMilliwatt), aml::integer(kCapacity),
                       aml::integer(kCapacity), aml::integer(kRechargeable), aml::integer(kVoltage),
                       aml::integer(kCapacity / 10),   // a warning below this
                       aml::integer(kCapacity / 25),   // low
                       aml::integer(kCapacity / 100),  // granularity between low and warning
                       aml::integer(kCapacity / 100),  // and between warning and full
                       aml::string("gpuvm"), aml::string("1"), aml::string("LION"),
                       aml::string("gpuvm")});
}

/// _BST, 10.2.2.11: neither charged nor discharged, no current, full.
aml::Term status() {
  return aml::package(
      {aml::integer(0), aml::integer(0), aml::integer(kCapacity), aml::integer(kVoltage)});
}

aml::Term value_method(std::string_view name, const aml::Term& value) {
  return aml::method(name, 0, {aml::return_(value)});
}

}  // namespace

aml::Terms AcpiBattery::acpi() const {
  // _PCL, 10.3.2: all devices below \_SB get their power from it.
  const aml::Term consumers = aml::package({aml::path("\\_SB")});
  return {aml::device("BAT0", {aml::name("_HID", aml::eisa_id("PNP0C0A")),
                               aml::name("_UID", aml::integer(1)),
                               value_method("_STA", aml::integer(kBatteryPresent)),
                               value_method("_BIF", information()), value_method("_BST", status()),
                               aml::name("_PCL", consumers)}),
          aml::device("ADP0", {aml::name("_HID", aml::string("ACPI0003")),
                               aml::name("_UID", aml::integer(0)),
                               value_method("_STA", aml::integer(kDevicePresent)),
                               value_method("_PSR", aml::integer(1)),  // on line
                               aml::name("_PCL", consumers)})};
}

}  // namespace gpuvm
