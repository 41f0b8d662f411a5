// SPDX-License-Identifier: Apache-2.0
#include "vmm/convert/values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <set>

namespace gpuvm::convert {
namespace {

constexpr std::uint64_t kMostSize = std::uint64_t{1} << 63;
constexpr unsigned kMostCpu = 8191;

std::optional<std::uint64_t> in_base(std::string_view text, int base) {
  std::uint64_t number = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number, base);
  return error == std::errc{} && stop == end && !text.empty() ? std::optional(number)
                                                              : std::nullopt;
}

std::optional<std::uint64_t> times(std::uint64_t number, std::uint64_t unit) {
  return number < kMostSize / unit ? std::optional(number * unit) : std::nullopt;
}

/// Adds "3" or "0-3", or takes it away.
bool apply_range(std::string_view text, std::set<unsigned>& cpus) {
  const bool is_removed = text.starts_with('^');
  text.remove_prefix(is_removed ? 1 : 0);
  const auto dash = text.find('-');
  const auto first = in_base(text.substr(0, dash), 10);
  const auto last = dash == std::string_view::npos ? first : in_base(text.substr(dash + 1), 10);
  if (!first || !last || *first > *last || *last > kMostCpu) {
    return false;
  }
  for (auto cpu = static_cast<unsigned>(*first); cpu <= *last; ++cpu) {
    if (is_removed) {
      cpus.erase(cpu);
    } else {
      cpus.insert(cpu);
    }
  }
  return true;
}

}  // namespace

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\f\v";
  const auto first = std::min(text.find_first_not_of(kSpace), text.size());
  text.remove_prefix(first);
  const auto last = text.find_last_not_of(kSpace);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) {
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  return out;
}

std::optional<std::uint64_t> number_of(std::string_view text) {
  text = trimmed(text);
  const bool is_hex = text.starts_with("0x") || text.starts_with("0X");
  return is_hex ? in_base(text.substr(2), 16) : in_base(text, 10);
}

std::optional<bool> switch_of(std::string_view text) {
  const std::string word = lower(trimmed(text));
  if (word == "on" || word == "yes" || word == "true" || word == "1" || word == "y") {
    return true;
  }
  if (word == "off" || word == "no" || word == "false" || word == "0" || word == "n") {
    return false;
  }
  return std::nullopt;
}

std::optional<std::uint64_t> qemu_size(std::string_view text, unsigned shift) {
  text = trimmed(text);
  std::uint64_t whole = 0;
  const auto* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, whole);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  std::uint64_t thousandths = 0;
  if (text.starts_with('.')) {  // "1.5G"
    const auto digits = std::min(text.find_first_not_of("0123456789", 1), text.size());
    std::string places(text.substr(1, std::min<std::size_t>(digits - 1, 3)));
    places.resize(3, '0');
    thousandths = in_base(places, 10).value_or(0);
    text.remove_prefix(digits);
  }
  std::string unit = lower(text);
  if (unit.ends_with("ib")) {
    unit.resize(1);
  } else if (unit.size() == 2 && unit[1] == 'b') {
    unit.resize(1);
  }
  constexpr std::string_view kUnits = "bkmgtp";
  const auto place = unit.size() == 1 ? kUnits.find(unit[0]) : std::string_view::npos;
  if (!unit.empty() && place == std::string_view::npos) {
    return std::nullopt;
  }
  const unsigned bits = unit.empty() ? shift : static_cast<unsigned>(place) * 10;
  const auto bytes = times(whole, std::uint64_t{1} << bits);
  return bytes ? std::optional(*bytes + (((std::uint64_t{1} << bits) * thousandths) / 1000))
               : std::nullopt;
}

std::optional<std::uint64_t> libvirt_size(std::string_view number, std::string_view unit) {
  struct Unit {
    std::string_view name;
    std::uint64_t bytes;
  };
  constexpr std::array<Unit, 16> kUnits{{{"", 1024},
                                         {"b", 1},
                                         {"bytes", 1},
                                         {"byte", 1},
                                         {"k", 1024},
                                         {"kib", 1024},
                                         {"kb", 1000},
                                         {"m", 1ULL << 20},
                                         {"mib", 1ULL << 20},
                                         {"mb", 1000000},
                                         {"g", 1ULL << 30},
                                         {"gib", 1ULL << 30},
                                         {"gb", 1000000000},
                                         {"t", 1ULL << 40},
                                         {"tib", 1ULL << 40},
                                         {"tb", 1000000000000}}};
  const auto count = number_of(number);
  const std::string name = lower(trimmed(unit));
  const auto* const found =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& one) { return one.name == name; });
  return count && found != kUnits.end() ? times(*count, found->bytes) : std::nullopt;
}

std::optional<std::vector<unsigned>> cpu_list(std::string_view text) {
  std::set<unsigned> cpus;
  text = trimmed(text);
  if (text.size() > 4096) {
    return std::nullopt;
  }
  while (true) {
    const auto comma = std::min(text.find(','), text.size());
    if (!apply_range(trimmed(text.substr(0, comma)), cpus)) {
      return std::nullopt;
    }
    if (comma == text.size()) {
      return std::vector<unsigned>(cpus.begin(), cpus.end());
    }
    text.remove_prefix(comma + 1);
  }
}

std::optional<Bdf> qemu_address(std::string_view text) {
  constexpr std::size_t kMostDigits = 8;
  std::vector<unsigned> numbers;
  std::string signs;
  while (numbers.size() < 4) {
    const auto end = std::min(text.find_first_not_of("0123456789abcdefABCDEF"), text.size());
    unsigned number = 0;
    if (end == 0 || end > kMostDigits ||
        std::from_chars(text.data(), text.data() + end, number, 16).ec != std::errc{}) {
      return std::nullopt;
    }
    numbers.push_back(number);
    if (end == text.size()) {
      break;
    }
    signs += text[end];
    text.remove_prefix(end + 1);
  }
  if (signs == ":.") {
    numbers.insert(numbers.begin(), 0);
  } else if (signs != "::.") {
    return std::nullopt;
  }
  // Bdf::parse() knows the limits; a number that is too large has more digits than it takes.
  return Bdf::parse(
      fmt::format("{:04x}:{:02x}:{:02x}.{:x}", numbers[0], numbers[1], numbers[2], numbers[3]));
}

}  // namespace gpuvm::convert
