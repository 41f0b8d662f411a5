// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the parts of a QEMU command line, each in a file of its own. What is named
// in one option and used in another (a drive, a netdev, a character device) waits here meanwhile;
// what nothing uses is told at the end.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "vmm/convert/foreign_guest.hpp"
#include "vmm/convert/option_list.hpp"

namespace gpuvm::convert {

/// What another option may use by its id.
struct QemuPart {
  std::size_t line = 0;
  std::string argument = {};  ///< of its option, as it was written
  bool is_used = false;
};

struct QemuChardev : QemuPart {
  std::string place = {};  ///< as console.serial has it; empty: gpuvm has no such place
};

struct QemuMemory : QemuPart {
  std::uint64_t size = 0;
  std::optional<unsigned> host_node = {};
  std::string hugepages = {};  ///< as machine.hugepages
  Notes notes = {};
};

struct QemuFolder : QemuPart {
  std::string path = {};
  bool read_only = false;
  Notes notes = {};
};

/// Of -object throttle-group.
struct QemuThrottle : QemuPart {
  std::uint64_t iops = 0;
  std::uint64_t bandwidth = 0;
  Notes notes = {};
};

/// A node of -blockdev, or one below it.
struct QemuBlock : QemuPart {
  std::string driver = {};
  std::string below = {};  ///< the node that it stands on
  std::string path = {};
  std::string throttle = {};
  bool read_only = false;
  std::string cache = {};
  std::string discard = {};
  Notes notes = {};
};

struct QemuParts {
  ForeignGuest& guest;
  std::map<std::string, QemuChardev> chardevs = {};
  std::map<std::string, QemuMemory> memories = {};
  std::map<std::string, QemuFolder> folders = {};
  std::map<std::string, QemuThrottle> throttles = {};
  std::map<std::string, QemuBlock> blocks = {};
  std::size_t flash = 0;       ///< how many pflash drives there were
  std::size_t first_disk = 0;  ///< of the guest's, that these options name
};

/// -device: whatever it is.
void add_device(QemuParts& parts, OptionList options);
/// -drive and the like.
void add_drive(QemuParts& parts, OptionList options);
void add_blockdev(QemuParts& parts, OptionList options);
/// -hda, -cdrom, or a word alone; `index`: the connector that the option stands for.
void add_image(QemuParts& parts, const Word& path, bool is_cdrom,
               std::optional<std::uint64_t> index = {});
/// Puts drives into the order of their connectors, and gives those without a bootindex QEMU's own
/// order of start: disks, then CD drives. After all devices.
void order_drives(QemuParts& parts);
/// The disk that a device shows.
void use_drive(QemuParts& parts, const std::string& driver, OptionList options);
/// The flash of -machine pflash0= and pflash1=.
void use_flash(QemuParts& parts, const std::string& node, std::size_t number, std::size_t line);
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
void set_accelerator(QemuParts& parts, OptionList options);
void add_object(QemuParts& parts, OptionList options);
/// Guest memory comes from there: its pages, and what there is to tell.
void use_memory(QemuParts& parts, QemuMemory& memory);
/// -global: a property of all devices of a kind.
void set_global(QemuParts& parts, const Word& word);
/// -serial, and "pty" and the like elsewhere: as console.serial has it; nothing and a note for
/// others.
std::optional<std::string> place_of_serial(QemuParts& parts, const Word& word);
void add_chardev(QemuParts& parts, OptionList options);
/// -device virtconsole and serial ports.
void add_console(QemuParts& parts, const std::string& driver, OptionList options);
/// -fsdev and -virtfs.
void add_folder(QemuParts& parts, OptionList options);
void add_virtfs(QemuParts& parts, OptionList options);

/// Tells what no option has used, after all of them.
void tell_unused(QemuParts& parts);

/// Whether a machine type is one of QEMU's PCs.
bool is_pc(std::string_view type);
/// The name of a feature as /proc/cpuinfo has it, of QEMU's or libvirt's.
std::string feature_name(std::string_view name);
/// Adds one of Hyper-V's enlightenments; those that gpuvm has not become a note.
void add_enlightenment(ForeignGuest& guest, std::string_view name, std::size_t line);

}  // namespace gpuvm::convert
