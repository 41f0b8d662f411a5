// SPDX-License-Identifier: Apache-2.0
// What values each key of a configuration takes, for tools that write configurations. The readers
// of the sections say it themselves: they are run over documents that have every section, and what
// they ask for is noted. Missing: what holds between keys, and which keys are required, since a
// file may be completed by --set.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace gpuvm {

/// One of the forms that a key's value may have.
struct KeyForm {
  enum class Kind {
    kBoolean,
    kInteger,
    kString,
    kIntegers,  ///< a list
    kStrings,   ///< a list
    kTable,     ///< whose keys are among the others, with this one's name and a dot before theirs
    kTables,    ///< a list of such tables
    kFreeTable  ///< its keys are the user's
  };
  Kind kind;
  std::int64_t least = 0;               ///< of integers
  std::int64_t most = 0;                ///< of integers, included
  std::vector<std::string> words = {};  ///< of a string that is one of these; empty: any
  std::string rule = {};  ///< of strings: what messages say that it must be; may be ""
};

/// By the key's name as config_keys() has it, "pci.host", and those of tables in sections too,
/// "pci.resize_bar.size". "" is a table: the root.
using KeyForms = std::map<std::string, std::vector<KeyForm>>;

/// Empty on a bug in gpuvm, which a unit test finds.
KeyForms config_key_forms();

}  // namespace gpuvm
