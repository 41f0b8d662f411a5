// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/mc146818.hpp"

#include <algorithm>

#include "vmm/base/units.hpp"

namespace gpuvm {

namespace {

using namespace std::chrono_literals;

constexpr unsigned kSeconds = 0;
constexpr unsigned kSecondsAlarm = 1;
constexpr unsigned kMinutes = 2;
constexpr unsigned kMinutesAlarm = 3;
constexpr unsigned kHours = 4;
constexpr unsigned kHoursAlarm = 5;
constexpr unsigned kWeekday = 6;
constexpr unsigned kDay = 7;
constexpr unsigned kMonth = 8;
constexpr unsigned kYear = 9;

constexpr std::uint8_t kUpdateInProgress = 0x80;  // A
constexpr std::uint8_t kDividerReset = 0x60;      // A: DV2 and DV1 set hold the divider in reset
constexpr std::uint8_t kSet = 0x80;               // B
constexpr std::uint8_t kAlarmEnable = 0x20;       // B
constexpr std::uint8_t kUpdateEnable = 0x10;      // B
constexpr std::uint8_t kBinary = 0x04;            // B: DM
constexpr std::uint8_t k24Hours = 0x02;           // B
constexpr std::uint8_t kInterruptRequest = 0x80;  // C: IRQF
constexpr std::uint8_t kAlarmFlag = 0x20;         // C
constexpr std::uint8_t kUpdateFlag = 0x10;        // C
constexpr std::uint8_t kValid = 0x80;             // D: VRT
constexpr std::uint8_t kAfternoon = 0x80;         // bit 7 of a 12-hour clock's hours
constexpr std::uint8_t kDoNotCare = 0xc0;         // alarm bytes from 0xc0 up match anything

// 32.768 kHz time base and 1.024 kHz rate, as PCs use.
constexpr std::uint8_t kDefaultA = 0x26;

// The data sheet's t_BUC: UIP is set so long before an update; who saw it clear has that much time
// to read a consistent set.
constexpr auto kUpdateNotice = 244us;

constexpr std::int64_t kDaySeconds = 86400;

std::int64_t floor_seconds(Mc146818::Time time) {
  return std::chrono::floor<std::chrono::seconds>(time).count();
}

bool is_time(unsigned index) {
  return index == kSeconds || index == kMinutes || index == kHours ||
         (index >= kWeekday && index <= kYear) || index == Mc146818::kCentury;
}

void store_units(std::uint8_t* at, unsigned count, std::uint64_t value) {
  for (unsigned i = 0; i < count; ++i) {
    at[i] = static_cast<std::uint8_t>(value >> (8 * i));
  }
}

/// Where OVMF's platform code and SeaBIOS look for the size of RAM: 64 KiB units above 16 MiB at
/// 0x34, and above 4 GiB at 0x5b.
void store_memory_sizes(std::array<std::uint8_t, Mc146818::kSize>& ram,
                        const CmosMemorySizes& memory) {
  const std::uint64_t above_16m = memory.below_4g - std::min(memory.below_4g, 16_MiB);
  store_units(&ram[0x34], 2, std::min<std::uint64_t>(above_16m / 64_KiB, 0xffff));
  store_units(&ram[0x5b], 3, std::min<std::uint64_t>(memory.above_4g / 64_KiB, 0xffffff));
}

}  // namespace

Mc146818::Mc146818(const CmosMemorySizes& memory, Time host_now) {
  state_.ram[kRegisterA] = kDefaultA;
  state_.ram[kRegisterB] = k24Hours;
  store_memory_sizes(state_.ram, memory);
  state_.seen_second = floor_seconds(host_now);
}

std::uint8_t Mc146818::read(unsigned index, Time host_now) {
  index %= kSize;
  if (index == kRegisterA) {
    const auto to_update =
        1s - (guest_now(host_now) - std::chrono::floor<std::chrono::seconds>(guest_now(host_now)));
    const bool updating = !stopped() && to_update <= kUpdateNotice;
    return static_cast<std::uint8_t>(state_.ram[kRegisterA] | (updating ? kUpdateInProgress : 0));
  }
  if (index == kRegisterC) {
    const bool pending = interrupt(host_now);
    const unsigned flags = state_.flags | (pending ? kInterruptRequest : 0u);
    state_.flags = 0;
    return static_cast<std::uint8_t>(flags);
  }
  if (index == kRegisterD) {
    return kValid;
  }
  if (is_time(index) && !stopped()) {
    store_time(floor_seconds(guest_now(host_now)));
  }
  return state_.ram[index];
}

void Mc146818::write(unsigned index, std::uint8_t value, Time host_now) {
  index %= kSize;
  update_flags(host_now);  // what happened until now happened under the old settings
  if (index == kRegisterA || index == kRegisterB) {
    write_control(index, value, host_now);
  } else if (is_time(index)) {
    write_time(index, value, host_now);
  } else if (index != kRegisterC && index != kRegisterD) {  // read-only
    state_.ram[index] = value;
  }
}

bool Mc146818::interrupt(Time host_now) {
  update_flags(host_now);
  return (state_.flags & state_.ram[kRegisterB] & (kAlarmFlag | kUpdateFlag)) != 0;
}

std::optional<Mc146818::Time> Mc146818::next_interrupt(Time host_now) const {
  const std::uint8_t enabled = state_.ram[kRegisterB];
  if (stopped() || (state_.flags & enabled & (kAlarmFlag | kUpdateFlag)) != 0) {
    return std::nullopt;
  }
  const std::int64_t now = floor_seconds(guest_now(host_now));
  std::optional<std::int64_t> second;
  if ((enabled & kUpdateEnable) != 0) {
    second = now + 1;
  } else if ((enabled & kAlarmEnable) != 0) {
    second = next_alarm(now);
  }
  if (!second.has_value()) {
    return std::nullopt;
  }
  return Time(std::chrono::seconds(*second)) - state_.offset;
}

void Mc146818::reset(Time host_now) {
  write_control(kRegisterB, state_.ram[kRegisterB] & (kSet | kBinary | k24Hours | 0x01), host_now);
  state_.flags = 0;
}

bool Mc146818::stopped() const {
  return (state_.ram[kRegisterB] & kSet) != 0 || divider_held();
}

bool Mc146818::divider_held() const {
  return (state_.ram[kRegisterA] & kDividerReset) == kDividerReset;
}

std::uint8_t Mc146818::encode(unsigned value) const {
  return static_cast<std::uint8_t>(
      (state_.ram[kRegisterB] & kBinary) != 0 ? value : (value / 10 % 10) << 4 | value % 10);
}

std::uint8_t Mc146818::encode_hour(unsigned hour) const {
  if ((state_.ram[kRegisterB] & k24Hours) != 0) {
    return encode(hour);
  }
  const unsigned shown = hour % 12 == 0 ? 12 : hour % 12;
  return static_cast<std::uint8_t>(encode(shown) | (hour >= 12 ? kAfternoon : 0));
}

unsigned Mc146818::decode(std::uint8_t value) const {
  return (state_.ram[kRegisterB] & kBinary) != 0 ? value : (value >> 4) * 10u + (value & 0x0fu);
}

unsigned Mc146818::decode_hour(std::uint8_t value) const {
  if ((state_.ram[kRegisterB] & k24Hours) != 0) {
    return decode(value);
  }
  const unsigned hour = decode(value & static_cast<std::uint8_t>(~kAfternoon)) % 12;
  return hour + ((value & kAfternoon) != 0 ? 12 : 0);
}

void Mc146818::store_time(std::int64_t second) {
  using namespace std::chrono;
  const sys_seconds time{seconds(second)};
  const auto day = floor<days>(time);
  const year_month_day date{day};
  const hh_mm_ss clock{time - day};
  const auto year = static_cast<unsigned>(std::clamp(static_cast<int>(date.year()), 0, 9999));
  auto& ram = state_.ram;
  ram[kSeconds] = encode(static_cast<unsigned>(clock.seconds().count()));
  ram[kMinutes] = encode(static_cast<unsigned>(clock.minutes().count()));
  ram[kHours] = encode_hour(static_cast<unsigned>(clock.hours().count()));
  ram[kWeekday] = encode(weekday{day}.c_encoding() + 1);  // 1 is Sunday
  ram[kDay] = encode(static_cast<unsigned>(date.day()));
  ram[kMonth] = encode(static_cast<unsigned>(date.month()));
  ram[kYear] = encode(year % 100);
  ram[kCentury] = encode(year / 100);
}

/// Any bytes give some time: values past their field's range are carried over, as arithmetic does.
std::int64_t Mc146818::decode_time() const {
  using namespace std::chrono;
  const auto& ram = state_.ram;
  const int full_year = static_cast<int>(decode(ram[kCentury]) * 100 + decode(ram[kYear]));
  const unsigned month_number = std::clamp(decode(ram[kMonth]), 1u, 12u);
  const sys_days first_of_month{year{full_year} / month{month_number} / 1};
  const auto time = first_of_month.time_since_epoch() + days(decode(ram[kDay])) - days(1) +
                    hours(decode_hour(ram[kHours])) + minutes(decode(ram[kMinutes])) +
                    seconds(decode(ram[kSeconds]));
  // 64 bits of nanoseconds end in the year 2262; the difference to the host's time must fit too.
  constexpr std::int64_t kEarliest = -2'000'000'000;
  constexpr std::int64_t kLatest = 9'000'000'000;
  return std::clamp<std::int64_t>(duration_cast<seconds>(time).count(), kEarliest, kLatest);
}

void Mc146818::write_time(unsigned index, std::uint8_t value, Time host_now) {
  if (stopped()) {
    state_.ram[index] = value;
    return;
  }
  const Time now = guest_now(host_now);
  store_time(floor_seconds(now));
  state_.ram[index] = value;
  const Time fraction = now - std::chrono::floor<std::chrono::seconds>(now);
  state_.offset = Time(std::chrono::seconds(decode_time())) + fraction - host_now;
  state_.seen_second = floor_seconds(guest_now(host_now));
}

void Mc146818::write_control(unsigned index, std::uint8_t value, Time host_now) {
  const bool was_stopped = stopped();
  const bool was_held = divider_held();
  const Time now = guest_now(host_now);
  const std::uint8_t old_format = state_.ram[kRegisterB] & (kBinary | k24Hours);
  state_.ram[index] =
      index == kRegisterA ? value & static_cast<std::uint8_t>(~kUpdateInProgress) : value;
  if (!was_stopped && stopped()) {
    // Frozen in the format that is valid from now on.
    store_time(floor_seconds(now));
  } else if (was_stopped && !stopped()) {
    // The first update follows half a second after the divider leaves its reset (data sheet,
    // register A); SET alone does not touch the divider.
    const Time fraction =
        was_held ? Time(500ms) : now - std::chrono::floor<std::chrono::seconds>(now);
    // Decoded in the format in which the bytes were written, should this write change it too.
    const std::uint8_t new_b = state_.ram[kRegisterB];
    state_.ram[kRegisterB] =
        static_cast<std::uint8_t>((new_b & ~(kBinary | k24Hours)) | old_format);
    state_.offset = Time(std::chrono::seconds(decode_time())) + fraction - host_now;
    state_.ram[kRegisterB] = new_b;
    state_.seen_second = floor_seconds(guest_now(host_now));
  }
}

void Mc146818::update_flags(Time host_now) {
  const std::int64_t second = floor_seconds(guest_now(host_now));
  if (stopped() || second <= state_.seen_second) {
    return;
  }
  state_.flags |= kUpdateFlag;
  const auto alarm = next_alarm(state_.seen_second);
  if (alarm.has_value() && *alarm <= second) {
    state_.flags |= kAlarmFlag;
  }
  state_.seen_second = second;
}

std::optional<std::int64_t> Mc146818::next_alarm(std::int64_t after) const {
  const auto& ram = state_.ram;
  const auto wanted = [](std::uint8_t alarm, unsigned value) -> std::optional<std::int64_t> {
    return alarm >= kDoNotCare ? std::nullopt : std::optional<std::int64_t>(value);
  };
  const auto hour = wanted(ram[kHoursAlarm], decode_hour(ram[kHoursAlarm]));
  const auto minute = wanted(ram[kMinutesAlarm], decode(ram[kMinutesAlarm]));
  const auto second = wanted(ram[kSecondsAlarm], decode(ram[kSecondsAlarm]));
  if (hour.value_or(0) > 23 || minute.value_or(0) > 59 || second.value_or(0) > 59) {
    return std::nullopt;
  }
  // A match is at most a day away, and at most 24 + 60 + 60 steps.
  for (std::int64_t at = after + 1; at <= after + kDaySeconds;) {
    const std::int64_t in_day = ((at % kDaySeconds) + kDaySeconds) % kDaySeconds;
    if (hour.value_or(in_day / 3600) != in_day / 3600) {
      at += 3600 - in_day % 3600;
    } else if (minute.value_or(in_day / 60 % 60) != in_day / 60 % 60) {
      at += 60 - in_day % 60;
    } else if (second.value_or(in_day % 60) != in_day % 60) {
      ++at;
    } else {
      return at;
    }
  }
  return std::nullopt;
}

}  // namespace gpuvm
