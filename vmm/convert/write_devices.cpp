// SPDX-License-Identifier: Apache-2.0
// [[disk]], [[net]] and [[share]].
#include <fmt/format.h>

#include <algorithm>

#include "vmm/base/mac_address.hpp"
#include "vmm/convert/advice.hpp"
#include "vmm/convert/values.hpp"
#include "vmm/convert/writers.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostDisks = 8;
constexpr std::size_t kMostNets = 4;
constexpr std::size_t kMostShares = 8;
constexpr std::string_view kTooMany =
    "there are no more than {} such sections: this one is left out as a comment";

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
         c == '_' || c == '.';
}

/// What the configuration takes as a serial number or tag; other characters become "-".
std::string plain_text(std::string_view text, std::size_t most) {
  std::string out(text.substr(0, most));
  std::replace_if(
      out.begin(), out.end(), [](char c) { return !is_plain(c); }, '-');
  return out;
}

void limit(std::vector<TomlSection>& sections, std::size_t most) {
  for (std::size_t i = most; i < sections.size(); ++i) {
    sections[i].note("section", 0, fmt::format(fmt::runtime(kTooMany), most));
    sections[i].leave_out();
  }
}

/// The configuration's word; "" where nothing is said or it is the default.
std::string format_of(const ForeignDisk& disk, TomlSection& section) {
  static constexpr std::string_view kFormats[] = {"qcow2", "vmdk", "vdi", "vhdx"};
  std::string format = lower(disk.format);
  if (format.empty() && !disk.cdrom) {
    const auto dot = disk.path.rfind('.');
    const std::string end = dot == std::string::npos ? "" : lower(disk.path.substr(dot + 1));
    const bool is_known =
        std::find(std::begin(kFormats), std::end(kFormats), end) != std::end(kFormats);
    section.note(disk.what, disk.line, advice::kFormatGuessed);
    return is_known ? end : "";
  }
  if (format.empty() || format == "raw" || format == "file" || format == "host_device" ||
      format == "host_cdrom") {
    return "";
  }
  if (std::find(std::begin(kFormats), std::end(kFormats), format) == std::end(kFormats)) {
    section.note(fmt::format("{} of format {}", disk.what, format), disk.line,
                 "this format is not read: qemu-img convert -O qcow2 OLD NEW makes another, and "
                 "format = \"qcow2\" with path goes there");
    section.leave_out();
    return "";
  }
  return format;
}

void write_cache(const ForeignDisk& disk, TomlSection& section) {
  const std::string cache = lower(disk.cache);
  if (cache == "none" || cache == "unsafe") {
    section.set_text("cache", cache);
  } else if (cache == "off") {
    section.set_text("cache", "none");
  } else if (cache == "directsync") {
    section.set_text("cache", "none");
    section.note("cache=" + cache, disk.line, advice::kWriteThrough);
  } else if (cache == "writethrough") {
    section.note("cache=" + cache, disk.line, advice::kWriteThrough);
  } else if (!cache.empty() && cache != "writeback" && cache != "default") {
    section.note("cache=" + disk.cache, disk.line, advice::kUnknownValue);
  }
  const std::string discard = lower(disk.discard);
  if (discard == "ignore" || discard == "off") {
    section.set("discard", "false");
  } else if (!discard.empty() && discard != "unmap" && discard != "on") {
    section.note("discard=" + disk.discard, disk.line, advice::kUnknownValue);
  }
}

