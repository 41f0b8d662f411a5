// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/boot_params.hpp"

#include <algorithm>
#include <cstring>
#include <limits>

#include "firmware/linux/setup_header.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kNodeAlignment = 8;

constexpr std::uint32_t low_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value & 0xffffffff);
}
constexpr std::uint32_t high_half(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}

std::uint64_t node_size(const SetupData& node) {
  return align_up(sizeof(::setup_data) + node.bytes.size(), kNodeAlignment);
}

/// The fields of the header that boot.rst marks "write" or "modify" for a boot loader.
void fill_header(::setup_header& header, const BootParamsOptions& options) {
  header.type_of_loader = boot_protocol::kLoaderUndefined;
  header.vid_mode = boot_protocol::kVideoModeNormal;
  // No real-mode code runs, so there is no heap; and only who unpacks the kernel may say that its
  // address is random.
  header.loadflags = static_cast<std::uint8_t>((header.loadflags & ~(CAN_USE_HEAP | KASLR_FLAG)) |
                                               (options.is_randomised ? KASLR_FLAG : 0));
  header.cmd_line_ptr = low_half(options.command_line.value());
  header.setup_data = options.setup_data.value_or(GuestAddress(0)).value();
  header.ramdisk_image = 0;
  header.ramdisk_size = 0;
  if (options.initrd) {
    header.ramdisk_image = low_half(options.initrd->base().value());
    header.ramdisk_size = low_half(options.initrd->size());
  }
}

}  // namespace

Result<ZeroPage> build_zero_page(const BootParamsOptions& options) {
  if (options.e820.size() > E820_MAX_ENTRIES_ZEROPAGE || options.command_line.value() >= 4_GiB) {
    return fail(ErrorKind::kInternal,
                "The zero page cannot hold {} memory map entries and a command line at {:#x}",
                options.e820.size(), options.command_line.value());
  }
  ::boot_params params{};  // all that is not named must be zero (sentinel included)
  params.hdr = options.header;
  fill_header(params.hdr, options);
  if (options.initrd) {
    params.ext_ramdisk_image = high_half(options.initrd->base().value());
    params.ext_ramdisk_size = high_half(options.initrd->size());
  }
  params.acpi_rsdp_addr = options.rsdp.value_or(GuestAddress(0)).value();
  params.e820_entries = static_cast<std::uint8_t>(options.e820.size());
  for (std::size_t i = 0; i < options.e820.size(); ++i) {
    const auto& entry = options.e820[i];
    params.e820_table[i] = {entry.range.base().value(), entry.range.size(),
                            static_cast<std::uint32_t>(entry.type)};
  }
  ZeroPage page;
  std::memcpy(page.data(), &params, page.size());
  return page;
}

std::uint64_t setup_data_size(std::span<const SetupData> nodes) {
  std::uint64_t size = 0;
  for (const auto& node : nodes) {
    size += node_size(node);
  }
  return size;
}

Result<std::vector<std::byte>> build_setup_data(std::span<const SetupData> nodes, GuestAddress at) {
  std::vector<std::byte> out;
  out.reserve(setup_data_size(nodes));
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto& node = nodes[i];
    if (node.bytes.size() > std::numeric_limits<std::uint32_t>::max()) {
      return fail(ErrorKind::kInternal, "A setup_data node of type {} has {} bytes", node.type,
                  node.bytes.size());
    }
    const std::uint64_t end = out.size() + node_size(node);
    const bool last = i + 1 == nodes.size();
    append_bytes(out, last ? std::uint64_t{0} : at.value() + end);
    append_bytes(out, node.type);
    append_bytes(out, static_cast<std::uint32_t>(node.bytes.size()));
    out.insert(out.end(), node.bytes.begin(), node.bytes.end());
    out.resize(end);
  }
  return out;
}

}  // namespace gpuvm
