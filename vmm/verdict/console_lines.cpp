// SPDX-License-Identifier: Apache-2.0
#include "vmm/verdict/console_lines.hpp"

#include <utility>

namespace gpuvm {
namespace {

constexpr std::uint8_t kBell = 0x07;
constexpr std::uint8_t kEscape = 0x1b;
/// A sequence that is longer is none: a stray ESC must not swallow the rest of the console.
constexpr std::size_t kLongestEscape = 128;

}  // namespace

void ConsoleLines::add(std::span<const std::byte> bytes,
                       std::chrono::system_clock::time_point now) {
  for (const std::byte byte : bytes) {
    if (!std::exchange(has_bytes_, true)) {
      line_.time = now;
    }
    take(std::to_integer<std::uint8_t>(byte));
  }
}

void ConsoleLines::finish() {
  give_back_string();
  escape_ = Escape::kNone;
  if (has_bytes_) {
    end_line(false);
  }
}

void ConsoleLines::take(std::uint8_t byte) {
  if (byte == '\n') {
    give_back_string();
    escape_ = Escape::kNone;
    end_line(false);
  } else if (!is_escaped(byte)) {
    put(byte);
  }
}

/// A string that does not end in its line, or is too long, was none: what it would hide may be a
/// kernel's panic.
void ConsoleLines::give_back_string() {
  const std::string text = std::exchange(string_, {});
  for (const char c : text) {
    put(static_cast<std::uint8_t>(c));
  }
}

void ConsoleLines::put(std::uint8_t byte) {
  if ((byte < 0x20 && byte != '\t') || byte == 0x7f) {
    return;
  }
  if (line_.text.size() == kLongest) {
    const auto time = line_.time;
    end_line(true);
    line_.time = time;
    has_bytes_ = true;
  }
  // C2 begins a character of two bytes; with these it is a control character (ISO 6429, UTF-8).
  if (byte >= 0x80 && byte < 0xa0 && line_.text.ends_with('\xc2')) {
    line_.text.pop_back();
    return;
  }
  line_.text.push_back(static_cast<char>(byte));
}

bool ConsoleLines::is_escaped(std::uint8_t byte) {
  if (byte == kEscape) {
    const bool is_string = escape_ == Escape::kString;
    escape_ = is_string ? Escape::kStringEnd : Escape::kBegun;
    if (!is_string) {
      string_.clear();
    }
    escape_length_ = 0;
    return true;
  }
  if (escape_ != Escape::kNone && ++escape_length_ > kLongestEscape) {
    escape_ = Escape::kNone;
    give_back_string();
  }
  switch (escape_) {
    case Escape::kNone:
      return false;
    case Escape::kBegun:
      escape_ = byte == '['                                                ? Escape::kControl
                : byte == ']' || byte == 'P' || byte == '^' || byte == '_' ? Escape::kString
                : byte >= 0x20 && byte < 0x30                              ? Escape::kBegun
                                                                           : Escape::kNone;
      return true;
    case Escape::kControl:
      if (byte >= 0x40 && byte < 0x7f) {
        escape_ = Escape::kNone;
      }
      return true;
    case Escape::kString:
      if (byte == kBell) {
        escape_ = Escape::kNone;
        string_.clear();
      } else {
        string_.push_back(static_cast<char>(byte));
      }
      return true;
    case Escape::kStringEnd:
      escape_ = Escape::kNone;
      string_.clear();
      return true;
  }
  return false;
}

void ConsoleLines::end_line(bool is_cut) {
  ConsoleLine line = std::exchange(line_, {});
  has_bytes_ = false;
  line.is_cut = is_cut;
  on_line_(line);
}

}  // namespace gpuvm
