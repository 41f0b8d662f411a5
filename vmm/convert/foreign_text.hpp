// SPDX-License-Identifier: Apache-2.0
// Internal to this room: where in a text the guest is. Files come from editors of other systems,
// and from posts in forums.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/convert/convert.hpp"
#include "vmm/convert/foreign_guest.hpp"

namespace gpuvm::convert {

struct ForeignPage {
  std::string text;  ///< what is not of the guest is empty lines, so that lines keep their numbers
  bool is_domain = false;
  Notes notes = {};  ///< further guests in the text
};

/// Errors: kConfig, one line with the label and the cure, where the text is none, or is that of
/// another program whose guests are not read.
Result<ForeignPage> find_guest(std::string_view text, const ConvertSource& source);

}  // namespace gpuvm::convert
