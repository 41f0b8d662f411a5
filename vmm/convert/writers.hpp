// SPDX-License-Identifier: Apache-2.0
// Internal to this room: sections of a configuration, made of a foreign guest. Their order and that
// of their keys is configs/reference.toml's.
#pragma once

#include <vector>

#include "vmm/convert/foreign_guest.hpp"
#include "vmm/convert/toml_text.hpp"

namespace gpuvm::convert {

/// A path of the configuration: "$…" and "~…" would be refused there, since nothing is put in for
/// them; "./" before them is taken.
std::string path_text(std::string_view path);

/// Takes what needs no key from the functions' properties into the list of it, and tells those that
/// are named twice. Before pci_sections().
void settle_functions(ForeignGuest& guest);
/// [[pci]]: one for each slot of the host, or more where several of its functions have keys of
/// their own.
std::vector<TomlSection> pci_sections(const ForeignGuest& guest);
/// [[disk]]; `starts_from_disk`: firmware runs that looks for a boot loader.
std::vector<TomlSection> disk_sections(const ForeignGuest& guest, bool starts_from_disk);
std::vector<TomlSection> net_sections(const ForeignGuest& guest);
std::vector<TomlSection> share_sections(const ForeignGuest& guest);
/// name, [machine], [cpu] and [boot].
std::vector<TomlSection> head_sections(const ForeignGuest& guest);
std::vector<TomlSection> node_sections(const ForeignGuest& guest);
/// [vsock], and what is behind [[share]].
std::vector<TomlSection> vsock_section(const ForeignGuest& guest);
std::vector<TomlSection> tail_sections(const ForeignGuest& guest);

/// Whether the guest starts by UEFI, and not by a kernel that gpuvm loads.
bool is_uefi(const ForeignGuest& guest);

}  // namespace gpuvm::convert
