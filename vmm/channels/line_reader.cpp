// SPDX-License-Identifier: Apache-2.0
#include "vmm/channels/line_reader.hpp"

namespace gpuvm {

void LineReader::add(std::span<const std::byte> bytes) {
  for (const std::byte byte : bytes) {
    const char c = static_cast<char>(byte);
    if (c == '\n') {
      end();
    } else if (line_.size() == kMostLine) {
      cut();
    } else if (!is_skipping_) {
      line_ += c;
    }
  }
}

void LineReader::end() {
  if (!line_.empty() && line_.back() == '\r') {
    line_.pop_back();
  }
  if (!line_.empty()) {
    on_line_(line_);
  }
  clear();
}

void LineReader::cut() {
  line_.clear();
  is_skipping_ = true;
}

void LineReader::clear() {
  line_.clear();
  is_skipping_ = false;
}

}  // namespace gpuvm
