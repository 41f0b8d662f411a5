// SPDX-License-Identifier: Apache-2.0
#include "vmm/storage/image_header.hpp"

#include <algorithm>
#include <optional>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

// qcow2, "Header": offsets of big-endian fields.
constexpr std::size_t kVersion = 4;
constexpr std::size_t kBackingOffset = 8;  // 64 bits
constexpr std::size_t kBackingSize = 16;
constexpr std::size_t kDiskSize = 24;  // 64 bits
constexpr std::size_t kEncryption = 32;
constexpr std::size_t kIncompatible = 72;  // 64 bits, version 3
constexpr std::size_t kHeaderLength = 100;
constexpr std::size_t kLengthOfVersion2 = 72;
constexpr std::size_t kLeastLengthOfVersion3 = 104;
constexpr std::uint32_t kLongestBacking = 1023;
constexpr std::uint64_t kCorrupt = 1 << 1;
constexpr std::uint64_t kExternalData = 1 << 2;
constexpr std::uint64_t kKnownIncompatible = 0x1f;
constexpr std::uint32_t kBackingFormatExtension = 0xe2792aca;
constexpr std::size_t kMostExtensions = 64;

// VMDK, "Hosted Sparse Extent Header": offsets of little-endian fields.
constexpr std::size_t kVmdkCapacity = 12;  // 64 bits, sectors
constexpr std::size_t kVmdkDescriptorOffset = 28;
constexpr std::size_t kVmdkDescriptorSize = 36;
constexpr std::uint64_t kVmdkSector = 512;

std::string_view text_at(std::span<const std::byte> bytes, std::size_t offset, std::size_t size) {
  if (offset > bytes.size() || size > bytes.size() - offset) {
    return {};
  }
  // SAFETY: inside, and char may alias anything.
  return {reinterpret_cast<const char*>(bytes.data()) + offset, size};
}

/// Big-endian; past the end of the file it is 0.
template <class T>
T load_be(std::span<const std::byte> bytes, std::size_t offset) {
  T value = 0;
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    const std::size_t at = offset + i;
    value = static_cast<T>(value << 8 | (at < bytes.size() ? std::to_integer<T>(bytes[at]) : 0));
  }
  return value;
}

std::uint64_t load_64(std::span<const std::byte> bytes, std::size_t offset) {
  return load_at<std::uint64_t>(bytes, offset).value_or(0);
}

