// SPDX-License-Identifier: Apache-2.0
// Reading the CMOS clock. Specification: Motorola MC146818A data sheet, "Programming" and "Register
// A, B"; the century's place is what ACPI's FADT calls CENTURY.
#include "firmware/efi/ports.hpp"
#include "firmware/efi/runtime_services.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint8_t kSeconds = 0x00;
constexpr std::uint8_t kMinutes = 0x02;
constexpr std::uint8_t kHours = 0x04;
constexpr std::uint8_t kDay = 0x07;
constexpr std::uint8_t kMonth = 0x08;
constexpr std::uint8_t kYear = 0x09;
constexpr std::uint8_t kRegisterA = 0x0a;
constexpr std::uint8_t kRegisterB = 0x0b;
constexpr std::uint8_t kCentury = 0x32;
constexpr std::uint8_t kUpdateInProgress = 0x80;
constexpr std::uint8_t kBinary = 0x04;
constexpr std::uint8_t kHours24 = 0x02;
constexpr std::uint8_t kAfternoon = 0x80;
constexpr unsigned kUpdatePatience = 1'000'000;

std::uint8_t read_register(std::uint16_t port, std::uint8_t index) {
  write_port8(port, index);
  return read_port8(static_cast<std::uint16_t>(port + 1));
}

struct Raw {
  std::uint8_t second, minute, hour, day, month, year, century;
  bool operator==(const Raw&) const = default;
};

Raw read_raw(std::uint16_t port) {
  for (unsigned i = 0; i < kUpdatePatience; ++i) {
    if ((read_register(port, kRegisterA) & kUpdateInProgress) == 0) {
      break;
    }
  }
  return {read_register(port, kSeconds), read_register(port, kMinutes), read_register(port, kHours),
          read_register(port, kDay),     read_register(port, kMonth),   read_register(port, kYear),
          read_register(port, kCentury)};
}

std::uint8_t decode(std::uint8_t value, bool binary) {
  return binary ? value : static_cast<std::uint8_t>((value >> 4) * 10 + (value & 0xf));
}

}  // namespace

bool read_clock(std::uint16_t port, Time& time) {
  Raw raw = read_raw(port);
  for (Raw again = read_raw(port); !(again == raw); again = read_raw(port)) {
    raw = again;  // an update came in between
  }
  const std::uint8_t mode = read_register(port, kRegisterB);
  const bool binary = (mode & kBinary) != 0;
  time = {};
  time.second = decode(raw.second, binary);
  time.minute = decode(raw.minute, binary);
  time.hour = decode(raw.hour & static_cast<std::uint8_t>(~kAfternoon), binary);
  if ((mode & kHours24) == 0) {
    time.hour = static_cast<std::uint8_t>(time.hour % 12 + ((raw.hour & kAfternoon) != 0 ? 12 : 0));
  }
  time.day = decode(raw.day, binary);
  time.month = decode(raw.month, binary);
  time.year =
      static_cast<std::uint16_t>(decode(raw.century, binary) * 100 + decode(raw.year, binary));
  time.time_zone = kUnspecifiedTimeZone;
  return time.year >= 1900 && time.month >= 1 && time.month <= 12 && time.day >= 1 &&
         time.day <= 31 && time.hour < 24 && time.minute < 60 && time.second < 60;
}

}  // namespace gpuvm::efi
