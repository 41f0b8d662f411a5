// SPDX-License-Identifier: Apache-2.0
// Internal to this room: a guest as another monitor describes it, in common terms. The readers fill
// it in, the writers make sections of it. Values are as they were written, and as little checked:
// what gpuvm does not take becomes a note when it is written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "vmm/base/bdf.hpp"

namespace gpuvm::convert {

/// Something without a counterpart.
struct Note {
  std::string what;      ///< as the text calls it: "<tpm>", "-device tpm-tis"
  std::size_t line = 0;  ///< of the text, from 1; 0: of no line
  std::string advice;    ///< why, and what to do
};
using Notes = std::vector<Note>;

/// A PCI function of the host, or of a vfio-user server.
struct ForeignFunction {
  std::size_t line = 0;
  Bdf host = {};
  std::string socket = {};  ///< of a vfio-user server, in place of host
  std::string id = {};      ///< QEMU's id, or libvirt's alias
  std::string bus = {};     ///< of the guest; empty: the root's
  bool managed = true;
  std::map<std::string, std::string> properties = {};  ///< by the names of QEMU's vfio-pci
  Notes notes = {};
};

struct ForeignDisk {
  std::size_t line = 0;
  std::string what = {};      ///< how notes call it
  std::string argument = {};  ///< of QEMU's option, as it was written
  std::string drive = {};     ///< QEMU's id of the drive
  std::string path = {};
  std::string format = {};  ///< empty: not said
  std::string bus = {};     ///< "virtio", "scsi", "sata"; empty: not said
  std::string cache = {};
  std::string discard = {};
  std::string serial = {};
  bool read_only = false;
  bool cdrom = false;
  bool throwaway = false;
  std::optional<std::uint64_t> boot_order = {};  ///< the least is started from
  std::optional<std::uint64_t> index = {};  ///< of QEMU's connectors of its bus; empty: not said
  std::optional<std::uint64_t> queues = {};
  std::uint64_t iops = 0;
  std::uint64_t bandwidth = 0;  ///< bytes a second
  bool is_used = true;          ///< false: a drive without a device
  Notes notes = {};
};

struct ForeignNet {
  std::size_t line = 0;
  std::string what = {};
  std::string id = {};   ///< QEMU's, of the netdev
  bool is_user = false;  ///< else a tap
  std::string tap = {};
  std::string bridge = {};
  std::optional<std::uint64_t> fd = {};
  std::vector<std::string> forward = {};  ///< as net.forward has them
  std::string mac = {};
  std::string model = {};  ///< empty: not said
  std::optional<std::uint64_t> mtu = {};
  std::optional<std::uint64_t> queues = {};
  bool has_card = true;      ///< false: a network of the host that no card is at
  bool is_left_out = false;  ///< only its notes are written
  Notes notes = {};
};

struct ForeignShare {
  std::size_t line = 0;
  std::string what = {};
  std::string path = {};
  std::string tag = {};
  bool read_only = false;
  Notes notes = {};
};

struct ForeignNode {
  std::size_t line = 0;
  std::vector<unsigned> cpus = {};
  std::uint64_t memory = 0;  ///< bytes; 0: not said
  std::optional<unsigned> host_node = {};
};

struct ForeignGuest {
  std::string name = {};
  std::vector<std::string> remarks = {};  ///< title and description
  std::optional<std::uint64_t> cpus = {};
  std::optional<std::uint64_t> memory = {};  ///< bytes
  std::string hugepages = {};                ///< as machine.hugepages; empty: none
  bool exit_on_reboot = false;
  std::map<unsigned, unsigned> pin = {};  ///< the host's CPU of a vCPU
  std::vector<std::string> hide = {};     ///< as cpu.hide
  bool hide_hypervisor = false;
  std::string hyperv_vendor_id = {};
  std::vector<std::string> hyperv = {};  ///< without "hv-"
  std::string kernel = {};
  std::string initrd = {};
  std::string cmdline = {};
  std::string firmware = {};
  std::string vars = {};
  std::string vars_template = {};
  std::string firmware_log = {};
  bool is_firmware_chosen = false;  ///< UEFI, of which libvirt chooses the files
  bool is_whole = true;             ///< false: only devices
  std::vector<ForeignFunction> functions = {};
  std::vector<ForeignNode> nodes = {};
  std::vector<ForeignDisk> disks = {};
  std::vector<ForeignNet> nets = {};
  bool has_vsock = false;
  std::optional<std::uint64_t> cid = {};
  std::vector<ForeignShare> shares = {};
  std::vector<std::pair<std::string, std::string>> fw_cfg = {};       ///< name and value
  std::vector<std::pair<std::string, std::string>> credentials = {};  ///< name and text
  std::optional<std::vector<std::string>> serial = {};                ///< as console.serial
  std::vector<std::string> virtio_console = {};
  bool exit_port = false;
  bool pvpanic = false;
  bool status_port = false;
  /// Why gpuvm cannot run this guest as it is (another architecture, another system): the first
  /// comments.
  Notes hindrances = {};
  /// What was read and needs no key: gpuvm does it by itself, always has it, or has no use for it.
  /// The last comment names it, so that nothing of the text is left out in silence.
  std::vector<std::string> keyless = {};
  /// By the section that they belong to, "machine"; "" for those of none.
  std::map<std::string, Notes, std::less<>> notes = {};

  void note(std::string_view section, std::string what, std::size_t line, std::string_view advice) {
    notes[std::string(section)].push_back({std::move(what), line, std::string(advice)});
  }
  void hinder(std::string what, std::size_t line, std::string_view why) {
    hindrances.push_back({std::move(what), line, std::string(why)});
  }
  void needs_no_key(std::string what) {
    constexpr std::size_t kMostKeyless = 4096;
    if (keyless.size() < kMostKeyless) {
      keyless.push_back(std::move(what));
    }
  }
  /// Adds one of a kind; what is beyond the most is told.
  template <class Thing>
  void add(std::vector<Thing>& things, std::size_t most, Thing thing, std::string what) {
    if (things.size() < most) {
      things.push_back(std::move(thing));
    } else {
      note("", std::move(what), thing.line,
           "there are more of them than gpuvm convert takes: this one is left out");
    }
  }
};

}  // namespace gpuvm::convert
