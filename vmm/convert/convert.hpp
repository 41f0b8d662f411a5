// SPDX-License-Identifier: Apache-2.0
// What another monitor starts a guest with, a domain of libvirt or a command line of QEMU, as a
// configuration of gpuvm: text in, text out. No file is opened and the host is not looked at.
// Sources: libvirt.org/formatdomain.html, qemu(1), POSIX.1-2017 XCU 2 for the shell's words.
// All that the text says is in the result: as a key, as a comment with what to do, or by its name
// in the last comment, which lists what needs no key. Missing: QEMU's configuration files
// (-readconfig), and what a script does besides assignments and one command: conditions, loops and
// functions are read as if each line were run once, and told.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// Whose text it is.
enum class ForeignText {
  kAuto,     ///< by what is in it
  kLibvirt,  ///< `virsh dumpxml`, or devices of it
  kQemu,     ///< a command line, or a shell script with one
};

struct ConvertSource {
  std::string label;  ///< how messages name the text: the file as the user gave it
  ForeignText kind = ForeignText::kAuto;
};

struct ConvertedGuest {
  std::string toml;       ///< parse_config() takes it, unless its first comment says what is wrong
  std::size_t notes = 0;  ///< how many comments say that something has no counterpart
  /// Why gpuvm cannot run this guest as it is, a line each: another architecture, another system
  /// than Linux. They are the first comments, too.
  std::vector<std::string> hindrances = {};
  bool is_valid = true;  ///< parse_config() takes it
};

/// The largest text that is read.
inline constexpr std::size_t kMostForeignText = 1 << 20;  ///< bytes

/// Errors: kConfig, one line with LABEL:LINE:COLUMN and the cure, where the text is neither, is too
/// large or cannot be read. Any thread.
Result<ConvertedGuest> convert_guest(std::string_view text, const ConvertSource& source);

}  // namespace gpuvm