void write_limits(const ForeignDisk& disk, TomlSection& section) {
  constexpr std::uint64_t kMostQueues = 16;
  constexpr std::uint64_t kMostIops = 1'000'000'000;
  constexpr std::uint64_t kLeastBandwidth = 1 << 20;
  if (disk.queues && *disk.queues != 0) {
    section.set("queues", fmt::format("{}", std::min(*disk.queues, kMostQueues)));
  }
  if (disk.queues && (*disk.queues == 0 || *disk.queues > kMostQueues)) {
    section.note(fmt::format("queues={}", *disk.queues), disk.line, "a disk has 1 to 16 of them");
  }
  std::vector<std::string> limits;
  if (disk.iops != 0 && disk.iops <= kMostIops) {
    limits.push_back(fmt::format("iops = {}", disk.iops));
  } else if (disk.iops != 0) {
    section.note(fmt::format("iops={}", disk.iops), disk.line, "there are 1 to 1000000000 of them");
  }
  if (disk.bandwidth >= kLeastBandwidth) {
    limits.push_back(fmt::format("bandwidth = \"{}\"", memory_text(disk.bandwidth)));
  } else if (disk.bandwidth != 0) {
    section.note(fmt::format("bandwidth of {} bytes", disk.bandwidth), disk.line,
                 "it is at least 1MiB");
  }
  if (!limits.empty()) {
    section.set("throttle", fmt::format("{{ {} }}", fmt::join(limits, ", ")));
  }
}

void write_serial(const ForeignDisk& disk, bool is_raw, TomlSection& section) {
  const std::string serial = plain_text(disk.serial, 20);
  if (!serial.empty() && !is_raw) {
    section.note("serial=" + disk.serial, disk.line, advice::kNoSerial);
    return;
  }
  section.set_text("serial", serial);
  if (serial != disk.serial) {
    section.note("serial=" + disk.serial, disk.line,
                 "it has up to 20 letters, digits, \"-\", \"_\" and \".\" here");
  }
}

/// Whether what the guest writes is thrown away. An image for which that cannot be had is left out:
/// the other monitor would not have written to it.
bool write_throwaway(const ForeignDisk& disk, const std::string& format, TomlSection& section) {
  const bool is_wanted = disk.throwaway && !disk.read_only && !disk.cdrom;
  const bool is_possible = format.empty() || format == "qcow2";
  if (is_wanted && is_possible) {
    section.set("throwaway", "true");
  } else if (is_wanted) {
    section.note(fmt::format("{}, whose writes are thrown away,", disk.what), disk.line,
                 "throwaway goes with raw and qcow2 images only, and without it the guest would "
                 "write to this one: qemu-img convert -O qcow2 OLD NEW, and name that");
    section.leave_out();
  }
  return is_wanted && is_possible;
}

TomlSection section_of(const ForeignDisk& disk, bool is_first) {
  TomlSection section("[[disk]]");
  section.set_text("path", path_text(disk.path));
  const std::string format = format_of(disk, section);
  section.set_text("format", format);
  if (disk.read_only || disk.cdrom) {
    section.set("readonly", "true");
  }
  const bool is_throwaway = write_throwaway(disk, format, section);
  if (is_first) {
    section.set("boot", "true");
  }
  write_serial(disk, format.empty() && !is_throwaway, section);
  write_cache(disk, section);
  write_limits(disk, section);
  const std::string where = disk.bus.empty() ? "" : " on " + disk.bus;
  if (disk.cdrom) {
    section.note(disk.what + where, disk.line, advice::kCdrom);
  } else if (!disk.bus.empty() && disk.bus != "virtio") {
    section.note(disk.what + where, disk.line, advice::kVirtioDisk);
  }
  section.add_notes(disk.notes);
  return section;
}

void write_card(const ForeignNet& net, TomlSection& section) {
  const auto mac = MacAddress::parse(net.mac);
  if (mac && mac->is_unicast()) {
    section.set_text("mac", mac->to_string());
  } else if (!net.mac.empty()) {
    section.note("mac " + net.mac, net.line, advice::kUnknownValue);
  }
  const std::uint64_t most_mtu = net.is_user ? 65520 : 65535;
  if (net.mtu && *net.mtu >= 68 && *net.mtu <= most_mtu) {
    section.set("mtu", fmt::format("{}", *net.mtu));
  } else if (net.mtu) {
    section.note(fmt::format("mtu {}", *net.mtu), net.line,
                 fmt::format("it is 68 to {} bytes", most_mtu));
  }
  if (!net.model.empty() && !net.model.starts_with("virtio")) {
    section.note(fmt::format("{} of model {}", net.what, net.model), net.line, advice::kVirtioCard);
  }
}

