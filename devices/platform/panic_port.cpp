// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/panic_port.hpp"

#include "firmware/acpi/aml_resource.hpp"

namespace gpuvm {

IoStatus PanicPort::read(std::uint64_t offset, std::span<std::byte> out) {
  if (offset != 0) {
    return IoStatus::kInvalidRegister;
  }
  if (out.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  out[0] = std::byte{kPanicked | kCrashLoaded};
  return IoStatus::kOk;
}

IoStatus PanicPort::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (offset != 0) {
    return IoStatus::kInvalidRegister;
  }
  if (in.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  const auto written = std::to_integer<std::uint8_t>(in[0]);
  const std::uint8_t event = (written & kPanicked) != 0 ? kPanicked : written & kCrashLoaded;
  if (event == 0) {
    return IoStatus::kOk;
  }
  events_.fetch_add(1, std::memory_order_relaxed);
  if ((told_.fetch_or(event) & event) == 0 && requests_.panic) {
    requests_.panic(event == kPanicked ? GuestPanic::kPanicked : GuestPanic::kCrashKernel);
  }
  return IoStatus::kOk;
}

aml::Terms PanicPort::acpi() const {
  constexpr std::uint64_t kEnabledNotShown = 0x0b;  // 6.3.7: present, enabled, functioning
  return {
      aml::device("PEVT", {aml::name("_HID", aml::string("QEMU0001")),
                           aml::name("_STA", aml::integer(kEnabledNotShown)),
                           aml::name("_CRS", aml::resource_template({aml::io_range(
                                                 {.base = kPanicPort.value(), .length = 1})}))})};
}

void PanicPort::inspect(InspectNode& node) const {
  node.field("events", events_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
