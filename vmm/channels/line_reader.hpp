// SPDX-License-Identifier: Apache-2.0
// LineReader: lines out of bytes that come in any pieces from who may be hostile. A line that is
// too long is left out as a whole: its beginning is not what was meant.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace gpuvm {

/// Not synchronised: one thread at a time.
class LineReader {
 public:
  static constexpr std::size_t kMostLine = 256;  ///< bytes, without the line break
  using OnLine = std::function<void(std::string_view)>;

  /// `on_line` gets each line that is complete and not empty, without its line break, "\n" or
  /// "\r\n".
  explicit LineReader(OnLine on_line) : on_line_(std::move(on_line)) {}

  /// The bytes are read once each: they may be guest memory.
  void add(std::span<const std::byte> bytes);
  /// Nothing more comes: what there is, is a line.
  void end();
  /// Bytes are missing here: the line that they are in does not count.
  void cut();
  /// Forgets the line that is not complete.
  void clear();

 private:
  const OnLine on_line_;
  std::string line_;
  bool is_skipping_ = false;  ///< until the next line break
};

}  // namespace gpuvm