bool is_printable(std::string_view text) {
  return std::none_of(text.begin(), text.end(),
                      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

Error broken(const std::string& path, std::string_view what) {
  return fail(ErrorKind::kConfig, "The qcow2 image {} is broken: {}; see qemu-img check", path,
              what);
}

/// The text of the extension that names the backing file's format.
std::optional<std::string_view> backing_format(std::span<const std::byte> start,
                                               std::size_t offset) {
  for (std::size_t i = 0; i < kMostExtensions && offset + 8 <= start.size(); ++i) {
    const auto type = load_be<std::uint32_t>(start, offset);
    const auto size = load_be<std::uint32_t>(start, offset + 4);
    if (type == 0 || size > start.size()) {
      return std::nullopt;
    }
    if (type == kBackingFormatExtension) {
      return text_at(start, offset + 8, size);
    }
    offset += 8 + (size + std::size_t{7}) / 8 * 8;
  }
  return std::nullopt;
}

Status read_backing(std::span<const std::byte> start, const std::string& path,
                    std::size_t extensions, ImageHeader& header) {
  const auto offset = load_be<std::uint64_t>(start, kBackingOffset);
  const auto size = load_be<std::uint32_t>(start, kBackingSize);
  if (offset == 0 || size == 0) {
    return {};
  }
  if (size > kLongestBacking || offset > start.size() || size > start.size() - offset) {
    return broken(path, "its backing file's name lies outside its header");
  }
  const auto name = text_at(start, offset, size);
  if (!is_printable(name)) {
    return broken(path, "its backing file's name is no text");
  }
  header.backing = name;
  const auto format = backing_format(start, extensions);
  if (format == "qcow2") {
    header.backing_format = ImageFormat::kQcow2;
  } else if (format != "raw") {
    return fail(ErrorKind::kConfig,
                "{} says of its backing file {} {}, but not whether it is \"raw\" or \"qcow2\": "
                "qemu-img rebase -u -b {} -F raw|qcow2 {}",
                path, header.backing, format ? "another format" : "nothing of its format",
                header.backing, path);
  }
  return {};
}

Result<ImageHeader> parse_qcow2(std::span<const std::byte> start, const std::string& path) {
  const auto version = load_be<std::uint32_t>(start, kVersion);
  if (version != 2 && version != 3) {
    return fail(ErrorKind::kConfig, "{} is a qcow2 image of version {}: 2 and 3 are known", path,
                version);
  }
  std::size_t length = kLengthOfVersion2;
  std::uint64_t features = 0;
  if (version == 3) {
    features = load_be<std::uint64_t>(start, kIncompatible);
    length = load_be<std::uint32_t>(start, kHeaderLength);
    if (length < kLeastLengthOfVersion3 || length > start.size()) {
      return broken(path, "its header's length makes no sense");
    }
  }
  if (load_be<std::uint32_t>(start, kEncryption) != 0) {
    return fail(ErrorKind::kConfig,
                "{} is encrypted, which is not supported: make a copy that is not (qemu-img "
                "convert), and encrypt inside the guest or below the image",
                path);
  }
  if ((features & kCorrupt) != 0) {
    return fail(ErrorKind::kConfig, "{} is marked as corrupt: qemu-img check -r all {}", path,
                path);
  }
  if ((features & kExternalData) != 0) {
    return fail(ErrorKind::kConfig,
                "{} keeps its data in another file, which is not supported: make a copy of one "
                "file (qemu-img convert -O qcow2 OLD NEW)",
                path);
  }
  if ((features & ~kKnownIncompatible) != 0) {
    return fail(ErrorKind::kConfig, "{} needs a newer reader of qcow2 (features {:#x})", path,
                features);
  }
  ImageHeader header;
  header.size = load_be<std::uint64_t>(start, kDiskSize);
  TRY(read_backing(start, path, length, header));
  return header;
}

/// Of one file: sparse, with its description inside. Others name files of their choice.
Result<ImageHeader> parse_vmdk(std::span<const std::byte> start, const std::string& path) {
  const auto capacity = load_64(start, kVmdkCapacity);
  const auto offset = load_64(start, kVmdkDescriptorOffset);
  const auto sectors = load_64(start, kVmdkDescriptorSize);
  constexpr std::uint64_t kMostSectors = kImageStart / kVmdkSector;
  const auto description = offset < kMostSectors && sectors < kMostSectors
                               ? text_at(start, offset * kVmdkSector, sectors * kVmdkSector)
                               : std::string_view();
  if (capacity == 0 || capacity > (std::uint64_t{1} << 50) || description.empty()) {
    return fail(ErrorKind::kConfig,
                "{} is a VMDK of several files, or a broken one: make one file of it (qemu-img "
                "convert -O qcow2 OLD NEW)",
                path);
  }
  constexpr std::string_view kParent = "parentCID=";
  const auto parent = description.find(kParent);
  if (parent != std::string_view::npos &&
      description.substr(parent + kParent.size(), 8) != "ffffffff") {
    return fail(ErrorKind::kConfig,
                "{} is a snapshot of another VMDK: make one image of both (qemu-img convert -O "
                "qcow2 OLD NEW)",
                path);
  }
  return ImageHeader{.size = capacity * kVmdkSector};
}

struct Magic {
  ImageFormat format;
  std::size_t offset;
  std::string_view bytes;
};
constexpr Magic kMagics[] = {{ImageFormat::kQcow2, 0, "QFI\xfb"},
                             {ImageFormat::kVmdk, 0, "KDMV"},
                             {ImageFormat::kVmdk, 0, "# Disk DescriptorFile"},
                             {ImageFormat::kVdi, 0x40, "\x7f\x10\xda\xbe"},
                             {ImageFormat::kVhdx, 0, "vhdxfile"}};

std::string_view format_of(std::span<const std::byte> start) {
  for (const auto& magic : kMagics) {
    if (text_at(start, magic.offset, magic.bytes.size()) == magic.bytes) {
      return driver_of(magic.format);
    }
  }
  return {};
}

}  // namespace

std::string_view driver_of(ImageFormat format) {
  switch (format) {
    case ImageFormat::kRaw:
      return "raw";
    case ImageFormat::kQcow2:
      return "qcow2";
    case ImageFormat::kVmdk:
      return "vmdk";
    case ImageFormat::kVdi:
      return "vdi";
    case ImageFormat::kVhdx:
      return "vhdx";
  }
  return {};
}

Status check_is_raw(std::span<const std::byte> start, const std::string& path) {
  const auto found = format_of(start);
  if (!found.empty()) {
    return fail(ErrorKind::kConfig,
                "{} is a {} image, and \"raw\" would give the guest the container's own bytes: set "
                "format = \"{}\", unless a guest wrote them (then wipe its first sector)",
                path, found, found);
  }
  return {};
}

Result<ImageHeader> parse_image_header(ImageFormat format, std::span<const std::byte> start,
                                       const std::string& path) {
  if (format == ImageFormat::kRaw) {
    return ImageHeader{};
  }
  const auto found = format_of(start);
  if (found != driver_of(format)) {
    return fail(ErrorKind::kConfig, "{} is no {} image{}", path, driver_of(format),
                found.empty() ? std::string(": correct format, which is \"raw\" where the file has "
                                            "the disk's own bytes")
                              : fmt::format(" but a {} one: set format = \"{}\"", found, found));
  }
  switch (format) {
    case ImageFormat::kQcow2:
      return parse_qcow2(start, path);
    case ImageFormat::kVmdk:
      return parse_vmdk(start, path);
    default:
      return ImageHeader{};
  }
}

}  // namespace gpuvm
