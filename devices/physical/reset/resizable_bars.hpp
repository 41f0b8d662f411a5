// SPDX-License-Identifier: Apache-2.0
// The sizes that a function's Resizable BAR capability has chosen (PCI Express Base 6.0, 7.8.6). A
// reset takes them back to what the device powers up with, and the host's kernel must write them
// anew; where it did not, the device decodes less than the host believes.
#pragma once

#include <cstdint>

#include "devices/physical/physical_device.hpp"

namespace gpuvm {

/// The codes (2 to the power of 20 + code, bytes) of all resizable BARs in their order, eight bits
/// each, the first in the lowest ones; 0: none, or codes of 0. Errors: kHost.
Result<std::uint64_t> read_bar_size_codes(PhysicalDevice& device);

}  // namespace gpuvm
