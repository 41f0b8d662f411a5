// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/region_table.hpp"

#include <algorithm>
#include <limits>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kMostFileOffset =
    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

bool is_inside(const RegionArea& inner, const RegionArea& outer) {
  return gpuvm::is_inside(outer.offset, outer.size, inner.offset, inner.size);
}

/// Of a region, or of what file offsets reach.
RegionArea whole(std::uint64_t size) {
  return {.offset = 0, .size = size};
}

}  // namespace

bool may_map(const RegionInfo& info, const RegionArea& area) {
  if (!info.mappable || area.size == 0 || !is_inside(area, whole(info.size))) {
    return false;
  }
  return info.sparse_areas.empty() ||
         std::any_of(info.sparse_areas.begin(), info.sparse_areas.end(),
                     [&area](const RegionArea& allowed) { return is_inside(area, allowed); });
}

RegionTable::RegionTable(std::string name, int shared_file)
    : name_(std::move(name)), shared_file_(shared_file) {}

Status RegionTable::set(RegionIndex index, RegionInfo info, Place place) {
  const auto number = static_cast<std::uint32_t>(index);
  if (number >= kMostRegions) {
    return fail(ErrorKind::kHost, "{} has a region {}, which is more than {} regions", name_,
                number, kMostRegions);
  }
  if (!is_inside({.offset = place.file_offset, .size = info.size}, whole(kMostFileOffset))) {
    return fail(ErrorKind::kHost, "Region {} of {} has {:#x} bytes at {:#x} of its file", number,
                name_, info.size, place.file_offset);
  }
  for (const RegionArea& area : info.sparse_areas) {
    if (!is_inside(area, whole(info.size))) {
      return fail(ErrorKind::kHost,
                  "Region {} of {} has {:#x} bytes, but an area of {:#x} at {:#x}", number, name_,
                  info.size, area.size, area.offset);
    }
  }
  if (number >= regions_.size()) {
    regions_.resize(number + std::size_t{1});
  }
  regions_[number] = {std::move(info), std::move(place)};
  return {};
}

const RegionTable::Region& RegionTable::find(RegionIndex index) const {
  static const Region kAbsent{};  // NOLINT(readability-identifier-naming): a constant
  const auto number = static_cast<std::size_t>(index);
  return number < regions_.size() ? regions_[number] : kAbsent;
}

const RegionInfo& RegionTable::info(RegionIndex index) const {
  return find(index).info;
}

std::vector<RegionIndex> RegionTable::specific() const {
  std::vector<RegionIndex> found;
  for (std::size_t i = kPciRegions; i < regions_.size(); ++i) {
    if (regions_[i].info.type && regions_[i].info.size != 0) {
      found.push_back(static_cast<RegionIndex>(i));
    }
  }
  return found;
}

Result<std::uint64_t> RegionTable::locate(const char* verb, bool is_allowed, RegionIndex index,
                                          std::uint64_t offset, std::uint64_t size) const {
  const Region& region = find(index);
  if (!is_allowed || !is_inside({.offset = offset, .size = size}, whole(region.info.size))) {
    return fail(ErrorKind::kHost, "Cannot {} {} bytes of region {} of {} at offset {:#x}", verb,
                size, static_cast<std::uint32_t>(index), name_, offset);
  }
  return region.place.file_offset + offset;
}

Result<std::uint64_t> RegionTable::locate_read(RegionIndex index, std::uint64_t offset,
                                               std::uint64_t size) const {
  return locate("read", info(index).readable, index, offset, size);
}

Result<std::uint64_t> RegionTable::locate_write(RegionIndex index, std::uint64_t offset,
                                                std::uint64_t size) const {
  return locate("write", info(index).writable, index, offset, size);
}

Result<MappedRegion> RegionTable::map(RegionIndex index, RegionArea area,
                                      std::uint64_t alignment) const {
  const Region& region = find(index);
  if (!may_map(region.info, area)) {
    return fail(ErrorKind::kHost, "Region {} of {} cannot be mapped at {:#x}, {:#x} bytes",
                static_cast<std::uint32_t>(index), name_, area.offset, area.size);
  }
  MapRequest request;
  request.fd = region.place.file ? region.place.file.get() : shared_file_;
  if (request.fd < 0) {  // which would be memory of nobody's
    return fail(ErrorKind::kHost, "Region {} of {} has no file", static_cast<std::uint32_t>(index),
                name_);
  }
  request.offset = region.place.file_offset + area.offset;
  request.size = area.size;
  request.alignment = alignment;
  request.writable = region.info.writable;
  return TRY_CONTEXT(
      MappedRegion::create(request),
      fmt::format("Mapping region {} of {}", static_cast<std::uint32_t>(index), name_));
}

}  // namespace gpuvm
