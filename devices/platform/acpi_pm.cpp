// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/acpi_pm.hpp"

#include <algorithm>
#include <utility>

#include "vmm/base/bytes.hpp"

namespace gpuvm {

namespace {

// What can be enabled: the rest is reserved or stands for hardware that is absent (4.8.4.1.2).
// RTC_EN keeps its value though RTC_STS never comes: Linux writes it for any clock, whatever the
// FADT's FIX_RTC says, and reports an ACPI error when it does not read back.
constexpr std::uint16_t kEnableMask = kPm1Timer | kPm1Global | kPm1PowerButton | kPm1Rtc;
// Kept control bits: SLP_TYP and BM_RLD (4.8.4.2.1).
constexpr std::uint16_t kControlMask = 7u << kPm1SleepTypeShift | 1u << 1;

std::chrono::nanoseconds steady_time() {
  return std::chrono::steady_clock::now().time_since_epoch();
}

}  // namespace

AcpiPm::AcpiPm(MachineRequests requests, InterruptPins& pins, Clock clock, std::uint8_t s5_type)
    : requests_(std::move(requests)),
      pins_(pins),
      clock_(clock ? std::move(clock) : Clock(steady_time)),
      s5_type_(s5_type),
      start_(clock_()) {}

void AcpiPm::press_power_button() {
  const MutexLock lock(mutex_);
  ++button_presses_;
  state_.status |= kPm1PowerButton;
  update_sci();
}

IoStatus AcpiPm::read(std::uint64_t offset, std::span<std::byte> out) {
  if (offset == kPmTimerOffset && out.size() == kPmTimerLength) {
    store_le(out, timer_ticks());  // no lock: guests time themselves with this
    return IoStatus::kOk;
  }
  if (offset >= kPortCount || out.size() > kPortCount - offset) {
    return IoStatus::kInvalidSize;
  }
  const MutexLock lock(mutex_);
  update_timer_status();
  const auto bytes = image();
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return IoStatus::kOk;
}

IoStatus AcpiPm::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (offset >= kPortCount || in.size() > kPortCount - offset) {
    return IoStatus::kInvalidSize;
  }
  bool power_off = false;
  {
    const MutexLock lock(mutex_);
    update_timer_status();
    for (std::uint64_t reg = offset & ~std::uint64_t{1}; reg < offset + in.size(); reg += 2) {
      std::uint16_t value = 0;
      std::uint16_t mask = 0;
      for (std::uint64_t lane = 0; lane < 2; ++lane) {
        if (reg + lane >= offset && reg + lane < offset + in.size()) {
          const auto byte = std::to_integer<unsigned>(in[reg + lane - offset]);
          value = static_cast<std::uint16_t>(value | byte << (8 * lane));
          mask = static_cast<std::uint16_t>(mask | 0xffu << (8 * lane));
        }
      }
      if (reg == kPm1ControlOffset) {
        power_off = write_control(value, mask);
      } else {
        write_register(reg, value, mask);
      }
    }
    update_sci();
  }
  if (power_off && requests_.power_off) {
    requests_.power_off();
  }
  return IoStatus::kOk;
}

aml::Terms AcpiPm::acpi() const {
  const aml::Term type = aml::integer(s5_type_);
  // 7.4.2: SLP_TYP for PM1a and PM1b, two reserved elements.
  return {aml::name("\\_S5", aml::package({type, type, aml::integer(0), aml::integer(0)}))};
}

void AcpiPm::reset() {
  const MutexLock lock(mutex_);
  state_ = State{};
  state_.seen_timer_halves = timer_ticks() >> 31;
  update_sci();
}

void AcpiPm::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.hex("pm1_status", state_.status);
  node.hex("pm1_enable", state_.enable);
  node.hex("pm1_control", state_.control | kPm1SciEnable);
  node.field("sci", sci_);
  node.field("power_button_presses", button_presses_);
}

std::uint64_t AcpiPm::timer_ticks() const {
  using namespace std::chrono;
  constexpr std::uint64_t kNanoseconds = 1'000'000'000;
  const auto elapsed = static_cast<std::uint64_t>(std::max((clock_() - start_).count(), 0L));
  return elapsed / kNanoseconds * kTimerHertz + elapsed % kNanoseconds * kTimerHertz / kNanoseconds;
}

/// 4.8.4.1.1: TMR_STS is set whenever the most significant bit of the timer changes.
void AcpiPm::update_timer_status() {
  const std::uint64_t halves = timer_ticks() >> 31;
  if (halves != state_.seen_timer_halves) {
    state_.seen_timer_halves = halves;
    state_.status |= kPm1Timer;
  }
}

void AcpiPm::update_sci() {
  const bool level = (state_.status & state_.enable) != 0;
  if (level != sci_) {
    sci_ = level;
    pins_.set_level(kSciGsi, level);
  }
}

void AcpiPm::write_register(std::uint64_t offset, std::uint16_t value, std::uint16_t mask) {
  if (offset == kPm1EventOffset) {
    state_.status &= static_cast<std::uint16_t>(~(value & mask));  // ones clear (4.8.4.1.1)
  } else if (offset == kPm1EventOffset + kPm1EventLength / 2) {
    const unsigned merged = (state_.enable & ~mask) | (value & mask);
    state_.enable = static_cast<std::uint16_t>(merged & kEnableMask);
  }  // the timer is read-only
}

bool AcpiPm::write_control(std::uint16_t value, std::uint16_t mask) {
  const unsigned merged = (state_.control & ~mask) | (value & mask);
  state_.control = static_cast<std::uint16_t>(merged & kControlMask);
  if ((value & mask & kPm1SleepEnable) == 0) {
    return false;
  }
  const unsigned type = merged >> kPm1SleepTypeShift & 7u;
  if (type != s5_type_ && limit_.allow()) {
    log::warn("The guest asked for sleep type {}, which does not exist here; ignored", type);
  }
  return type == s5_type_;
}

std::array<std::byte, AcpiPm::kPortCount> AcpiPm::image() const {
  std::array<std::byte, kPortCount> bytes{};
  const std::span<std::byte> all(bytes);
  store_le(all.subspan(kPm1EventOffset, 2), state_.status);
  store_le(all.subspan(kPm1EventOffset + 2, 2), state_.enable);
  store_le(all.subspan(kPm1ControlOffset, 2), state_.control | kPm1SciEnable);
  store_le(all.subspan(kPmTimerOffset, kPmTimerLength), timer_ticks());
  return bytes;
}

}  // namespace gpuvm
