// SPDX-License-Identifier: Apache-2.0
// Name-based UUIDs, version 5 (RFC 9562, 5.5): the same name always gives the same UUID.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <string>
#include <string_view>

namespace gpuvm {

/// 16 bytes in the order of the text form (RFC 9562, 4).
struct Uuid {
  std::array<std::byte, 16> bytes{};
  std::string to_string() const;  ///< "33db4d5b-1ff7-401c-9657-7441c03dd766"
  bool operator==(const Uuid&) const = default;
};

using Sha1Digest = std::array<std::byte, 20>;
/// SHA-1 (RFC 3174, 6.1). For names only: it protects nothing.
Sha1Digest sha1(std::span<const std::byte> message);

Uuid name_based_uuid(const Uuid& name_space, std::string_view name);

/// The UUID of the virtual machine of this name, in a name space of ours: stable over restarts and
/// hosts, so that a guest keeps its identity.
Uuid machine_uuid(std::string_view machine_name);

}  // namespace gpuvm
