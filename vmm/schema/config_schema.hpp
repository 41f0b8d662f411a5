// SPDX-License-Identifier: Apache-2.0
// A JSON Schema of gpuvm's configuration for editors: JSON Schema 2020-12 (json-schema.org). Types,
// words and ranges are those of the readers (config_key_forms()), descriptions those of the
// reference. What the readers alone know is missing: required keys, forms of strings, what holds
// between keys.
#pragma once

#include <string>

namespace gpuvm::schema {

/// JSON text, which ends in a line break. Any thread.
std::string config_schema();

}  // namespace gpuvm::schema
