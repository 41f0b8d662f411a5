// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/memory_card.hpp"

#include <fcntl.h>

#include <algorithm>
#include <bit>

#include "tests/fake_gpu/card_config.hpp"
#include "tests/fake_gpu/card_model.hpp"
#include "tests/fake_gpu/memory_file.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::fake_gpu {

MemoryCard::MemoryCard(const Options& options) : options_(options) {
  put_common_masks(masks_);
  for (const CardBar& bar : options_.card->bars) {
    const bool is_wide = (bar.type & 0x04) != 0;
    put(masks_, 0x10 + bar.index * std::size_t{4}, is_wide ? 8 : 4, ~(bar.size - 1));
  }
}

Result<std::unique_ptr<MemoryCard>> MemoryCard::create(const Options& options) {
  std::unique_ptr<MemoryCard> card(new MemoryCard(options));
  TRY(card->add_memory());
  TRY(card->add_contents());
  TRY(card->add_rom());
  card->reset();
  return card;
}

Status MemoryCard::add_memory() {
  for (const CardBar& bar : options_.card->bars) {
    auto& memory = memory_.at(bar.index);
    memory.file = TRY(memory_file({}, bar.size));
    memory.mapping = TRY(MappedRegion::create({.fd = memory.file.get(), .size = bar.size}));
  }
  return {};
}

Status MemoryCard::add_contents() {
  std::vector<std::byte> first(sizeof options_.card->first_register);
  store_le(first, options_.card->first_register);
  contents_.push_back({.bar = 0, .offset = 0, .bytes = std::move(first)});
  for (const Contents& each : options_.contents) {
    const std::uint64_t size = each.bar < kBars ? region_size(each.bar) : 0;
    auto bytes = TRY(read_file(each.file, 16_MiB, ErrorKind::kHost));
    if (each.offset > size || bytes.size() > size - each.offset) {
      return fail(ErrorKind::kUsage, "{} leaves BAR {} of {:#x} bytes", each.file, each.bar, size);
    }
    contents_.push_back({.bar = each.bar, .offset = each.offset, .bytes = std::move(bytes)});
  }
  return {};
}

Status MemoryCard::add_rom() {
  if (options_.rom_file.empty()) {
    return {};
  }
  rom_ = TRY(read_file(options_.rom_file, 16_MiB, ErrorKind::kHost));
  rom_.resize(std::bit_ceil(std::max<std::uint64_t>(rom_.size(), kPageSize)), std::byte{0xff});
  put(masks_, 0x30, 4, ~(std::uint64_t{rom_.size()} - 1) | 1);
  return {};
}

void MemoryCard::reset() {
  config_ = {};
  put(config_, 0x00, 2, options_.vendor);
  put(config_, 0x02, 2, options_.device);
  put(config_, 0x08, 4, 0x03000000U | options_.card->revision);  // VGA
  put(config_, 0x2c, 2, options_.card->sub_vendor);
  put(config_, 0x2e, 2, options_.card->sub_device);
  put(config_, 0x3d, 1, 1);  // INTA#
  put_capabilities(config_, true, 0);
  for (const CardBar& bar : options_.card->bars) {
    put(config_, 0x10 + bar.index * std::size_t{4}, 1, bar.type);
    // The memory stays mapped by the client, so the file keeps its size.
    [[maybe_unused]] const int cleared =
        ::fallocate(memory_.at(bar.index).file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
                    static_cast<off_t>(bar.size));
  }
  for (const Piece& piece : contents_) {
    const auto target = memory_.at(piece.bar).mapping.bytes().subspan(piece.offset);
    std::copy(piece.bytes.begin(), piece.bytes.end(), target.begin());
  }
}

std::span<std::byte> MemoryCard::bytes_of(std::uint32_t region) {
  return region < kBars            ? memory_.at(region).mapping.bytes()
         : region == kRomRegion    ? std::span<std::byte>(rom_)
         : region == kConfigRegion ? std::span<std::byte>(config_)
                                   : std::span<std::byte>();
}

std::uint64_t MemoryCard::region_size(std::uint32_t index) const {
  return index < kBars            ? memory_.at(index).mapping.size()
         : index == kRomRegion    ? rom_.size()
         : index == kConfigRegion ? config_.size()
                                  : 0;
}

int MemoryCard::region_file(std::uint32_t index) const {
  return index < kBars ? memory_.at(index).file.get() : -1;
}

bool MemoryCard::read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> out) {
  const auto bytes = bytes_of(region);
  if (out.size() > bytes.size() || offset > bytes.size() - out.size()) {
    return false;
  }
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  return true;
}

bool MemoryCard::write(std::uint32_t region, std::uint64_t offset, std::span<const std::byte> in) {
  const auto bytes = bytes_of(region);
  if (in.size() > bytes.size() || offset > bytes.size() - in.size() || region == kRomRegion) {
    return false;
  }
  if (region != kConfigRegion) {
    std::copy(in.begin(), in.end(), bytes.begin() + static_cast<std::ptrdiff_t>(offset));
    return true;
  }
  write_masked(config_, masks_, offset, in);
  if (starts_function_reset(offset, in)) {
    reset();
  }
  return true;
}

}  // namespace gpuvm::fake_gpu
