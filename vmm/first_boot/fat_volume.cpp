// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/fat_volume.hpp"

#include <algorithm>
#include <cstring>

#include "vmm/base/units.hpp"
#include "vmm/first_boot/fat_spec.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kRootEntries = 512;
constexpr std::size_t kRootSize = kRootEntries * fat::kEntrySize;
constexpr std::uint8_t kFats = 2;
constexpr std::uint32_t kFirstCluster = 2;
constexpr std::size_t kMostFiles = 32;
constexpr std::size_t kLongestFileName = 64;

std::uint32_t clusters_of(const VolumeFile& file) {
  return static_cast<std::uint32_t>((file.contents.size() + fat::kSectorSize - 1) /
                                    fat::kSectorSize);
}

/// Where everything is, in sectors.
struct FatLayout {
  std::uint32_t clusters = 0;
  std::uint32_t sectors_per_fat = 0;
  std::uint32_t root = 0;
  std::uint32_t data = 0;
  std::uint32_t total = 0;
};

FatLayout plan_volume(std::uint32_t clusters_needed) {
  FatLayout layout;
  layout.clusters = std::max(clusters_needed, fat::kLeastClusters);
  const std::uint32_t entries = layout.clusters + kFirstCluster;
  layout.sectors_per_fat = static_cast<std::uint32_t>(
      (entries * sizeof(std::uint16_t) + fat::kSectorSize - 1) / fat::kSectorSize);
  layout.root = 1 + kFats * layout.sectors_per_fat;
  layout.data = layout.root + static_cast<std::uint32_t>(kRootSize / fat::kSectorSize);
  layout.total = layout.data + layout.clusters;
  return layout;
}

/// "CIDATA     "
std::array<char, 11> padded_label(std::string_view label) {
  std::array<char, 11> padded;
  padded.fill(' ');
  std::copy(label.begin(), label.end(), padded.begin());
  return padded;
}

fat::BootSector boot_sector(const FatLayout& layout, std::string_view label, std::uint32_t serial) {
  fat::BootSector sector{};
  sector.jump = {0xeb, 0x3c, 0x90};
  sector.oem_name = {'g', 'p', 'u', 'v', 'm', ' ', ' ', ' '};
  sector.bytes_per_sector = fat::kSectorSize;
  sector.sectors_per_cluster = 1;
  sector.reserved_sectors = 1;
  sector.fats = kFats;
  sector.root_entries = kRootEntries;
  const bool is_small = layout.total < 0x10000;
  sector.total_sectors16 = static_cast<std::uint16_t>(is_small ? layout.total : 0);
  sector.total_sectors32 = is_small ? 0 : layout.total;
  sector.media = fat::kFixedMedia;
  sector.sectors_per_fat = static_cast<std::uint16_t>(layout.sectors_per_fat);
  sector.sectors_per_track = 32;
  sector.heads = 64;
  sector.drive = 0x80;
  sector.extended_signature = fat::kExtendedSignature;
  sector.serial = serial;
  sector.label = padded_label(label);
  sector.type = {'F', 'A', 'T', '1', '6', ' ', ' ', ' '};
  sector.code = {0xeb, 0xfe};  // a BIOS that starts it stays here
  sector.signature = 0xaa55;
  return sector;
}

/// "USERDA~1   ": unlike all others by its number, which is below 100.
std::array<char, 11> short_name(std::string_view name, std::size_t number) {
  std::array<char, 11> text;
  text.fill(' ');
  const std::string tail = fmt::format("~{}", number);
  std::size_t length = 0;
  for (const char c : name) {
    const bool is_small = c >= 'a' && c <= 'z';
    const bool is_usable = is_small || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (is_usable && length + tail.size() < 8) {
      text.at(length++) = static_cast<char>(is_small ? c - 'a' + 'A' : c);
    }
  }
  std::copy(tail.begin(), tail.end(), text.begin() + static_cast<std::ptrdiff_t>(length));
  return text;
}

std::uint8_t checksum_of(const std::array<char, 11>& name) {
  unsigned sum = 0;
  for (const char c : name) {
    sum = ((sum & 1U) << 7 | sum >> 1) + static_cast<unsigned char>(c);
    sum &= 0xff;
  }
  return static_cast<std::uint8_t>(sum);
}

/// The part of a long name that stands in one entry: its end is a 0, and 0xffff fills the rest.
fat::LongNameEntry long_entry(std::string_view name, std::size_t index, std::uint8_t checksum) {
  std::array<std::uint16_t, fat::kLongNamePerEntry> part;
  part.fill(0xffff);
  for (std::size_t i = 0; i < part.size(); ++i) {
    const std::size_t at = index * part.size() + i;
    if (at <= name.size()) {
      part.at(i) = at < name.size() ? static_cast<unsigned char>(name[at]) : 0;
    }
  }
  fat::LongNameEntry entry{};
  const bool is_last = (index + 1) * part.size() >= name.size();
  entry.order =
      static_cast<std::uint8_t>((index + 1) | (is_last ? fat::kLastLongEntry : std::size_t{0}));
  entry.attributes = fat::kAttributeLongName;
  entry.checksum = checksum;
  // Not std::copy: the fields are not aligned.
  std::memcpy(&entry.name1, part.data(), sizeof entry.name1);
  std::memcpy(&entry.name2, part.data() + 5, sizeof entry.name2);
  std::memcpy(&entry.name3, part.data() + 11, sizeof entry.name3);
  return entry;
}

