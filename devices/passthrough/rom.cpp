// SPDX-License-Identifier: Apache-2.0
// RomWindow: see the header.
#include "devices/passthrough/rom.hpp"

#include <algorithm>
#include <array>
#include <bit>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

/// Memory decode switched on while this lives, as it was afterwards. VFIO refuses to read a ROM
/// without it, and before the guest's start it is off.
class MemoryDecode {
 public:
  explicit MemoryDecode(PhysicalDevice& device) : device_(device) {
    if (device_.read(RegionIndex::kConfig, pci::kCommand, before_) && !is_on()) {
      auto on = before_;
      on[0] |= std::byte{pci::kCommandMemory};
      changed_ = device_.write(RegionIndex::kConfig, pci::kCommand, on).has_value();
    }
  }
  ~MemoryDecode() {
    if (changed_ && !device_.write(RegionIndex::kConfig, pci::kCommand, before_)) {
      log::debug("{}: Memory decode could not be switched off again", device_.name());
    }
  }
  MemoryDecode(const MemoryDecode&) = delete;
  MemoryDecode& operator=(const MemoryDecode&) = delete;

 private:
  bool is_on() const { return (before_[0] & std::byte{pci::kCommandMemory}) != std::byte{0}; }

  PhysicalDevice& device_;
  std::array<std::byte, 2> before_{};
  bool changed_ = false;
};

/// Whether the device lets its ROM be read at all.
bool can_read(PhysicalDevice& device) {
  const MemoryDecode decode(device);
  std::array<std::byte, 2> probe{};
  return device.read(RegionIndex::kRom, 0, probe).has_value();
}

}  // namespace

RomWindow::RomWindow(PhysicalDevice& device, MemorySlots& slots, MappedRegion memory)
    : device_(device), slots_(slots), name_(device.name() + " ROM"), memory_(std::move(memory)) {}

Result<std::unique_ptr<RomWindow>> RomWindow::create(PhysicalDevice& device, MemorySlots& slots,
                                                     std::vector<std::byte> contents) {
  const bool given = !contents.empty();
  const auto bytes = given ? contents.size() : device.region(RegionIndex::kRom).size;
  if (bytes == 0 || (!given && !can_read(device))) {
    return std::unique_ptr<RomWindow>();
  }
  if (bytes > kMaximumSize) {
    if (given) {
      return fail(ErrorKind::kConfig, "ROM file for {} has {} bytes, a ROM BAR holds at most {}",
                  device.name(), bytes, kMaximumSize);
    }
    return std::unique_ptr<RomWindow>();
  }
  const auto size = std::bit_ceil(std::max<std::uint64_t>(bytes, kPageSize));
  auto memory = TRY(MappedRegion::create({.size = size}));
  std::unique_ptr<RomWindow> rom(new RomWindow(device, slots, std::move(memory)));
  std::fill(rom->memory_.bytes().begin(), rom->memory_.bytes().end(), std::byte{0xff});
  if (given) {
    std::copy(contents.begin(), contents.end(), rom->memory_.bytes().begin());
    rom->loaded_ = true;
    rom->loaded_bytes_ = contents.size();
  }
  return rom;
}

void RomWindow::load() {
  if (loaded_) {
    return;
  }
  const MemoryDecode decode(device_);
  const auto wanted = std::min<std::uint64_t>(device_.region(RegionIndex::kRom).size, size());
  while (loaded_bytes_ < wanted) {
    const auto chunk = std::min(kPageSize, wanted - loaded_bytes_);
    const auto status = device_.read(RegionIndex::kRom, loaded_bytes_,
                                     memory_.bytes().subspan(loaded_bytes_, chunk));
    if (!status) {
      log::warn("{}: Reading stopped at {:#x}: {}; give the image as a file", name_, loaded_bytes_,
                status.error().to_string());
      break;
    }
    loaded_bytes_ += chunk;
  }
  loaded_ = true;
}

std::span<const std::byte> RomWindow::image() {
  load();
  return memory_.bytes().first(loaded_bytes_);
}

Status RomWindow::map(std::uint64_t at) {
  load();
  slot_ = TRY(slots_.map(GuestAddress(at), memory_.bytes(), SlotAccess::kReadOnly));
  return {};
}

void RomWindow::unmap() {
  if (slot_ != 0) {
    slots_.unmap(slot_);
    slot_ = 0;
  }
}

void RomWindow::inspect(InspectNode& node) const {
  node.hex("size", size());
  node.field("loaded", loaded_);
  node.hex("bytes", loaded_bytes_);
}

}  // namespace gpuvm
