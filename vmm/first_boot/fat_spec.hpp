// SPDX-License-Identifier: Apache-2.0
// Internal to this room: FAT16 on disk ("Microsoft FAT Specification", 2005: 3.1 BPB, 3.2 extended
// BPB, 4 FAT, 6 directory entries, 7 long names). All numbers are little-endian, as is the host.
#pragma once

#include <array>
#include <cstdint>

namespace gpuvm::fat {

inline constexpr std::size_t kSectorSize = 512;
inline constexpr std::size_t kEntrySize = 32;
/// The type of a FAT follows from its clusters alone (3.5). Its least and most, with the distance
/// from both that the specification advises.
inline constexpr std::uint32_t kLeastClusters = 4085 + 16;
inline constexpr std::uint32_t kMostClusters = 65524 - 16;
inline constexpr std::uint8_t kFixedMedia = 0xf8;
inline constexpr std::uint16_t kEndOfChain = 0xffff;
inline constexpr std::uint8_t kExtendedSignature = 0x29;  ///< serial, label and type follow
inline constexpr std::uint8_t kAttributeReadOnly = 0x01;
inline constexpr std::uint8_t kAttributeVolume = 0x08;
inline constexpr std::uint8_t kAttributeLongName = 0x0f;
inline constexpr std::uint8_t kLastLongEntry = 0x40;
inline constexpr std::size_t kLongNamePerEntry = 13;
inline constexpr std::uint16_t kFirstOfJanuary1980 = 0x0021;

#pragma pack(push, 1)

struct BootSector {
  std::array<std::uint8_t, 3> jump;
  std::array<char, 8> oem_name;
  std::uint16_t bytes_per_sector;
  std::uint8_t sectors_per_cluster;
  std::uint16_t reserved_sectors;
  std::uint8_t fats;
  std::uint16_t root_entries;
  std::uint16_t total_sectors16;  ///< 0: see total_sectors32
  std::uint8_t media;
  std::uint16_t sectors_per_fat;
  std::uint16_t sectors_per_track;
  std::uint16_t heads;
  std::uint32_t hidden_sectors;
  std::uint32_t total_sectors32;
  std::uint8_t drive;
  std::uint8_t reserved;
  std::uint8_t extended_signature;
  std::uint32_t serial;
  std::array<char, 11> label;
  std::array<char, 8> type;
  std::array<std::uint8_t, 448> code;
  std::uint16_t signature;  ///< 0xaa55
};
static_assert(sizeof(BootSector) == kSectorSize);

struct DirectoryEntry {
  std::array<char, 11> name;  ///< of the file, with blanks behind name and extension
  std::uint8_t attributes;
  std::uint8_t reserved;
  std::uint8_t created_tenths;
  std::uint16_t created_time;
  std::uint16_t created_date;
  std::uint16_t accessed_date;
  std::uint16_t cluster_high;
  std::uint16_t written_time;
  std::uint16_t written_date;
  std::uint16_t cluster;
  std::uint32_t size;
};
static_assert(sizeof(DirectoryEntry) == kEntrySize);

/// Thirteen characters of a long name; the entries stand before the file's own, the last one first.
struct LongNameEntry {
  std::uint8_t order;  ///< from 1; kLastLongEntry is added to the last one's
  std::array<std::uint16_t, 5> name1;
  std::uint8_t attributes;  ///< kAttributeLongName
  std::uint8_t type;
  std::uint8_t checksum;  ///< of the short name
  std::array<std::uint16_t, 6> name2;
  std::uint16_t cluster;
  std::array<std::uint16_t, 2> name3;
};
static_assert(sizeof(LongNameEntry) == kEntrySize);

#pragma pack(pop)

}  // namespace gpuvm::fat
