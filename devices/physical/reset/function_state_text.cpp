// SPDX-License-Identifier: Apache-2.0
// FunctionState as a line of text.
#include <charconv>
#include <sstream>

#include "devices/physical/reset/function_state.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kNumbers = 16 + std::tuple_size_v<decltype(FunctionState::region_sizes)>;
using Numbers = std::array<std::uint64_t, kNumbers>;
constexpr std::size_t kFirstRegion = 14;
// Lines of before these were kept lack the last number or both.
constexpr std::size_t kShowsAudio = kNumbers - 2;
constexpr std::size_t kAnsweringBars = kNumbers - 1;

template <class T>
bool take(T& field, std::uint64_t number) {
  field = static_cast<T>(number);
  return static_cast<std::uint64_t>(field) == number;
}

std::optional<Numbers> parse_numbers(std::string_view text) {
  std::istringstream words{std::string(text)};
  Numbers numbers{};
  std::size_t count = 0;
  for (std::string word; words >> word; ++count) {
    if (count == kNumbers) {
      return std::nullopt;
    }
    const char* const end = word.data() + word.size();
    const auto [stop, error] = std::from_chars(word.data(), end, numbers.at(count), 16);
    if (error != std::errc{} || stop != end) {
      return std::nullopt;
    }
  }
  return count >= kShowsAudio ? std::optional(numbers) : std::nullopt;
}

}  // namespace

std::string to_text(const FunctionState& s) {
  std::string text = fmt::format(
      "{:x} {:x} {:x} {:x} {:x} {:x} {:x} {:x} {:x} {:x} {:x} {:x} {:x} {:x}", s.vendor, s.device,
      s.class_code, s.header_type, s.first_capability, s.power_management, s.msi, s.msix, s.express,
      s.link_speed, s.link_width, unsigned{s.has_flr}, unsigned{s.no_soft_reset}, s.bar_size_codes);
  for (const std::uint64_t size : s.region_sizes) {
    text += fmt::format(" {:x}", size);
  }
  return text + fmt::format(" {:x} {:x}", unsigned{s.shows_audio}, unsigned{s.answering_bars});
}

std::optional<FunctionState> parse_function_state(std::string_view text) {
  const auto numbers = parse_numbers(text);
  if (!numbers) {
    return std::nullopt;
  }
  const Numbers& n = *numbers;
  FunctionState s;
  const bool fits =
      take(s.vendor, n[0]) && take(s.device, n[1]) && take(s.class_code, n[2]) &&
      take(s.header_type, n[3]) && take(s.first_capability, n[4]) &&
      take(s.power_management, n[5]) && take(s.msi, n[6]) && take(s.msix, n[7]) &&
      take(s.express, n[8]) && take(s.link_speed, n[9]) && take(s.link_width, n[10]) &&
      take(s.has_flr, n[11]) && take(s.no_soft_reset, n[12]) && take(s.bar_size_codes, n[13]) &&
      take(s.shows_audio, n[kShowsAudio]) && take(s.answering_bars, n[kAnsweringBars]);
  for (std::size_t i = 0; i < s.region_sizes.size(); ++i) {
    s.region_sizes.at(i) = n.at(kFirstRegion + i);
  }
  return fits ? std::optional(s) : std::nullopt;
}

}  // namespace gpuvm
