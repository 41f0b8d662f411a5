// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the argument of one of QEMU's options,
// "virtio-blk-pci,drive=d,bootindex=1" or the same as JSON. "_" and "-" in names are the same.
// Whoever reads one ends with tell_rest(), so that nothing of it is left out in silence.
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
  /// As it was written.
  const std::string& argument() const { return argument_; }
  bool has(std::string_view name) const;
  /// The value of the first of these names that is there, which is taken out. The last of several
  /// counts; the others are told.
  std::optional<std::string> take(std::string_view name, std::string_view other = {});
  /// All values of a name that may be there several times.
  std::vector<std::string> take_all(std::string_view name);
  /// The value; "" where it is absent.
  std::string text(std::string_view name, std::string_view other = {});
  /// Whether it is there and on. What is neither on nor off is told.
  bool is_on(std::string_view name);
  /// A number, or a size with QEMU's suffixes; what is none is told.
  std::optional<std::uint64_t> number(std::string_view name, std::string_view other = {});
  std::optional<std::uint64_t> size(std::string_view name, unsigned shift);
  /// Takes out names and places of things in the guest, which gpuvm gives itself: "id", "addr".
  void drop_places();
  /// Takes out what needs no key, and has it named behind `what`.
  void needs_no_key(const std::string& what, ForeignGuest& guest,
                    std::initializer_list<std::string_view> names);
  /// The same of all that is left.
  void rest_needs_no_key(const std::string& what, ForeignGuest& guest);
  /// Takes out all that is left.
  std::vector<std::pair<std::string, std::string>> take_rest() {
    return std::exchange(values_, {});
  }
  /// All that was not taken.
  const std::vector<std::pair<std::string, std::string>>& rest() const { return values_; }
  /// A note for each of them, behind `what`, and for values that could not be read.
  void tell_rest(const std::string& what, Notes& notes) const;

 private:
  void read_json(std::string_view text);

  std::size_t line_;
  std::string argument_;
  std::vector<std::pair<std::string, std::string>> values_ = {};
  Notes told_ = {};  ///< without what they are behind
};

/// Whether a property is a name or a place in the guest, which gpuvm gives itself.
bool is_place(std::string_view name);

}  // namespace gpuvm::convert
