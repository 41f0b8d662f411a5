// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the argument of one of QEMU's options,
// "virtio-blk-pci,drive=d,bootindex=1" or the same as JSON. "_" and "-" in names are the same.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/convert/readers.hpp"

namespace gpuvm::convert {

class OptionList {
 public:
  /// `first` is the name of a first value that has none: "driver" of -device.
  OptionList(const Word& argument, std::string_view first);

  std::size_t line() const { return line_; }
  /// The value of the first of these names that is there, which is taken out.
  std::optional<std::string> take(std::string_view name, std::string_view other = {});
  /// The same; "" where it is absent.
  std::string text(std::string_view name, std::string_view other = {});
  /// Whether it is there and on.
  bool is_on(std::string_view name);
  /// Takes out what needs no key here.
  void skip(std::initializer_list<std::string_view> names);
  /// All that was not taken.
  const std::vector<std::pair<std::string, std::string>>& rest() const { return values_; }
  /// A note for each of them, behind `what`.
  void tell_rest(const std::string& what, Notes& notes) const;

 private:
  void read_json(std::string_view text);

  std::size_t line_;
  std::vector<std::pair<std::string, std::string>> values_ = {};
};

}  // namespace gpuvm::convert
