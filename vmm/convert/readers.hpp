// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what reads the text of another monitor.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/convert/foreign_guest.hpp"

namespace gpuvm::convert {

/// A word of a command line.
struct Word {
  std::string text;
  std::size_t line = 0;
};

/// Errors: kConfig with LABEL:LINE:COLUMN.
Result<ForeignGuest> read_domain(std::string_view text, const std::string& label);
/// The same of a shell's text.
Result<ForeignGuest> read_command_line(std::string_view text, const std::string& label);

/// The words behind the first QEMU of a shell's text that starts a guest; what only a running shell
/// knows, and what stands before QEMU, is told in `guest`. Errors: kConfig with LABEL:LINE:COLUMN
/// where there is no QEMU, or a quote has no end.
Result<std::vector<Word>> command_words(std::string_view text, const std::string& label,
                                        ForeignGuest& guest);

/// Adds what names and files tell of guests that gpuvm cannot run.
void find_hindrances(ForeignGuest& guest);

/// Whether a word is an option of QEMU that gpuvm convert knows: "-m", "--name".
bool is_qemu_option(std::string_view word);

/// Adds what QEMU's options say to a guest.
void apply_options(const std::vector<Word>& words, ForeignGuest& guest);

}  // namespace gpuvm::convert
