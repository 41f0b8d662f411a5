// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/efi_kernel.hpp"

#include <algorithm>

#include "firmware/linux/kernel_elf.hpp"
#include "firmware/linux/setup_header.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/file.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kFileMax = 1_GiB;
constexpr std::uint64_t kImageMax = 1_GiB;

// PE/COFF.
constexpr std::uint16_t kDosMagic = 0x5a4d;  // "MZ"
constexpr std::size_t kPeOffsetAt = 0x3c;
constexpr std::uint32_t kPeMagic = 0x00004550;  // "PE\0\0"
constexpr std::uint16_t kMachineX64 = 0x8664;
constexpr std::uint16_t kOptionalMagic64 = 0x20b;  // PE32+
constexpr std::uint16_t kSubsystemEfiApplication = 10;
constexpr std::size_t kCoffHeaderSize = 24;  // with the signature
constexpr std::size_t kSectionSize = 40;
constexpr unsigned kSectionsMax = 96;

struct __attribute__((packed)) CoffHeader {
  std::uint32_t signature;
  std::uint16_t machine;
  std::uint16_t sections;
  std::uint32_t time;
  std::uint32_t symbols;
  std::uint32_t symbol_count;
  std::uint16_t optional_size;
  std::uint16_t characteristics;
};
static_assert(sizeof(CoffHeader) == kCoffHeaderSize);

/// The optional header of PE32+, as far as it is needed.
struct __attribute__((packed)) OptionalHeader {
  std::uint16_t magic;
  std::uint8_t linker[2];
  std::uint32_t code_size, data_size, bss_size;
  std::uint32_t entry;
  std::uint32_t code_base;
  std::uint64_t image_base;
  std::uint32_t section_alignment, file_alignment;
  std::uint16_t versions[6];
  std::uint32_t win32_version;
  std::uint32_t image_size;
  std::uint32_t headers_size;
  std::uint32_t checksum;
  std::uint16_t subsystem;
};
static_assert(sizeof(OptionalHeader) == 70);

struct __attribute__((packed)) SectionHeader {
  char name[8];
  std::uint32_t memory_size;
  std::uint32_t address;
  std::uint32_t file_size;
  std::uint32_t file_at;
  std::uint32_t unused[3];
  std::uint32_t characteristics;
};
static_assert(sizeof(SectionHeader) == kSectionSize);

Error no_stub(const std::string& path, std::string_view why) {
  return fail(ErrorKind::kConfig,
              "The kernel {} has no EFI stub ({}); give a bzImage built with CONFIG_EFI_STUB, or "
              "use boot.mode = \"linux\"",
              path, why);
}

Error malformed(const std::string& path, std::string_view what) {
  return fail(ErrorKind::kConfig, "The kernel {} has a malformed PE header: {}; install it again",
              path, what);
}

}  // namespace

Result<EfiKernel> EfiKernel::load(const std::string& path, const FileOpener& open) {
  return parse(
      TRY_CONTEXT(read_file(path, kFileMax, ErrorKind::kConfig, open), "Loading the kernel"), path);
}

Result<EfiKernel> EfiKernel::parse(std::vector<std::byte> bytes, std::string path) {
  EfiKernel kernel(std::move(bytes), std::move(path));
  if (is_elf(kernel.file_)) {
    return no_stub(kernel.path_, "it is an ELF file");
  }
  kernel.header_ = TRY(boot_protocol::read_setup_header(kernel.file_, kernel.path_));
  const bool handover =
      (kernel.header_.xloadflags & XLF_EFI_HANDOVER_64) != 0 && kernel.header_.handover_offset != 0;
  if (handover) {
    TRY(kernel.take_handover());
  } else {
    TRY(kernel.take_pe());
  }
  return kernel;
}

/// boot.rst: the protected-mode code in init_size bytes of memory; the 64-bit entry is 0x200 behind
/// handover_offset.
Status EfiKernel::take_handover() {
  const auto code = TRY(boot_protocol::protected_mode_code(file_, header_, path_));
  entry_ = EfiEntry::kHandover;
  memory_size_ = header_.init_size;
  entry_offset_ = std::uint64_t{header_.handover_offset} + boot_protocol::kEntry64Offset;
  if (entry_offset_ >= code.size()) {
    return fail(ErrorKind::kConfig,
                "The kernel {} states its EFI handover entry at {:#x}, past its {} bytes of code; "
                "install it again",
                path_, entry_offset_, code.size());
  }
  parts_ = {{0, static_cast<std::size_t>(code.data() - file_.data()), code.size()}};
  return {};
}

Status EfiKernel::take_pe() {
  if (load_at<std::uint16_t>(file_, 0) != kDosMagic) {
    return no_stub(path_, "no handover entry and no MZ signature");
  }
  const auto at = load_at<std::uint32_t>(file_, kPeOffsetAt);
  const auto coff = at ? load_at<CoffHeader>(file_, *at) : std::nullopt;
  if (!coff || coff->signature != kPeMagic) {
    return malformed(path_, "no PE signature where 0x3c points");
  }
  if (coff->machine != kMachineX64) {
    return malformed(path_,
                     fmt::format("machine {:#x} is not x86-64", std::uint16_t{coff->machine}));
  }
  const std::size_t optional_at = *at + kCoffHeaderSize;
  const auto optional = load_at<OptionalHeader>(file_, optional_at);
  if (!optional || coff->optional_size < sizeof(OptionalHeader) ||
      optional->magic != kOptionalMagic64) {
    return malformed(path_, "no optional header of PE32+");
  }
  if (optional->subsystem != kSubsystemEfiApplication) {
    return malformed(path_, fmt::format("subsystem {} is not an EFI application",
                                        std::uint16_t{optional->subsystem}));
  }
  if (optional->image_size == 0 || optional->image_size > kImageMax ||
      optional->headers_size > optional->image_size || optional->headers_size > file_.size() ||
      optional->entry >= optional->image_size) {
    return malformed(path_, "its sizes contradict each other");
  }
  entry_ = EfiEntry::kPe;
  // Stubs before Linux 6.6 decompress in place, into init_size bytes behind the image's start.
  memory_size_ = std::max<std::uint64_t>(optional->image_size, header_.init_size);
  entry_offset_ = optional->entry;
  parts_ = {{0, 0, optional->headers_size}};
  return add_sections(optional_at + coff->optional_size, coff->sections);
}

Status EfiKernel::add_sections(std::size_t table, unsigned count) {
  if (count == 0 || count > kSectionsMax) {
    return malformed(path_, fmt::format("{} sections", count));
  }
  for (unsigned i = 0; i < count; ++i) {
    const auto section = load_at<SectionHeader>(file_, table + i * kSectionSize);
    if (!section) {
      return malformed(path_, "its section table is cut off");
    }
    const std::size_t size = std::min(section->file_size, section->memory_size);
    if (section->address > memory_size_ || section->memory_size > memory_size_ - section->address ||
        section->file_at > file_.size() || size > file_.size() - section->file_at) {
      return malformed(path_, fmt::format("section {} lies outside of it", i));
    }
    parts_.push_back({section->address, section->file_at, size});
  }
  return {};
}

void EfiKernel::copy_to(std::span<std::byte> target) const {
  std::fill(target.begin(), target.end(), std::byte{0});
  for (const auto& part : parts_) {
    std::copy_n(file_.begin() + static_cast<std::ptrdiff_t>(part.source), part.size,
                target.begin() + static_cast<std::ptrdiff_t>(part.target));
  }
}

}  // namespace gpuvm
