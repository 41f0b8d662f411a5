// SPDX-License-Identifier: Apache-2.0
// What the lines of a check say of each thing that a preview finds (vmm/machine/preview): where
// they stand, what is well where it passes, why it matters and what cures it.
#pragma once

#include <string_view>

#include "vmm/config/config.hpp"

namespace gpuvm {

enum class FindingAbout {
  kHost,    ///< told by add_host_lines()
  kGuest,   ///< files of the configuration, programs and memory of this machine
  kDevice,  ///< of a saved host, too
};

struct FindingWords {
  std::string_view check;  ///< Finding::check
  FindingAbout about;
  std::string_view good;  ///< what is well where it passes
  std::string_view why;   ///< it matters
  std::string_view cure;  ///< where it fails, beside what the error says
  /// Whether a guest has any of it, where not every guest does.
  bool (*concerns)(const Config&) = nullptr;
};

/// Null: nobody has written any for this check.
const FindingWords* find_finding_words(std::string_view check);

}  // namespace gpuvm
