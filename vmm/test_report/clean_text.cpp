// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/clean_text.hpp"

#include <algorithm>
#include <cstdint>

namespace gpuvm {
namespace {

constexpr std::string_view kReplacement = "\xef\xbf\xbd";  // U+FFFD
constexpr char kEscape = '\x1b';
/// ISO 6429's other control characters as UTF-8 has them: C2 80 to C2 9F. Terminals obey them, too.
constexpr unsigned char kControl1 = 0xc2;

unsigned char byte_at(std::string_view text, std::size_t at) {
  return at < text.size() ? static_cast<unsigned char>(text[at]) : 0;
}

/// Bytes of a character that begins with this one (RFC 3629, 4); 0: none does.
std::size_t length_by_first(unsigned char first) {
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xc2 && first <= 0xdf) {
    return 2;
  }
  if (first >= 0xe0 && first <= 0xef) {
    return 3;
  }
  return first >= 0xf0 && first <= 0xf4 ? 4 : 0;
}

/// The length of the whole character at `at`; 0: there is none.
std::size_t character_at(std::string_view text, std::size_t at) {
  const unsigned char first = byte_at(text, at);
  const std::size_t length = length_by_first(first);
  if (length < 2) {
    return length;
  }
  std::uint32_t value = first & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const unsigned char next = byte_at(text, at + i);
    if ((next & 0xc0U) != 0x80) {
      return 0;
    }
    value = value << 6U | (next & 0x3fU);
  }
  const bool is_too_long = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  const bool has_place = value < 0xd800 || (value > 0xdfff && value < 0xfffe) ||
                         (value >= 0x10000 && value <= 0x10ffff);
  return has_place && !is_too_long ? length : 0;
}

/// Where an escape sequence that begins at `at` ends; one that does not end is its first two bytes.
std::size_t end_of_escape(std::string_view text, std::size_t at) {
  constexpr std::size_t kLongest = 256;
  const std::string_view rest = text.substr(at, kLongest);
  const unsigned char kind = byte_at(rest, 1);
  const std::size_t nothing_more = at + std::min<std::size_t>(rest.size(), kind >= ' ' ? 2 : 1);
  if (kind == '[') {
    std::size_t end = 2;
    while (byte_at(rest, end) >= 0x20 && byte_at(rest, end) < 0x40) {
      ++end;
    }
    return byte_at(rest, end) >= 0x40 && byte_at(rest, end) < 0x7f ? at + end + 1 : nothing_more;
  }
  if (kind == ']') {
    const auto end = rest.find_first_of("\a\n\x1b", 2);
    if (end != std::string_view::npos && rest[end] != '\n') {
      return at + end + (rest[end] == kEscape && byte_at(rest, end + 1) == '\\' ? 2 : 1);
    }
  }
  return nothing_more;
}

}  // namespace

std::string clean_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c == kEscape) {
      at = end_of_escape(text, at);
    } else if (byte_at(text, at) < 0x20 || c == '\x7f') {
      if (c == '\n' || c == '\t') {
        out += c;
      }
      ++at;
    } else if (byte_at(text, at) == kControl1 && character_at(text, at) == 2 &&
               byte_at(text, at + 1) < 0xa0) {
      at += 2;
    } else if (const auto length = character_at(text, at); length != 0) {
      out += text.substr(at, length);
      at += length;
    } else {
      out += kReplacement;
      ++at;
    }
  }
  return out;
}

std::string clean_line(std::string_view text, std::size_t most) {
  // What is cut off is long: nobody needs all of it cleaned.
  std::string out = clean_text(text.substr(0, std::min(text.size(), 4 * most + 256)));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '\n' || c == '\t'; }, ' ');
  std::size_t end = std::min(out.size(), most);
  while (end < out.size() && end > 0 && (byte_at(out, end) & 0xc0U) == 0x80) {
    --end;
  }
  out.resize(end);
  return out;
}

}  // namespace gpuvm
