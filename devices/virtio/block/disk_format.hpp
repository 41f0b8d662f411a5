// SPDX-License-Identifier: Apache-2.0
// Whether the first bytes of a file look like a container format's. It is asked to refuse, never to
// choose: a guest could write such bytes to its raw disk, and a host that obeyed them would open
// the files that they name.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

namespace gpuvm {

constexpr std::size_t kFormatProbe = 512;  ///< as many bytes as are looked at

/// "qcow2", "vmdk", "vdi", "vhdx"; empty: none that is known.
std::string_view container_format(std::span<const char> start);

}  // namespace gpuvm
