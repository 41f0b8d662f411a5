// SPDX-License-Identifier: Apache-2.0
// A write to a sysfs attribute that may sleep for ever in the kernel: unbind waits until a driver
// lets go of a device, which nvidia's does only when nobody has it open any more (NVIDIA
// open-gpu-kernel-modules, kernel-open/nvidia/nv-pci.c, nv_pci_remove). A thread that sleeps so
// keeps its whole process alive, with its files and locks, so a child does it, which has none of
// them. (Nor has it mapped regions: MappedRegion.)
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "vmm/base/result.hpp"

namespace gpuvm {

/// Opens the file and writes the text with one write(2). False: that has not come back within
/// `limit`; the kernel kills the child then, which ends it at once or, if it sleeps for good, when
/// the kernel has done what was asked for. Errors: kHost with errno's text. Any thread.
Result<bool> write_patiently(const std::string& path, const std::string& text,
                             std::chrono::milliseconds limit);

/// As write_patiently(), for who knows what the attribute's errors mean: 0 or an errno value;
/// nothing: it has not come back. With an `offset` the bytes go there. Errors: kHost: no child
/// could be made, or it was killed.
Result<std::optional<int>> try_write_patiently(const std::string& path, const std::string& bytes,
                                               std::optional<std::uint64_t> offset,
                                               std::chrono::milliseconds limit);

}  // namespace gpuvm
