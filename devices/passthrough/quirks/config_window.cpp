// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/quirks/config_window.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kRegister = 4;

bool overlaps(std::uint64_t at, std::uint64_t offset, std::uint64_t length) {
  return offset < at + kRegister && offset + length > at;
}

}  // namespace

bool ConfigWindow::touches(std::uint64_t offset, std::uint64_t length) const {
  return overlaps(options_.index, offset, length) || overlaps(options_.data, offset, length) ||
         std::any_of(options_.enables.begin(), options_.enables.end(),
                     [&](std::uint64_t at) { return overlaps(at, offset, length); });
}

std::optional<std::uint64_t> ConfigWindow::target(std::uint64_t byte, std::size_t length) const {
  const MutexLock lock(mutex_);
  if (!std::all_of(enabled_.begin(), enabled_.end(), [](bool on) { return on; })) {
    return std::nullopt;
  }
  const std::uint64_t at = index_ + byte;
  for (const auto& part : options_.targets) {
    if (is_inside(part.base, part.size, at, length)) {
      return at - part.base;
    }
  }
  return std::nullopt;
}

void ConfigWindow::note_registers(std::uint64_t offset, std::span<const std::byte> in) {
  const MutexLock lock(mutex_);
  if (offset == options_.index && in.size() == kRegister) {
    index_ = static_cast<std::uint32_t>(load_le(in));
  }
  for (std::size_t i = 0; i < enabled_.size(); ++i) {
    if (offset == options_.enables[i]) {
      enabled_[i] = (load_le(in) & 1) != 0;
    }
  }
}

IoStatus ConfigWindow::overlay_read(std::uint64_t offset, std::span<std::byte> out) {
  if (is_inside(options_.data, kRegister, offset, out.size())) {
    if (const auto at = target(offset - options_.data, out.size())) {
      read_config_bytes(options_.config, *at, out);
      return IoStatus::kOk;
    }
  }
  return options_.device.read(bar_region(options_.bar), offset, out) ? IoStatus::kOk
                                                                     : IoStatus::kNoResponse;
}

IoStatus ConfigWindow::overlay_write(std::uint64_t offset, std::span<const std::byte> in) {
  if (is_inside(options_.data, kRegister, offset, in.size())) {
    if (const auto at = target(offset - options_.data, in.size())) {
      write_config_bytes(options_.config, *at, in);
      return IoStatus::kOk;
    }
  }
  note_registers(offset, in);
  return options_.device.write(bar_region(options_.bar), offset, in) ? IoStatus::kOk
                                                                     : IoStatus::kNoResponse;
}

void ConfigWindow::reset() {
  const MutexLock lock(mutex_);
  index_ = 0;
  enabled_.assign(enabled_.size(), false);
}

}  // namespace gpuvm
