// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what to tell a user whose key is not known.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gpuvm::config {

/// A key that may stand somewhere, and how a user writes it there.
struct KnownName {
  enum class Kind {
    kValue,
    kTable,  ///< of the root: "[machine]"
    kList,   ///< of the root: "[[pci]]"
  };
  std::string_view name;
  Kind kind = Kind::kValue;

  std::string shown() const;
};

/// Follows "Unknown key …": "; did you mean cpus?", or what to do instead, or "" when there is
/// nothing to guess. `section` is where the key stands ("" for the root, "pci" for an entry of
/// [[pci]]), `known` the keys that may stand there.
std::string suggestion(std::string_view section, std::string_view name,
                       std::span<const KnownName> known);

}  // namespace gpuvm::config