/// Writes one thing after the other.
class VolumeWriter {
 public:
  explicit VolumeWriter(std::size_t size) : bytes_(size) {}
  void seek(std::size_t at) { at_ = at; }
  template <class Thing>
  void put(const Thing& thing) {
    std::memcpy(bytes_.data() + at_, &thing, sizeof thing);
    at_ += sizeof thing;
  }
  void put(std::string_view text) {
    if (!text.empty()) {
      std::memcpy(bytes_.data() + at_, text.data(), text.size());
    }
    at_ += text.size();
  }
  std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
  std::size_t at_ = 0;
};

void write_fat(VolumeWriter& writer, const std::vector<VolumeFile>& files) {
  writer.put(static_cast<std::uint16_t>(0xff00 | fat::kFixedMedia));
  writer.put(fat::kEndOfChain);  // the second entry: cleanly unmounted, no errors
  std::uint32_t cluster = kFirstCluster;
  for (const VolumeFile& file : files) {
    const std::uint32_t end = cluster + clusters_of(file);
    while (cluster < end) {
      ++cluster;
      writer.put(cluster < end ? static_cast<std::uint16_t>(cluster) : fat::kEndOfChain);
    }
  }
}

void write_root(VolumeWriter& writer, std::string_view label,
                const std::vector<VolumeFile>& files) {
  fat::DirectoryEntry volume{};
  volume.name = padded_label(label);
  volume.attributes = fat::kAttributeVolume;
  volume.written_date = fat::kFirstOfJanuary1980;
  writer.put(volume);
  std::uint32_t cluster = kFirstCluster;
  for (std::size_t i = 0; i < files.size(); ++i) {
    const VolumeFile& file = files[i];
    fat::DirectoryEntry entry{};
    entry.name = short_name(file.name, i + 1);
    entry.attributes = fat::kAttributeReadOnly;
    entry.created_date = entry.accessed_date = entry.written_date = fat::kFirstOfJanuary1980;
    entry.cluster = static_cast<std::uint16_t>(file.contents.empty() ? 0 : cluster);
    entry.size = static_cast<std::uint32_t>(file.contents.size());
    const std::size_t parts =
        (file.name.size() + fat::kLongNamePerEntry - 1) / fat::kLongNamePerEntry;
    for (std::size_t part = parts; part > 0; --part) {
      writer.put(long_entry(file.name, part - 1, checksum_of(entry.name)));
    }
    writer.put(entry);
    cluster += clusters_of(file);
  }
}

bool is_volume_name(std::string_view name) {
  return !name.empty() && name.size() <= kLongestFileName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
         });
}

Status check_input(std::string_view label, const std::vector<VolumeFile>& files) {
  const bool label_will_do =
      !label.empty() && label.size() <= 11 && std::all_of(label.begin(), label.end(), [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
      });
  const bool names_will_do =
      files.size() <= kMostFiles && std::all_of(files.begin(), files.end(), [](const auto& file) {
        return is_volume_name(file.name);
      });
  if (!label_will_do || !names_will_do) {
    return fail(ErrorKind::kInternal, "A volume {} cannot have these files", label);
  }
  std::size_t bytes = 0;
  for (const VolumeFile& file : files) {
    bytes += file.contents.size();
  }
  if (bytes > 31_MiB) {
    return fail(ErrorKind::kConfig, "The volume {} would have {} bytes; at most {} are accepted",
                label, bytes, 31_MiB);
  }
  return {};
}

}  // namespace

Result<std::vector<std::byte>> make_fat_volume(std::string_view label, std::uint32_t serial,
                                               const std::vector<VolumeFile>& files) {
  static_assert(31_MiB / fat::kSectorSize + kMostFiles <= fat::kMostClusters);
  TRY(check_input(label, files));
  std::uint32_t needed = 0;
  for (const VolumeFile& file : files) {
    needed += clusters_of(file);
  }
  const FatLayout layout = plan_volume(needed);
  VolumeWriter writer(layout.total * fat::kSectorSize);
  writer.put(boot_sector(layout, label, serial));
  for (std::uint32_t i = 0; i < kFats; ++i) {
    writer.seek((1 + i * layout.sectors_per_fat) * fat::kSectorSize);
    write_fat(writer, files);
  }
  writer.seek(layout.root * fat::kSectorSize);
  write_root(writer, label, files);
  std::size_t sector = layout.data;
  for (const VolumeFile& file : files) {
    writer.seek(sector * fat::kSectorSize);
    writer.put(std::string_view(file.contents));
    sector += clusters_of(file);
  }
  return std::move(writer).take();
}

}  // namespace gpuvm
