// SPDX-License-Identifier: Apache-2.0
// OptionRom: see option_rom.hpp.
#include "firmware/rom/option_rom.hpp"

#include <algorithm>
#include <array>
#include <numeric>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kUnit = 512;
// The ROM header, 5.1.1.
constexpr std::uint16_t kSignature = 0xaa55;
constexpr std::size_t kInitializationSize = 2;
constexpr std::size_t kDataPointer = 0x18;
// The PCI data structure, 5.1.2; its ids are at kRomDataVendor.
constexpr std::uint32_t kDataSignature = 0x52494350;  // "PCIR"
constexpr std::size_t kDevice = 6;
constexpr std::size_t kDeviceList = 8;
constexpr std::size_t kRevision = 0xc;
constexpr std::uint8_t kRevisionWithList = 3;
constexpr std::size_t kClass = 0xd;
constexpr std::size_t kLength = 0x10;
constexpr std::size_t kCodeType = 0x14;
constexpr std::size_t kIndicator = 0x15;
constexpr std::uint8_t kLast = 0x80;
// The EFI header, UEFI 2.10, 14.4.2.
constexpr std::uint32_t kEfiSignature = 0x0ef1;
// A list longer than this is no list.
constexpr std::size_t kMostDevices = 256;
/// Vendors' headers are whole dwords long.
constexpr std::size_t kSearchStep = 4;

// 5.1.1 and, for images behind the first, NVIDIA's own.
constexpr std::array<std::uint16_t, 3> kSignatures = {kSignature, 0x4e56, 0xbb77};
constexpr std::array<std::uint32_t, 3> kDataSignatures = {kDataSignature, 0x5344504e, 0x53494752};

template <class T, std::size_t N>
bool is_one_of(const std::array<T, N>& known, std::optional<T> value) {
  return value && std::find(known.begin(), known.end(), *value) != known.end();
}

std::vector<std::uint16_t> device_list(std::span<const std::byte> structure) {
  std::vector<std::uint16_t> devices;
  const auto pointer = load_at<std::uint16_t>(structure, kDeviceList).value_or(0);
  const auto revision = load_at<std::uint8_t>(structure, kRevision).value_or(0);
  if (pointer == 0 || revision < kRevisionWithList) {
    return devices;
  }
  for (std::size_t at = pointer; devices.size() < kMostDevices; at += 2) {
    const auto device = load_at<std::uint16_t>(structure, at);
    if (!device || *device == 0) {
      break;
    }
    devices.push_back(*device);
  }
  return devices;
}

std::optional<RomEfiHeader> efi_header(std::span<const std::byte> image) {
  if (load_at<std::uint32_t>(image, 4) != kEfiSignature) {
    return std::nullopt;
  }
  return RomEfiHeader{.subsystem = load_at<std::uint16_t>(image, 0x8).value_or(0),
                      .machine = load_at<std::uint16_t>(image, 0xa).value_or(0),
                      .compression = load_at<std::uint16_t>(image, 0xc).value_or(0),
                      .image = load_at<std::uint16_t>(image, 0x16).value_or(0)};
}

std::uint8_t byte_sum(std::span<const std::byte> bytes) {
  return std::accumulate(bytes.begin(), bytes.end(), std::uint8_t{0},
                         [](std::uint8_t sum, std::byte byte) {
                           return static_cast<std::uint8_t>(sum + std::to_integer<unsigned>(byte));
                         });
}

