// SPDX-License-Identifier: Apache-2.0
// Whether a text is YAML, as cloud-init's own parser (PyYAML's safe_load, YAML 1.1) would find when
// the guest boots. The parser is libyaml, whose dialect that is. Nothing is made of the values.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"

namespace gpuvm {

enum class YamlRoot {
  kNothing,  ///< no document, or one of comments
  kMapping,
  kOther,
};

/// What the only document of the text is. Errors: kConfig, "LABEL:LINE:COLUMN: what is wrong".
Result<YamlRoot> parse_yaml(std::string_view text, const std::string& label);

}  // namespace gpuvm
