// SPDX-License-Identifier: Apache-2.0
// Internal to this room: appends structures and their strings (DSP0134, 6.1.2 and 6.1.3).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firmware/smbios/smbios_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::smbios {

/// The strings behind one structure.
class StringSet {
 public:
  /// The string's number, from 1; 0 for an empty one. Cut at a NUL, which would end the string.
  std::uint8_t add(std::string_view text) {
    const std::string_view usable = text.substr(0, text.find('\0'));
    if (usable.empty() || strings_.size() == 255) {
      return 0;
    }
    strings_.emplace_back(usable);
    return static_cast<std::uint8_t>(strings_.size());
  }
  const std::vector<std::string>& strings() const { return strings_; }

 private:
  std::vector<std::string> strings_;
};

class StructureTable {
 public:
  /// Fills in type, length and a new handle, and returns the handle.
  template <class Structure>
  std::uint16_t append(Structure structure, const StringSet& strings = {}) {
    const std::uint16_t handle = next_handle_++;
    structure.header = {Structure::kType, static_cast<std::uint8_t>(sizeof structure), handle};
    append_bytes(bytes_, structure);
    append_strings(strings);
    return handle;
  }
  /// The handle that the next structure gets.
  std::uint16_t next_handle() const { return next_handle_; }
  std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  void append_strings(const StringSet& set) {
    for (const std::string& text : set.strings()) {
      const auto bytes = std::as_bytes(std::span(text));
      bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
      bytes_.push_back(std::byte{0});
    }
    // The set ends with another NUL; without any string there are two.
    bytes_.resize(bytes_.size() + (set.strings().empty() ? 2 : 1));
  }

  std::vector<std::byte> bytes_;
  std::uint16_t next_handle_ = 0;
};

}  // namespace gpuvm::smbios
