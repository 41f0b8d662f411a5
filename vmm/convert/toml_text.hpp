// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the sections of a configuration as they are printed, with comments.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/convert/foreign_guest.hpp"

namespace gpuvm::convert {

/// As a TOML string; control characters are escaped, and bytes that are no UTF-8 become "?".
std::string in_quotes(std::string_view text);
/// "[\"a\", \"b\"]".
std::string quoted_list(const std::vector<std::string>& texts);
/// "4GiB" or "1536MiB" of whole MiB.
std::string memory_text(std::uint64_t bytes);

/// One section; the keys are printed in the order in which they are set.
class TomlSection {
 public:
  /// `header` as "[machine]", or "" for the keys at the top.
  explicit TomlSection(std::string header) : header_(std::move(header)) {}

  /// `value` as TOML has it.
  void set(std::string_view key, std::string_view value);
  /// Unless it is empty.
  void set_text(std::string_view key, std::string_view value);
  void note(std::string what, std::size_t line, std::string_view advice);
  void add_notes(const Notes& notes);
  /// Printed as a comment.
  void leave_out() { is_left_out_ = true; }
  bool is_empty() const { return lines_.empty() && notes_.empty(); }
  /// Whether notes are all that there is.
  bool has_only_notes() const { return lines_.empty(); }
  const Notes& notes() const { return notes_; }

  /// With an empty line before it, unless it is the top. Adds to `notes` how many it has.
  std::string print(std::size_t& notes) const;

 private:
  std::string header_;
  std::vector<std::string> lines_ = {};
  Notes notes_ = {};
  bool is_left_out_ = false;
};

/// Text of the other monitor as comments show it: one line, and not too long.
std::string shown_text(std::string_view text);
/// Lines of at most 100 characters, each behind "# ".
std::string comment(std::string_view text);
/// One comment for each thing, with the lines where it is; counts them.
std::string comments_of(const Notes& notes, std::size_t& count);

}  // namespace gpuvm::convert
