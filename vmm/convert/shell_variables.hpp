// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what a shell script sets and puts in (POSIX.1-2017 XCU 2.6, and bash's
// arrays), as far as reading it tells.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/convert/foreign_guest.hpp"

namespace gpuvm::convert {

/// A variable has one item, an array any number.
struct ShellValue {
  std::vector<std::string> items = {};
  Notes notes = {};           ///< what in it only a running shell knows
  std::size_t condition = 0;  ///< the line of the condition or loop that it is set below; 0: none
};

/// What "${…}" says besides the name.
struct ShellExpansion {
  std::vector<std::string> items = {};
  bool is_all = false;             ///< "[@]": each item is a word
  const ShellValue* of = nullptr;  ///< whose it is; null: a default
};

class ShellVariables {
 public:
  /// "NAME=value", "NAME+=value", "NAME[KEY]=value": whether it is one of these.
  static bool is_assignment(std::string_view word);
  void assign(std::string_view word, const Notes& notes, std::size_t condition);
  /// "NAME" or "NAME+" as they stand before "=(".
  void assign_array(std::string_view name, std::vector<std::string> items, const Notes& notes,
                    std::size_t condition);
  /// `inside` of "${inside}", or a name; nothing for what cannot be followed. A default
  /// ("NAME:-text") comes as it is written.
  std::optional<ShellExpansion> expand(std::string_view inside) const;
  /// Counts what variables have become in all texts of a script; false: it is too much already.
  bool may_expand(std::size_t bytes);
  /// "2*1024" of "$((2*1024))": integers, the variables, + - * / % and brackets.
  std::optional<std::int64_t> calculate(std::string_view text) const;

 private:
  const ShellValue* find(std::string_view name) const;
  /// `key` as "[@]", "[1]" or "".
  ShellExpansion look_up(std::string_view name, std::string_view key) const;

  std::map<std::string, ShellValue, std::less<>> values_ = {};
  std::size_t expanded_ = 0;  ///< bytes
};

/// The length of the name at the start of a text.
std::size_t name_length(std::string_view text);

}  // namespace gpuvm::convert
