// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/card_pattern.hpp"

#include <fmt/format.h>

#include <charconv>

#include "vmm/config/port_assignment.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kAnyGpu = "any-gpu";
constexpr std::string_view kClass = "class:";
constexpr std::string_view kAnyDevice = "*";
constexpr unsigned kClassDigits = 6;

/// All of the text, which has no sign and no "0x".
std::optional<std::uint32_t> hex_number(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdefABCDEF";
  std::uint32_t value = 0;
  if (text.empty() || text.size() > kClassDigits ||
      text.find_first_not_of(kDigits) != std::string_view::npos) {
    return std::nullopt;
  }
  std::from_chars(text.data(), text.data() + text.size(), value, 16);
  return value;
}

std::optional<std::uint16_t> hex_id(std::string_view text) {
  constexpr std::size_t kIdDigits = 4;
  const auto value = text.size() == kIdDigits ? hex_number(text) : std::nullopt;
  return value ? std::optional(static_cast<std::uint16_t>(*value)) : std::nullopt;
}

std::optional<CardPattern> class_pattern(std::string_view digits) {
  const auto code = digits.size() % 2 == 0 ? hex_number(digits) : std::nullopt;
  if (!code) {
    return std::nullopt;
  }
  CardPattern pattern;
  pattern.class_digits = static_cast<unsigned>(digits.size());
  pattern.class_code = *code << 4 * (kClassDigits - pattern.class_digits);
  return pattern;
}

std::optional<CardPattern> id_pattern(std::string_view text) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos) {
    return std::nullopt;
  }
  CardPattern pattern;
  pattern.vendor = hex_id(text.substr(0, colon));
  const auto device = text.substr(colon + 1);
  pattern.device = hex_id(device);
  return pattern.vendor && (pattern.device || device == kAnyDevice) ? std::optional(pattern)
                                                                    : std::nullopt;
}

}  // namespace

std::optional<CardPattern> CardPattern::parse(std::string_view text) {
  if (text == kAnyGpu) {
    CardPattern pattern;
    pattern.any_gpu = true;
    return pattern;
  }
  return text.starts_with(kClass) ? class_pattern(text.substr(kClass.size())) : id_pattern(text);
}

std::string CardPattern::to_string() const {
  if (any_gpu) {
    return std::string(kAnyGpu);
  }
  if (class_code) {
    return fmt::format("{}{:0{}x}", kClass, *class_code >> 4 * (kClassDigits - class_digits),
                       class_digits);
  }
  return fmt::format("{:04x}:{}", vendor.value_or(0),
                     device ? fmt::format("{:04x}", *device) : std::string(kAnyDevice));
}

bool CardPattern::matches(std::uint16_t its_vendor, std::uint16_t its_device,
                          std::uint32_t its_class) const {
  if (any_gpu) {
    return slot_kind_of(its_vendor, its_class) == SlotKind::kGpu;
  }
  if (class_code) {
    const unsigned ignored = 4 * (kClassDigits - class_digits);
    return its_class >> ignored == *class_code >> ignored;
  }
  return its_vendor == vendor && its_device == device.value_or(its_device);
}

}  // namespace gpuvm