/// The image at the start of `rest`; an error says why there is none.
Result<RomImage> parse_image(std::span<const std::byte> rest) {
  const auto signature = load_at<std::uint16_t>(rest, 0);
  if (!is_one_of(kSignatures, signature)) {
    return fail(ErrorKind::kConfig, "no image begins there (signature 55 aa)");
  }
  const std::size_t pointer = load_at<std::uint16_t>(rest, kDataPointer).value_or(0);
  if (!is_one_of(kDataSignatures, load_at<std::uint32_t>(rest, pointer))) {
    return fail(ErrorKind::kConfig, "its pointer {:#x} leads to no PCI data structure", pointer);
  }
  const auto structure = rest.subspan(pointer);
  const auto length = load_at<std::uint16_t>(structure, kLength).value_or(0) * kUnit;
  const auto indicator = load_at<std::uint8_t>(structure, kIndicator);
  if (!indicator || length > rest.size()) {
    return fail(ErrorKind::kConfig, "it is cut off: {} bytes of {}", rest.size(), length);
  }
  if (length == 0) {
    return fail(ErrorKind::kConfig, "its length is 0: the chain leads back to it for ever");
  }
  RomImage image;
  image.length = length;
  image.data = pointer;
  image.code_type =
      static_cast<RomCodeType>(load_at<std::uint8_t>(structure, kCodeType).value_or(0));
  image.vendor = load_at<std::uint16_t>(structure, kRomDataVendor).value_or(0);
  image.device = load_at<std::uint16_t>(structure, kDevice).value_or(0);
  image.more_devices = device_list(structure);
  image.class_code = load_at<std::uint32_t>(structure, kClass).value_or(0) & 0xffffffU;
  image.last = (*indicator & kLast) != 0;
  const auto bytes = rest.first(length);
  if (image.code_type == RomCodeType::kLegacy) {
    image.checksum = byte_sum(bytes.first(checksummed_length(bytes)));
  } else if (image.code_type == RomCodeType::kEfi) {
    image.efi = efi_header(bytes);
  }
  return image;
}

/// Where the first whole image begins, behind what a vendor put before it.
std::optional<std::size_t> find_first(std::span<const std::byte> bytes) {
  for (std::size_t at = 0; at < bytes.size(); at += kSearchStep) {
    if (load_at<std::uint16_t>(bytes, at) == kSignature && parse_image(bytes.subspan(at))) {
      return at;
    }
  }
  return std::nullopt;
}

}  // namespace

std::size_t checksummed_length(std::span<const std::byte> image) {
  const auto size = load_at<std::uint8_t>(image, kInitializationSize).value_or(0) * kUnit;
  return size == 0 || size > image.size() ? image.size() : size;
}

bool RomImage::is_for(std::uint16_t wanted_vendor, std::uint16_t wanted_device) const {
  return vendor == wanted_vendor &&
         (device == wanted_device ||
          std::find(more_devices.begin(), more_devices.end(), wanted_device) != more_devices.end());
}

Result<OptionRom> OptionRom::parse(std::span<const std::byte> bytes) {
  if (bytes.empty()) {
    return fail(ErrorKind::kConfig, "The ROM is empty");
  }
  if (bytes.size() > kMaximumSize) {
    return fail(ErrorKind::kConfig, "The ROM has {} bytes; a ROM BAR shows at most {}",
                bytes.size(), kMaximumSize);
  }
  const auto first = find_first(bytes);
  if (!first) {
    const bool signature = load_at<std::uint16_t>(bytes, 0) == kSignature;
    return fail(ErrorKind::kConfig, "No option ROM: {}",
                signature ? parse_image(bytes).error().to_string()
                          : std::string("no image begins in it (signature 55 aa)"));
  }
  OptionRom rom;
  std::size_t at = *first;
  while (rom.images.empty() || !rom.images.back().last) {
    auto image = at < bytes.size()
                     ? parse_image(bytes.subspan(at))
                     : Result<RomImage>(fail(ErrorKind::kConfig, "the bytes end there"));
    if (!image) {
      rom.flaw = fmt::format("no last image: at {:#x}: {}", at, image.error().to_string());
      rom.incomplete =
          at >= bytes.size() || is_one_of(kSignatures, load_at<std::uint16_t>(bytes, at));
      break;
    }
    image->offset = at;
    at += image->length;
    rom.images.push_back(std::move(image).value());
  }
  return rom;
}

std::string to_string(RomCodeType type) {
  switch (type) {
    case RomCodeType::kLegacy:
      return "legacy";
    case RomCodeType::kOpenFirmware:
      return "Open Firmware";
    case RomCodeType::kPaRisc:
      return "PA-RISC";
    case RomCodeType::kEfi:
      return "EFI";
  }
  return fmt::format("vendor {:#04x}", static_cast<unsigned>(type));
}

std::string rom_machine_name(std::uint16_t machine) {
  switch (machine) {  // PE/COFF, Machine Types
    case 0x14c:
      return "IA32";
    case 0x200:
      return "IA64";
    case 0xebc:
      return "EBC";
    case 0x8664:
      return "x64";
    case 0xaa64:
      return "AArch64";
    default:
      return fmt::format("{:#x}", machine);
  }
}

}  // namespace gpuvm
