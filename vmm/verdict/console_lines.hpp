// SPDX-License-Identifier: Apache-2.0
// ConsoleLines: the bytes of a guest's console as lines of text with their time, for patterns, for
// readers of test output and for files. What a terminal would obey is taken out: control
// characters, those of two bytes in UTF-8 among them, and escape sequences (ECMA-48, 5.3 to 5.6),
// so that a line is fit for any log.
//
// Missing: the effect of what is taken out. A line that was written over (a progress bar's, with a
// carriage return) has all its versions, one behind the other.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

namespace gpuvm {

struct ConsoleLine {
  std::chrono::system_clock::time_point time = {};  ///< of its first byte
  std::string text = {};  ///< without its end; tabs are its only control characters
  /// It was longer than kLongest: the rest follows as the next line.
  bool is_cut = false;
};

/// One thread at a time.
class ConsoleLines {
 public:
  static constexpr std::size_t kLongest = 4096;  ///< bytes of a line's text
  using OnLine = std::function<void(const ConsoleLine&)>;

  explicit ConsoleLines(OnLine on_line) : on_line_(std::move(on_line)) {}

  void add(std::span<const std::byte> bytes, std::chrono::system_clock::time_point now);
  /// What came after the last end of a line is a line, too, now.
  void finish();

 private:
  /// Where in an escape sequence the stream is.
  enum class Escape {
    kNone,
    kBegun,      ///< ESC
    kControl,    ///< CSI: parameters up to a final byte
    kString,     ///< OSC, DCS and the like: up to BEL or ESC \.
    kStringEnd,  ///< ESC within a string
  };
  void take(std::uint8_t byte);
  /// True: the byte belongs to an escape sequence.
  bool is_escaped(std::uint8_t byte);
  void put(std::uint8_t byte);
  void give_back_string();
  void end_line(bool is_cut);

  const OnLine on_line_;
  ConsoleLine line_;
  bool has_bytes_ = false;  ///< of the line; may all have been taken out
  Escape escape_ = Escape::kNone;
  std::size_t escape_length_ = 0;
  std::string string_ = {};  ///< what the string has so far that the stream is in
};

}  // namespace gpuvm
