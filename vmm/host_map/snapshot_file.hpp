// SPDX-License-Identifier: Apache-2.0
// A saved host as one file: JSON (RFC 8259) with "gpuvm_host", its version, "remarks", and "root",
// a folder. A folder is an object of names; "->" in it is what the symbolic link says that the
// folder is reached by. A text is a file, ["bytes", SIZE, "HEX"] one of bytes, whose zeros at the
// end are left out. docs/gpu-setup.md tells what is in it.
#pragma once

#include <string>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host_map/host_copy.hpp"

namespace gpuvm {

constexpr std::uint64_t kSnapshotVersion = 1;
/// Larger files are not read. A host of 500 functions has 5 MiB.
constexpr std::uint64_t kMostSnapshotBytes = 32_MiB;

std::string to_snapshot_text(const HostCopy& host, std::string_view gpuvm_version);

/// The file is somebody else's and hostile: sizes, depth, names and numbers have limits. Errors:
/// kConfig, with the place.
Result<HostCopy> parse_snapshot(std::string_view text);
/// Errors: kConfig with the file's name.
Result<HostCopy> load_snapshot(const std::string& path);

}  // namespace gpuvm
