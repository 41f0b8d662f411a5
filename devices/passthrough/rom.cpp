// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/rom.hpp"

#include <algorithm>
#include <array>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kRomSignature = 0xaa55;  // PCI Firmware Specification 3.3, 5.1.1

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

/// Why the device's own ROM cannot be shown; nothing when it can.
std::optional<std::string> why_unreadable(PhysicalDevice& device) {
  const auto size = device.region(RegionIndex::kRom).size;
  if (size == 0) {
    return "the device has none";
  }
  if (size > RomWindow::kMaximumSize) {
    return fmt::format("the device claims {:#x} bytes", size);
  }
  const MemoryDecode decode(device);
  std::array<std::byte, 2> probe{};
  if (auto status = device.read(RegionIndex::kRom, 0, probe); !status) {
    return status.error().to_string();
  }
  if (load_le(probe) != kRomSignature) {
    return fmt::format("the device's begins with {:#06x}, not with 55 aa", load_le(probe));
  }
  return std::nullopt;
}

void tell(const std::vector<RomChange>& changes, const std::string& rom) {
  for (const auto& change : changes) {
    log::write(change.is_odd ? log::Level::kWarn : log::Level::kInfo, "{}: {}",
               fmt::make_format_args(rom, change.text));
  }
}

/// What the guest is to see in place of the device's own ROM; nothing for that itself. Errors:
/// kConfig.
Result<std::vector<std::byte>> given_contents(RomWindow::Options& options) {
  auto& source = options.source;
  if (!source.unfitted_file.empty()) {
    TRY(fit_rom_file(source.unfitted_file, source.contents, options.shown, options.real,
                     source.check));
  }
  return std::move(source.contents);
}

}  // namespace

Status fit_rom_file(const std::string& file, std::vector<std::byte>& contents, RomIds shown,
                    RomIds real, RomCheck check) {
  const auto changes = TRY_CONTEXT(fit_rom(contents, shown, real, check), file);
  tell(changes, file);
  return {};
}

RomWindow::RomWindow(const Options& options, MappedRegion memory)
    : device_(options.device),
      slots_(options.slots),
      shown_(options.shown),
      real_(options.real),
      check_(options.source.check),
      name_(device_.name() + " ROM"),
      memory_(std::move(memory)) {
  std::fill(memory_.bytes().begin(), memory_.bytes().end(), std::byte{0xff});
}

Result<std::unique_ptr<RomWindow>> RomWindow::create(Options options) {
  auto& device = options.device;
  if (options.source.hidden) {
    return std::unique_ptr<RomWindow>();
  }
  auto contents = TRY(given_contents(options));
  const auto unreadable = contents.empty() ? why_unreadable(device) : std::nullopt;
  const bool fallen_back = unreadable && options.source.fallback;
  if (fallen_back) {
    if (auto other = options.source.fallback()) {
      contents = std::move(other).value();
    } else {
      log::debug("{}: {}", device.name(), other.error().to_string());
    }
  }
  if (unreadable && contents.empty()) {
    const auto level =
        device.region(RegionIndex::kRom).size == 0 ? log::Level::kDebug : log::Level::kInfo;
    log::write(level, "{}: The guest sees no option ROM: {}; pci.rom can name a file",
               fmt::make_format_args(device.name(), *unreadable));
    return std::unique_ptr<RomWindow>();
  }
  const auto bytes = contents.empty() ? device.region(RegionIndex::kRom).size : contents.size();
  if (bytes > kMaximumSize) {
    return fail(ErrorKind::kConfig, "ROM file for {} has {} bytes, a ROM BAR holds at most {}",
                device.name(), bytes, kMaximumSize);
  }
  auto memory = TRY(MappedRegion::create({.size = size_for(bytes)}));
  std::unique_ptr<RomWindow> rom(new RomWindow(options, std::move(memory)));
  if (!contents.empty()) {
    rom->fill(contents);
  }
  // Files have been fitted.
  if (fallen_back || (contents.empty() && options.source.check == RomCheck::kStrict)) {
    rom->load();
    TRY_CONTEXT(rom->fit(), "Option ROM of " + device.name());
  }
  return rom;
}

void RomWindow::fill(std::span<const std::byte> contents) {
  std::copy(contents.begin(), contents.end(), memory_.bytes().begin());
  loaded_bytes_ = contents.size();
  loaded_ = true;
}

/// Ids in the images as the guest sees them. A ROM that cannot be fitted is shown as it is, but for
/// strict users.
Status RomWindow::fit() {
  std::vector<std::byte> bytes(
      memory_.bytes().begin(),
      memory_.bytes().begin() + static_cast<std::ptrdiff_t>(loaded_bytes_));
  const auto changes = fit_rom(bytes, shown_, real_, check_);
  if (!changes && check_ == RomCheck::kStrict) {
    return changes.error();
  }
  if (!changes) {
    log::warn("{}: Shown as it is, though {}", name_, changes.error().to_string());
    return {};
  }
  tell(*changes, name_);
  std::fill(memory_.bytes().begin(), memory_.bytes().end(), std::byte{0xff});
  fill(bytes);
  return {};
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
  if (check_ == RomCheck::kCorrect) {
    static_cast<void>(fit());  // succeeds always with this check
  }
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
