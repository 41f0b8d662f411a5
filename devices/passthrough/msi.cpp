// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/msi.hpp"

#include <algorithm>
#include <bit>

namespace gpuvm {
namespace {

// Message Control, as the upper half of the capability's first dword.
constexpr std::uint32_t kEnable = 1U << 16;
constexpr unsigned kCapableShift = 17;
constexpr unsigned kEnabledShift = 20;
constexpr std::uint32_t kWide = 1U << 23;
constexpr std::uint32_t kMaskable = 1U << 24;
constexpr std::uint32_t kLargestLog2 = 5;  // 32 vectors

}  // namespace

MsiCapability::MsiCapability(std::uint16_t offset, std::uint16_t control,
                             std::uint32_t host_vectors)
    : offset_(offset),
      wide_((control & 0x80U) != 0),
      maskable_((control & 0x100U) != 0),
      log2_capable_(
          std::min({(control >> 1) & 7U, kLargestLog2,
                    static_cast<std::uint32_t>(std::bit_width(std::max(host_vectors, 1U))) - 1})) {}

std::uint16_t MsiCapability::size() const {
  return static_cast<std::uint16_t>(12 + (wide_ ? 4 : 0) + (maskable_ ? 8 : 0));
}

MsiCapability::Register MsiCapability::register_at(std::uint16_t at) const {
  constexpr Register kWideOrder[] = {Register::kControl,     Register::kAddressLow,
                                     Register::kAddressHigh, Register::kData,
                                     Register::kMask,        Register::kPending};
  constexpr Register kNarrowOrder[] = {Register::kControl, Register::kAddressLow, Register::kData,
                                       Register::kMask, Register::kPending};
  if (!contains(at)) {
    return Register::kNone;
  }
  const auto index = static_cast<std::size_t>(at - offset_) / 4;
  return wide_ ? kWideOrder[index] : kNarrowOrder[index];
}

std::uint32_t MsiCapability::read(std::uint16_t at, std::uint32_t hardware,
                                  std::uint32_t pending) const {
  switch (register_at(at)) {
    case Register::kControl:
      return (hardware & 0xffffU) | (state_.enabled ? kEnable : 0) |
             log2_capable_ << kCapableShift | state_.log2_vectors << kEnabledShift |
             (wide_ ? kWide : 0) | (maskable_ ? kMaskable : 0);
    case Register::kAddressLow:
      return state_.address_low;
    case Register::kAddressHigh:
      return state_.address_high;
    case Register::kData:
      return state_.data;
    case Register::kMask:
      return state_.masked;
    case Register::kPending:
      return pending;
    case Register::kNone:
      break;
  }
  return hardware;
}

void MsiCapability::write_control(std::uint32_t value) {
  // 7.7.1.2: Multiple Message Enable must not change while MSI is enabled; then it is kept.
  if (!state_.enabled) {
    state_.log2_vectors = std::min((value >> kEnabledShift) & 7U, log2_capable_);
  }
  state_.enabled = (value & kEnable) != 0;
}

bool MsiCapability::write(std::uint16_t at, std::uint32_t value, std::uint32_t mask) {
  const auto before = read(at, 0, 0);
  const auto merged = (before & ~mask) | (value & mask);
  switch (register_at(at)) {
    case Register::kControl:
      write_control(merged);
      break;
    case Register::kAddressLow:
      state_.address_low = merged & ~3U;
      break;
    case Register::kAddressHigh:
      state_.address_high = merged;
      break;
    case Register::kData:
      state_.data = merged & 0xffffU;
      break;
    case Register::kMask:
      state_.masked = merged;
      break;
    case Register::kPending:
    case Register::kNone:
      break;
  }
  return read(at, 0, 0) != before;
}

std::optional<MsiMessage> MsiCapability::message(std::uint32_t vector) const {
  if (!state_.enabled || vector >= vectors() || ((state_.masked >> vector) & 1U) != 0) {
    return std::nullopt;
  }
  // 6.1.4.2: the function replaces the low bits of the data with the vector's number.
  return MsiMessage{.address = std::uint64_t{state_.address_high} << 32 | state_.address_low,
                    .data = (state_.data & ~(vectors() - 1)) | vector};
}

Status Msi::enable() {
  TRY(routes_.enable(capability_.vectors()));
  refresh();
  return {};
}

void Msi::refresh() {
  for (std::uint32_t vector = 0; vector < capability_.vectors(); ++vector) {
    routes_.set(vector, capability_.message(vector));
  }
}

std::uint32_t Msi::pending() const {
  std::uint32_t bits = 0;
  for (std::uint32_t vector = 0; vector < capability_.vectors(); ++vector) {
    bits |= routes_.pending(vector) ? 1U << vector : 0;
  }
  return bits;
}

void Msi::inspect(InspectNode& node) const {
  node.field("enabled", capability_.enabled());
  routes_.inspect(node);
}

}  // namespace gpuvm