void write_tap(const ForeignNet& net, TomlSection& section) {
  constexpr std::uint64_t kMostDescriptor = 1U << 20;
  constexpr std::uint64_t kMostPairs = 8;
  const bool has_descriptor = net.fd && *net.fd >= 3 && *net.fd <= kMostDescriptor;
  if (has_descriptor) {
    section.set("fd", fmt::format("{}", *net.fd));
  } else {
    section.set_text("tap", net.tap);
    section.set_text("bridge", net.bridge);
  }
  if (net.queues && *net.queues > 1 && !has_descriptor) {
    section.set("queues", fmt::format("{}", std::min(*net.queues, kMostPairs)));
  }
  if (net.queues && (*net.queues > kMostPairs || *net.queues == 0 || has_descriptor)) {
    section.note(fmt::format("queues={}", *net.queues), net.line,
                 has_descriptor ? "a tap with a descriptor has one pair of queues"
                                : "a network card has 1 to 8 pairs of queues");
  }
  if (!has_descriptor && net.tap.empty() && net.bridge.empty() && !net.is_left_out) {
    section.note(net.what, net.line, "it has no tap and no bridge: name one of them here");
    section.leave_out();
  }
}

TomlSection section_of(const ForeignNet& net) {
  TomlSection section("[[net]]");
  section.set_text("mode", net.is_user ? "user" : "tap");
  if (net.is_user && !net.forward.empty()) {
    section.set("forward", quoted_list(net.forward));
  }
  write_card(net, section);
  if (!net.is_user) {
    write_tap(net, section);
  } else if (net.queues && *net.queues > 1) {
    section.note(fmt::format("queues={}", *net.queues), net.line,
                 "with mode = \"user\" there is one pair of queues");
  }
  section.add_notes(net.notes);
  if (net.is_left_out) {
    section.leave_out();
  }
  return section;
}

}  // namespace

std::string path_text(std::string_view path) {
  const bool is_refused = path.starts_with('$') || path.starts_with('~');
  return (is_refused ? "./" : "") + std::string(path);
}

std::vector<TomlSection> disk_sections(const ForeignGuest& guest, bool starts_from_disk) {
  std::vector<TomlSection> sections;
  const ForeignDisk* first = nullptr;
  for (const auto& disk : guest.disks) {
    const bool is_sooner = disk.boot_order && disk.is_used && !disk.path.empty() &&
                           (first == nullptr || *disk.boot_order < *first->boot_order);
    first = is_sooner ? &disk : first;
  }
  for (const auto& disk : guest.disks) {
    if (!disk.is_used) {
      continue;
    }
    sections.push_back(section_of(disk, starts_from_disk && &disk == first));
    if (disk.path.empty()) {
      sections.back().note(disk.what, disk.line,
                           "it has no file: name the image here, or remove the section");
      sections.back().leave_out();
    }
  }
  limit(sections, kMostDisks);
  return sections;
}

std::vector<TomlSection> net_sections(const ForeignGuest& guest) {
  std::vector<TomlSection> sections;
  for (const auto& net : guest.nets) {
    sections.push_back(section_of(net));
  }
  limit(sections, kMostNets);
  return sections;
}

std::vector<TomlSection> share_sections(const ForeignGuest& guest) {
  std::vector<TomlSection> sections;
  for (const auto& share : guest.shares) {
    TomlSection section("[[share]]");
    const std::string tag = plain_text(share.tag, 36);
    section.set_text("path", path_text(share.path));
    section.set_text("tag", tag);
    if (share.read_only) {
      section.set("readonly", "true");
    }
    if (tag != share.tag) {
      section.note("tag " + share.tag, share.line,
                   "it has up to 36 letters, digits, \"-\", \"_\" and \".\" here: change the "
                   "guest's mount, too");
    }
    section.add_notes(share.notes);
    if (share.path.empty() || tag.empty()) {
      section.note(share.what, share.line, "it has no folder or no tag: name both here");
      section.leave_out();
    }
    sections.push_back(std::move(section));
  }
  limit(sections, kMostShares);
  return sections;
}

}  // namespace gpuvm::convert
