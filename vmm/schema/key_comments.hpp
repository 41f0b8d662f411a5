// SPDX-License-Identifier: Apache-2.0
// What the comments of a reference configuration say of each key and section. The reference has one
// form, which a unit test of the configuration holds: a comment is followed by the key or section
// that it is about, commented out or not; several keys without a blank line between share the
// comment before the first.
#pragma once

#include <map>
#include <string>
#include <string_view>

namespace gpuvm::schema {

/// By name, "pci" and "pci.host"; lines end as in the reference, without their "# ". Of what stands
/// there twice the first comment counts.
std::map<std::string, std::string> key_comments(std::string_view reference);

}  // namespace gpuvm::schema
