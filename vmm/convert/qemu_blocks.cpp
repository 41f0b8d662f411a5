// SPDX-License-Identifier: Apache-2.0
// -blockdev of a QEMU command line: chains of nodes, of which the lowest has the file, the others
// its format and limits.
#include "vmm/convert/qemu_blocks.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr unsigned kMostChained = 16;     ///< nodes below one
constexpr std::size_t kMostBlocks = 512;  ///< in all

/// Drivers that say nothing of the data's form.
bool is_plain_driver(std::string_view driver) {
  static constexpr std::string_view kPlain[] = {
      "raw",      "file",     "host_device", "host_cdrom",      "throttle",     "copy-on-read",
      "compress", "io_uring", "preallocate", "snapshot-access", "nvme-io_uring"};
  return std::find(std::begin(kPlain), std::end(kPlain), driver) != std::end(kPlain);
}

/// Drivers whose data is elsewhere than in a file of the host.
bool is_remote_driver(std::string_view driver) {
  static constexpr std::string_view kRemote[] = {"rbd",   "nbd",     "iscsi",   "nfs",  "ssh",
                                                 "https", "http",    "ftp",     "ftps", "gluster",
                                                 "nvme",  "null-co", "null-aio"};
  return std::find(std::begin(kRemote), std::end(kRemote), driver) != std::end(kRemote);
}

/// One node, whose properties begin with `prefix`.
QemuBlock read_block(QemuParts& parts, OptionList& options, const std::string& prefix) {
  QemuBlock block;
  block.line = options.line();
  block.argument = options.argument();
  block.driver = options.text(prefix + "driver");
  block.path = options.text(prefix + "filename");
  block.throttle = options.text(prefix + "throttle-group");
  block.read_only = options.is_on(prefix + "read-only");
  block.cache = cache_of(options, prefix);
  block.discard = options.text(prefix + "discard");
  block.below = options.text(prefix + "file");
  for (const auto* const name :
       {"aio", "detect-zeroes", "auto-read-only", "locking", "cache.writeback", "aio-max-batch",
        "drop-cache", "x-check-cache-dropped", "l2-cache-size", "cache-size", "discard-no-unref",
        "pr-manager"}) {
    options.needs_no_key("-blockdev", parts.guest, {prefix + name});
  }
  for (const auto* const name : {"size", "offset", "backing", "encrypt.format", "key-secret"}) {
    if (const auto value = options.take(prefix + name); value && *value != "null") {
      const bool is_size = name == std::string_view("size");
      if (is_size) {  // Proxmox: the variables without what their volume has behind them
        parts.guest.needs_no_key(fmt::format("-blockdev {}={}", name, *value));
      } else {
        block.notes.push_back({fmt::format("-blockdev {}={}", name, *value), block.line,
                               std::string(advice::kUnknown)});
      }
    }
  }
  if (is_remote_driver(block.driver)) {
    block.notes.push_back(
        {"-blockdev " + options.argument(), block.line, std::string(advice::kRemoteDisk)});
    block.path.clear();
  }
  return block;
}

/// The upper of two nodes counts; that the lower says something else is told.
void set_once(std::string_view name, const std::string& value, const QemuBlock& block,
              std::string& known, Notes& notes) {
  if (known.empty()) {
    known = value;
  } else if (!value.empty() && value != known) {
    notes.push_back({fmt::format("-blockdev {}={}", name, value), block.line,
                     fmt::format("the node above says {}, which is taken", known)});
  }
}

/// What a node adds to the disk that is above it.
void add_to_disk(QemuParts& parts, const QemuBlock& block, ForeignDisk& disk) {
  if (!is_plain_driver(block.driver) && !is_remote_driver(block.driver)) {
    set_once("driver", block.driver, block, disk.format, disk.notes);
  }
  disk.path = block.path.empty() ? disk.path : block.path;
  disk.read_only = disk.read_only || block.read_only;
  set_once("cache", block.cache, block, disk.cache, disk.notes);
  set_once("discard", block.discard, block, disk.discard, disk.notes);
  disk.notes.insert(disk.notes.end(), block.notes.begin(), block.notes.end());
  if (block.throttle.empty()) {
    return;
  }
  const auto group = parts.throttles.find(block.throttle);
  if (group == parts.throttles.end()) {
    disk.notes.push_back({"throttle-group=" + block.throttle, block.line,
                          "its -object is not in this text: write disk.throttle by hand"});
    return;
  }
  group->second.is_used = true;
  disk.iops = group->second.iops;
  disk.bandwidth = group->second.bandwidth;
  const auto& notes = group->second.notes;
  disk.notes.insert(disk.notes.end(), notes.begin(), notes.end());
}

}  // namespace

void add_blockdev(QemuParts& parts, OptionList options) {
  const std::string name = options.text("node-name");
  std::string prefix;
  std::string above = name;
  for (unsigned depth = 0; depth < kMostChained; ++depth) {
    QemuBlock block = read_block(parts, options, prefix);
    prefix += "file.";
    const bool is_deeper = options.has(prefix + "driver");
    if (is_deeper) {
      block.below = fmt::format("{}/{}", name, depth + 1);  // no name of QEMU's has a slash
    }
    const std::string below = options.text(prefix + "node-name");
    block.below = is_deeper && !below.empty() ? below : block.below;
    const std::string next = block.below;
    if (!is_deeper && block.path.empty()) {
      block.path = options.text(prefix + "filename");  // "file.filename=/a", the driver by itself
    }
    if (parts.blocks.size() >= kMostBlocks) {
      parts.guest.note("", "-blockdev " + options.argument(), options.line(),
                       "there are more of them than gpuvm convert takes: this one is left out");
      return;
    }
    parts.blocks[above] = std::move(block);
    if (!is_deeper) {
      break;
    }
    above = next;
  }
  if (const auto found = parts.blocks.find(name); found != parts.blocks.end()) {
    options.tell_rest("-blockdev", found->second.notes);
  }
}

std::optional<ForeignDisk> disk_of_node(QemuParts& parts, const std::string& name) {
  auto block = parts.blocks.find(name);
  if (name.empty() || block == parts.blocks.end()) {
    return std::nullopt;
  }
  ForeignDisk disk;
  disk.line = block->second.line;
  disk.drive = name;
  for (unsigned depth = 0; depth < kMostChained && block != parts.blocks.end(); ++depth) {
    block->second.is_used = true;
    add_to_disk(parts, block->second, disk);
    if (block->second.below.empty()) {
      break;
    }
    const std::string& below = block->second.below;
    block = parts.blocks.find(below);
    if (block == parts.blocks.end()) {
      disk.notes.push_back(
          {"node " + below, disk.line, "its -blockdev is not in this text: name the file as path"});
    }
  }
  disk.format = disk.format.empty() ? "raw" : disk.format;
  disk.what = "blockdev " + disk.path;
  return disk;
}

}  // namespace gpuvm::convert
