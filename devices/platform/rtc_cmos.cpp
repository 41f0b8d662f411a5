// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/rtc_cmos.hpp"

#include <algorithm>
#include <utility>

#include "firmware/acpi/aml_resource.hpp"

namespace gpuvm {

namespace {

std::chrono::nanoseconds host_time() {
  return std::chrono::system_clock::now().time_since_epoch();
}

RtcCmos::Options with_clock(RtcCmos::Options options) {
  if (!options.now) {
    options.now = host_time;
  }
  return options;
}

}  // namespace

RtcCmos::RtcCmos(Options options, InterruptPins& pins)
    : options_(with_clock(std::move(options))),
      pins_(pins),
      clock_(options_.memory, options_.now()) {}

void RtcCmos::timer_expired() {
  const MutexLock lock(mutex_);
  armed_.reset();
  update_interrupt(options_.now());
}

IoStatus RtcCmos::read(std::uint64_t offset, std::span<std::byte> out) {
  if (out.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  if (offset != 1) {
    return IoStatus::kInvalidRegister;  // the index is write-only on a PC
  }
  const MutexLock lock(mutex_);
  const auto now = options_.now();
  out[0] = std::byte{clock_.read(index_, now)};
  if (index_ == Mc146818::kRegisterC) {
    update_interrupt(now);
  }
  return IoStatus::kOk;
}

IoStatus RtcCmos::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (in.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  if (offset >= kPortCount) {
    return IoStatus::kInvalidRegister;
  }
  const auto value = std::to_integer<std::uint8_t>(in[0]);
  const MutexLock lock(mutex_);
  if (offset == 0) {
    index_ = value & 0x7f;  // bit 7 masks the NMI, which nothing here raises
    return IoStatus::kOk;
  }
  const auto now = options_.now();
  clock_.write(index_, value, now);
  update_interrupt(now);
  return IoStatus::kOk;
}

aml::Terms RtcCmos::acpi() const {
  const aml::PortDescriptor ports{.base = static_cast<std::uint16_t>(kRtcBase.value()),
                                  .length = static_cast<std::uint8_t>(kPortCount)};
  aml::Terms resources{aml::io_range(ports)};
  if (options_.arm_timer) {
    resources.push_back(aml::irq(kRtcGsi.value(), aml::kIsaInterrupt));
  }
  return {aml::device(
      "RTC0", {aml::name("_HID", aml::eisa_id("PNP0B00")), aml::name("_STA", aml::integer(0xf)),
               aml::name("_CRS", aml::resource_template(resources))})};
}

void RtcCmos::reset() {
  const MutexLock lock(mutex_);
  const auto now = options_.now();
  clock_.reset(now);
  index_ = 0;
  update_interrupt(now);
}

void RtcCmos::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  const auto offset = std::chrono::duration_cast<std::chrono::seconds>(clock_.offset()).count();
  node.field("guest_minus_host_seconds", fmt::format("{}", offset));
  node.field("interrupts_delivered", static_cast<bool>(options_.arm_timer));
  node.field("interrupt", line_);
}

void RtcCmos::update_interrupt(std::chrono::nanoseconds now) {
  if (!options_.arm_timer) {
    return;
  }
  const bool level = clock_.interrupt(now);
  if (level != line_) {
    line_ = level;
    pins_.set_level(kRtcGsi, level);
  }
  const auto next = clock_.next_interrupt(now);
  if (next != armed_) {
    armed_ = next;
    options_.arm_timer(next.has_value() ? std::optional(std::max(*next - now, 0 * now))
                                        : std::nullopt);
  }
}

}  // namespace gpuvm
