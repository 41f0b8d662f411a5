// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/reset_words.hpp"

namespace gpuvm {

std::string method_text(const ResetSet& set) {
  std::string text;
  for (const ResetMethod method : set.rungs) {
    text += (text.empty() ? "" : "; where its check fails, ") + std::string(to_string(method));
  }
  return text;
}

Status check_has_reset(const ResetSet& set) {
  if (!set.rungs.empty()) {
    return {};
  }
  return fail(
      ErrorKind::kUnsafeDevice,
      "No safe reset of {} is known; `gpuvm inspect` shows why under \"resets\", and reset = "
      "\"none\" goes without",
      set.names());
}

}  // namespace gpuvm
