// SPDX-License-Identifier: Apache-2.0
// gpuvm rom: looks at option ROMs, reads them from the host, and cuts off what vendors' tools put
// before them.
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "firmware/rom/option_rom.hpp"
#include "firmware/rom/rom_fit.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/host/pci_rom.hpp"

namespace gpuvm::cli {
namespace {

Result<std::vector<std::byte>> read_function(const std::string& address) {
  const HostSystem host;
  const auto functions = TRY(parse_addresses(host, {address}));
  return std::move(TRY(read_host_rom(host, functions.front())).bytes);
}

/// A PCI address, or else a file.
Result<std::vector<std::byte>> read_source(const std::string& source) {
  if (Bdf::parse(source)) {
    return read_function(source);
  }
  return read_file(source, OptionRom::kMaximumSize, ErrorKind::kConfig);
}

/// All or nothing, and never over something else.
Status write_new_file(const std::string& path, std::span<const std::byte> bytes) {
  constexpr mode_t kMode = 0644;
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kMode));
  if (!fd) {
    return new_file_error(ErrorKind::kConfig, path);
  }
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd.get(), bytes.data(), bytes.size());
    if (done < 0 && errno != EINTR) {
      auto error = fail_errno(ErrorKind::kConfig, "Cannot write " + path);
      ::unlink(path.c_str());
      return error;
    }
    bytes = bytes.subspan(done > 0 ? static_cast<std::size_t>(done) : 0);
  }
  return {};
}

std::string details(const RomImage& image) {
  std::string text;
  if (image.checksum) {
    text += *image.checksum == 0 ? ", checksum right"
                                 : fmt::format(", checksum wrong (sum {:#04x})", *image.checksum);
  }
  if (image.efi) {
    text += fmt::format(", {}, {}", rom_machine_name(image.efi->machine),
                        image.efi->compression == 0 ? "not compressed" : "compressed");
  } else if (image.code_type == RomCodeType::kEfi) {
    text += ", no EFI header";
  }
  return text + (image.last ? ", last" : "");
}

std::string describe(const OptionRom& rom, std::size_t size) {
  std::string text;
  if (rom.begin() != 0) {
    text += fmt::format("  {:#08x}  {} bytes before the first image\n", 0, rom.begin());
  }
  for (const auto& image : rom.images) {
    text += fmt::format("  {:#08x}  {}, {:04x}:{:04x}, class {:06x}, {} bytes{}\n", image.offset,
                        to_string(image.code_type), image.vendor, image.device, image.class_code,
                        image.length, details(image));
  }
  if (rom.end() < size) {
    text += fmt::format("  {:#08x}  {} bytes behind the images\n", rom.end(), size - rom.end());
  }
  return rom.flaw.empty() ? text : text + "  flaw: " + rom.flaw + "\n";
}

}  // namespace

Result<int> rom_show_verb(const RomArguments& arguments) {
  const auto bytes = TRY(read_source(arguments.source));
  const auto rom = TRY_CONTEXT(OptionRom::parse(bytes), arguments.source);
  TRY(print(fmt::format("{}: {} bytes\n{}", arguments.source, bytes.size(),
                        describe(rom, bytes.size()))));
  return 0;
}

Result<int> rom_dump_verb(const RomArguments& arguments) {
  const auto bytes = TRY(read_function(arguments.source));
  TRY(write_new_file(arguments.output, bytes));
  return 0;
}

Result<int> rom_trim_verb(const RomArguments& arguments) {
  const auto bytes = TRY(read_file(arguments.source, OptionRom::kMaximumSize, ErrorKind::kConfig));
  const auto trimmed = TRY_CONTEXT(trim_rom(bytes), arguments.source);
  TRY(write_new_file(arguments.output, trimmed));
  TRY(print(fmt::format("{} bytes cut off\n", bytes.size() - trimmed.size())));
  return 0;
}

}  // namespace gpuvm::cli
