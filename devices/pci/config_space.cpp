// SPDX-License-Identifier: Apache-2.0
// ConfigSpace: see config_space.hpp.
#include "devices/pci/config_space.hpp"

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t lane_mask(unsigned size) {
  return size >= 4 ? pci::kAllOnes : (1U << (size * 8)) - 1;
}

}  // namespace

void ConfigSpace::define(const ConfigRegister& reg) {
  const unsigned byte = reg.offset % 4U;
  if (reg.size == 0 || byte + reg.size > 4 || reg.offset >= pci::kConfigSize) {
    return;
  }
  const unsigned shift = byte * 8;
  const std::uint32_t lanes = lane_mask(reg.size) << shift;
  const auto assign = [&](Dwords& dwords, std::uint32_t value) {
    auto& dword = dwords[index(reg.offset)];
    dword = (dword & ~lanes) | (value << shift & lanes);
  };
  assign(reset_state_.dwords, reg.reset_value);
  assign(state_.dwords, reg.reset_value);
  assign(writable_, reg.writable);
  assign(write_one_to_clear_, reg.write_one_to_clear);
}

void ConfigSpace::define_identity(std::uint16_t vendor, std::uint16_t device,
                                  std::uint32_t class_code) {
  define({.offset = pci::kVendorId, .size = 2, .reset_value = vendor});
  define({.offset = pci::kDeviceId, .size = 2, .reset_value = device});
  define({.offset = pci::kClassCode, .size = 1, .reset_value = class_code & 0xff});
  define({.offset = pci::kClassCode + 1, .size = 2, .reset_value = class_code >> 8});
}

Result<std::uint16_t> ConfigSpace::add_capability(pci::CapabilityId id, std::uint16_t size) {
  if (size < 2 || size > pci::kLegacyConfigSize - next_capability_) {
    return fail(ErrorKind::kInternal, "Capability {:#x} of {} bytes does not fit below 0x100",
                static_cast<unsigned>(id), size);
  }
  const std::uint16_t at = next_capability_;
  define({.offset = capability_link_, .size = 1, .reset_value = at});
  define({.offset = at, .size = 2, .reset_value = static_cast<std::uint32_t>(id)});
  const std::uint32_t status = reset_state_.dwords[index(pci::kStatus)] >> 16;
  define({.offset = pci::kStatus, .size = 2, .reset_value = status | pci::kStatusCapabilities});
  capability_link_ = static_cast<std::uint16_t>(at + 1);
  next_capability_ = static_cast<std::uint16_t>(at + align_up(size, 4));
  return at;
}

std::uint32_t ConfigSpace::read(std::uint16_t offset, unsigned size) const {
  return read(offset) >> (offset % 4U * 8) & lane_mask(size);
}

ConfigSpace::Change ConfigSpace::write(std::uint16_t offset, std::uint32_t value,
                                       std::uint32_t mask) {
  const std::size_t at = index(offset);
  const std::uint32_t before = state_.dwords[at];
  const std::uint32_t changed = writable_[at] & mask;
  const std::uint32_t cleared = write_one_to_clear_[at] & mask & value;
  const std::uint32_t after = ((before & ~changed) | (value & changed)) & ~cleared;
  state_.dwords[at] = after;
  return {before, after};
}

void ConfigSpace::set(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  auto& dword = state_.dwords[index(offset)];
  dword = (dword & ~mask) | (value & mask);
}

}  // namespace gpuvm
