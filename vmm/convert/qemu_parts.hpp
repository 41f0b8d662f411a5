// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the parts of a QEMU command line, each in a file of its own. What is named
// in one option and used in another (a drive, a netdev, a character device) waits here meanwhile.
#pragma once

#include <map>
#include <string>

#include "vmm/convert/foreign_guest.hpp"
#include "vmm/convert/option_list.hpp"

namespace gpuvm::convert {

struct QemuParts {
  ForeignGuest& guest;
  std::map<std::string, std::string> chardevs = {};    ///< by id; as console.serial has them, or ""
  std::map<std::string, std::uint64_t> memories = {};  ///< of memory backends, bytes
  std::map<std::string, std::optional<unsigned>> nodes = {};  ///< of memory backends, the host's
  std::map<std::string, std::string> folders = {};            ///< of -fsdev
  std::size_t flash = 0;                                      ///< how many pflash drives there were
};

/// -device: whatever it is.
void add_device(QemuParts& parts, OptionList options);
/// -drive and the like.
void add_drive(QemuParts& parts, OptionList options);
void add_blockdev(QemuParts& parts, OptionList options);
void add_image(QemuParts& parts, const Word& path, bool is_cdrom);
/// The disk that a device shows.
void use_drive(QemuParts& parts, const std::string& driver, OptionList options);
/// -netdev, -nic and -net.
void add_netdev(QemuParts& parts, OptionList options, const std::string& what);
/// The card of a netdev.
void use_netdev(QemuParts& parts, const std::string& driver, OptionList options);
/// -smp, -m, -cpu, -machine, -numa, -object.
void set_cpus(QemuParts& parts, OptionList options);
void set_memory(QemuParts& parts, OptionList options);
void set_cpu(QemuParts& parts, OptionList options);
void set_machine(QemuParts& parts, OptionList options);
void add_node(QemuParts& parts, OptionList options);
void add_object(QemuParts& parts, OptionList options);
/// -serial, and "pty" and the like elsewhere: as console.serial has it; nothing and a note for
/// others.
std::optional<std::string> place_of_serial(QemuParts& parts, const Word& word);
void add_chardev(QemuParts& parts, OptionList options);

/// The name of a feature as /proc/cpuinfo has it, of QEMU's or libvirt's.
std::string feature_name(std::string_view name);
/// Adds one of Hyper-V's enlightenments; those that gpuvm has not become a note.
void add_enlightenment(ForeignGuest& guest, std::string_view name, std::size_t line);

}  // namespace gpuvm::convert
