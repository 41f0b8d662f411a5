// SPDX-License-Identifier: Apache-2.0
// Internal to this room: what the files about QEMU's disks share.
#pragma once

#include "vmm/convert/qemu_parts.hpp"

namespace gpuvm::convert {

/// The disk that a node of -blockdev is, with what the nodes below it say; they count as used.
/// Nothing where there is no such node.
std::optional<ForeignDisk> disk_of_node(QemuParts& parts, const std::string& name);

/// "none" of cache.direct=on and so on; `prefix` is of a node below, "file.".
std::string cache_of(OptionList& options, const std::string& prefix);
/// A file's path; what is elsewhere ("rbd:pool/image") becomes a note.
void set_path(ForeignDisk& disk, std::string path);

}  // namespace gpuvm::convert
