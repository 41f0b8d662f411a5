// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/text.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <numeric>

namespace gpuvm {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  constexpr std::size_t kLongest = 64;
  a = a.substr(0, kLongest);
  b = b.substr(0, kLongest);
  std::array<std::size_t, kLongest + 1> row{};
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row.at(j);
      row.at(j) = std::min({row.at(j) + 1, row.at(j - 1) + 1, substituted});
    }
  }
  return row.at(b.size());
}

std::string_view nearest_name(std::string_view wanted,
                              std::span<const std::string_view> candidates) {
  const auto nearest =
      std::min_element(candidates.begin(), candidates.end(), [wanted](auto left, auto right) {
        return edit_distance(wanted, left) < edit_distance(wanted, right);
      });
  return nearest == candidates.end() ? std::string_view{} : *nearest;
}

std::string_view near_name(std::string_view wanted, std::span<const std::string_view> candidates) {
  const auto swapped = std::find_if(candidates.begin(), candidates.end(), [wanted](auto name) {
    return wanted.size() == name.size() && edit_distance(wanted, name) == 2 &&
           std::is_permutation(wanted.begin(), wanted.end(), name.begin());
  });
  const auto nearest = nearest_name(wanted, candidates);
  const auto distance = edit_distance(wanted, nearest);
  if (swapped != candidates.end() && distance > 1) {
    return *swapped;
  }
  const auto tolerance = std::clamp<std::size_t>(wanted.size() / 3, 1, 3);
  return distance <= tolerance ? nearest : std::string_view{};
}

namespace {

/// Unicode's characters that turn the direction of a line around, as UTF-8 (Unicode 15, Annex 9):
/// U+200E, U+200F, U+202A to U+202E and U+2066 to U+2069.
bool turns_direction(std::string_view text) {
  if (text.size() < 3 || text[0] != '\xe2') {
    return false;
  }
  const auto second = static_cast<unsigned char>(text[1]);
  const auto third = static_cast<unsigned char>(text[2]);
  return (second == 0x80 && (third == 0x8e || third == 0x8f || (third >= 0xaa && third <= 0xae))) ||
         (second == 0x81 && third >= 0xa6 && third <= 0xa9);
}

}  // namespace

std::string terminal_text(std::string_view text) {
  constexpr unsigned char kControl1 = 0xc2;
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto code = static_cast<unsigned char>(text[i]);
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0U;
    if (code == kControl1 && next >= 0x80 && next < 0xa0) {
      out += '?';
      ++i;
    } else if (turns_direction(text.substr(i))) {
      out += '?';
      i += 2;
    } else {
      out += (code < 0x20 && code != '\n') || code == 0x7f ? '?' : text[i];
    }
  }
  return out;
}

std::string text_for(int fd, std::string_view text) {
  return ::isatty(fd) == 1 ? terminal_text(text) : std::string(text);
}

std::string escaped_line(std::string_view text) {
  std::string out;
  for (const char c : terminal_text(text)) {
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
      out.append(c == '\\' ? 1 : 0, '\\');
    }
  }
  return out;
}

std::string without_runner_commands(std::string text) {
  constexpr std::string_view kCommand = "##[";
  for (auto at = text.find(kCommand); at != std::string::npos; at = text.find(kCommand, at)) {
    text.insert(at + 2, 1, ' ');
  }
  return text;
}

}  // namespace gpuvm
