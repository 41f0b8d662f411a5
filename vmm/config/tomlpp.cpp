// SPDX-License-Identifier: Apache-2.0
// toml++ itself, compiled once; see tomlpp.hpp.
#define TOML_IMPLEMENTATION
#include "vmm/config/tomlpp.hpp"
