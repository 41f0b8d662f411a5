// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/fake_gpu.hpp"

#include <algorithm>

#include "tests/fake_gpu/card_config.hpp"
#include "tests/fake_gpu/memory_file.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::fake_gpu {
namespace {

using Clock = std::chrono::steady_clock;
using Config = std::span<std::byte>;

constexpr std::uint16_t kMemoryDecode = 1U << 1;
constexpr std::uint16_t kBusMaster = 1U << 2;
constexpr std::uint64_t kLinkSpeedAt = kExpressOffset + 18;
constexpr std::uint64_t kNextOfExpress = kExpressOffset + 1;
constexpr std::uint32_t kMostDma = 1U << 20;

/// PCI Firmware 3.3, 5.1: header and PCI data structure of an image without code.
std::vector<std::byte> make_rom(const Options& options) {
  std::vector<std::byte> rom(kRomSize, std::byte{0xff});
  const std::span<std::byte> image(rom);
  std::fill(rom.begin(), rom.begin() + 512, std::byte{0});
  put(image, 0, 2, 0xaa55);
  put(image, 2, 1, 1);  // 512 bytes
  put(image, 0x18, 2, 0x1c);
  put(image, 0x1c, 4, 0x52494350);  // "PCIR"
  put(image, 0x20, 2, options.vendor);
  put(image, 0x22, 2, options.device);
  put(image, 0x26, 2, 0x18);
  put(image, 0x29, 3, 0x030200);
  put(image, 0x2c, 2, 1);
  put(image, 0x31, 1, 0x80);  // the last image
  return rom;
}

}  // namespace

Result<FakeGpu> FakeGpu::create(const Options& options, Wires wires) {
  auto file = TRY(memory_file(options.vram_file, options.vram));
  auto vram = TRY(MappedRegion::create({.fd = file.get(), .size = options.vram}));
  return FakeGpu(options, std::move(wires), std::move(file), std::move(vram));
}

FakeGpu::FakeGpu(const Options& options, Wires wires, UniqueFd vram_file, MappedRegion vram)
    : options_(options),
      wires_(std::move(wires)),
      vram_file_(std::move(vram_file)),
      vram_(std::move(vram)),
      rom_(make_rom(options)),
      msix_(kMsixBarSize),
      masks_(config_masks()),
      state_(fresh_state()),
      is_lost_for_ever_(options.faults.dead) {
  show_audio(options.faults.drops_multifunction_bit);
}

FakeGpu::State FakeGpu::fresh_state() const {
  State state;
  const Config config(state.config);
  put(config, 0x00, 2, options_.vendor);
  put(config, 0x02, 2, options_.device);
  put(config, 0x08, 4, 0x03020001);  // 3D controller
  put(config, 0x18, 1, 0x0c);        // BAR 2: 64 bits, prefetchable
  put(config, 0x3d, 1, 1);           // INTA#
  put_capabilities(config, !options_.faults.no_flr, kMsixOffset);
  put(config, kExpressOffset + 18, 2, has_narrow_link_ ? kNarrowLink : kWideLink);
  put(config, kMsixOffset, 2, 0x0011);
  put(config, kMsixOffset + 2, 2, kMsixVectors - 1);
  const std::uint32_t bar = options_.faults.msix_in_vram ? 2 : 4;
  const auto table =
      static_cast<std::uint32_t>(options_.faults.msix_in_vram ? options_.vram / 2 & 0x7fffffff : 0);
  put(config, kMsixOffset + 4, 4, table | bar);
  put(config, kMsixOffset + 8, 4, (table + kMsixPendingDistance) | bar);
  return state;
}

/// Bits that a write changes.
std::array<std::byte, kExtendedConfigSize> FakeGpu::config_masks() const {
  std::array<std::byte, kExtendedConfigSize> masks{};
  const Config config(masks);
  put_common_masks(config);
  put(config, 0x10, 4, ~(kRegisterBarSize - 1));
  put(config, 0x18, 8, ~(options_.vram - 1));
  put(config, 0x20, 4, ~(kMsixBarSize - 1));
  put(config, 0x30, 4, options_.faults.no_rom ? 0 : ~(kRomSize - 1) | 1);
  put(config, kMsixOffset + 2, 2, 0xc000);
  put(config, kShowAudioOffset, 4, options_.faults.drops_multifunction_bit ? kShowAudio : 0);
  return masks;
}

std::uint64_t FakeGpu::region_size(std::uint32_t index) const {
  switch (index) {
    case 0:
      return kRegisterBarSize;
    case 2:
      return options_.vram;
    case 4:
      return kMsixBarSize;
    case kRomRegion:
      return options_.faults.no_rom || (options_.faults.rom_blank_until_reset && resets_ == 0)
                 ? 0
                 : kRomSize;
    case kConfigRegion:
      return options_.faults.drops_multifunction_bit ? kExtendedConfigSize : kConfigSize;
    default:
      return 0;
  }
}

std::uint16_t FakeGpu::command_register() const {
  return load_at<std::uint16_t>(state_.config, 4).value_or(0);
}

bool FakeGpu::is_silent() const {
  return is_lost_ || is_lost_for_ever_;
}

bool FakeGpu::is_within(unsigned Faults::*time) const {
  const std::chrono::milliseconds length(last_faults_.*time);
  return length.count() != 0 && Clock::now() - reset_at_ < length;
}

bool FakeGpu::is_link_slow() const {
  return has_slow_link_ || is_within(&Faults::link_slow_ms);
}

void FakeGpu::show_audio(bool is_shown) {
  put(state_.config, kShowAudioOffset, 4, is_shown ? kShowAudio : 0);
  put(state_.config, 0x0e, 1, is_shown ? 0x80 : 0);
}

Faults FakeGpu::faults_of_next_reset() const {
  return resets_ < options_.good_resets ? Faults{} : options_.faults;
}

void FakeGpu::reset(const Faults& faults, bool keeps_state, bool is_lost) {
  ++resets_;
  is_lost_ = is_lost;
  has_narrow_link_ = faults.narrow_link;
  reset_at_ = Clock::now();
  last_faults_ = faults;
  if (keeps_state) {
    return;
  }
  const std::uint32_t wpr2 = faults.sticky_wpr2 ? state_.wpr2 : 0;
  state_ = fresh_state();
  state_.wpr2 = wpr2;
  std::fill(msix_.begin(), msix_.end(), std::byte{0});
}

void FakeGpu::function_reset() {
  const Faults faults = faults_of_next_reset();
  is_lost_for_ever_ = is_lost_for_ever_ || faults.flr_kills;
  has_slow_link_ = has_slow_link_ || faults.flr_keeps_slow_link;
  reset(faults, faults.flr_keeps_state, is_lost_ || faults.flr_hangs);
}

void FakeGpu::slot_reset() {
  const Faults faults = faults_of_next_reset();
  is_lost_for_ever_ = is_lost_for_ever_ || faults.slot_reset_kills;
  has_slow_link_ = false;
  reset(faults, false, false);
}

bool FakeGpu::read(std::uint32_t region, std::uint64_t offset, std::span<std::byte> out) {
  const std::uint64_t size = region_size(region);
  if (out.size() > size || offset > size - out.size()) {
    return false;
  }
  const bool answers =
      !is_silent() &&
      (region == kConfigRegion || region == kRomRegion ||
       ((command_register() & kMemoryDecode) != 0 && !is_within(&Faults::no_bars_ms)));
  if (!answers) {
    std::fill(out.begin(), out.end(), std::byte{0xff});
    return true;
  }
  if (region == kConfigRegion) {
    read_config(offset, out);
  } else if (region == 0) {
    store_le(out, read_register(offset & ~3ULL) >> (offset & 3) * 8);
  } else {
    const std::span<const std::byte> source = region == 2
                                                  ? std::span<const std::byte>(vram_.bytes())
                                              : region == 4 ? std::span<const std::byte>(msix_)
                                                            : std::span<const std::byte>(rom_);
    std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }
  return true;
}

bool FakeGpu::write(std::uint32_t region, std::uint64_t offset, std::span<const std::byte> in) {
  const std::uint64_t size = region_size(region);
  if (in.size() > size || offset > size - in.size() || region == kRomRegion) {
    return false;
  }
  if (is_silent()) {
    return true;
  }
  if (region == kConfigRegion) {
    write_config(offset, in);
  } else if ((command_register() & kMemoryDecode) == 0) {
    return true;
  } else if (region == 0) {
    write_register(offset, static_cast<std::uint32_t>(load_le(in)));
  } else {
    const auto target = region == 2 ? vram_.bytes() : std::span<std::byte>(msix_);
    std::copy(in.begin(), in.end(), target.begin() + static_cast<std::ptrdiff_t>(offset));
  }
  return true;
}

// PCI Express Base 6.0, 2.3.1.1: while it is not ready, the bridge above answers a read of the
// vendor id with 0001 and ones.
void FakeGpu::read_config(std::uint64_t offset, std::span<std::byte> out) {
  if (!is_within(&Faults::not_ready_ms)) {
    std::copy_n(state_.config.begin() + static_cast<std::ptrdiff_t>(offset), out.size(),
                out.begin());
    show_unsteady_config(offset, out);
    return;
  }
  std::fill(out.begin(), out.end(), std::byte{0xff});
  if (offset == 0 && out.size() >= 2) {
    put(out, 0, 2, 0x0001);
  }
}

void FakeGpu::show_unsteady_config(std::uint64_t offset, std::span<std::byte> out) {
  const auto covers = [&](std::uint64_t at) { return at >= offset && at - offset < out.size(); };
  if (covers(kLinkSpeedAt) && is_link_slow()) {
    auto& byte = out[kLinkSpeedAt - offset];
    byte = (byte & std::byte{0xf0}) | std::byte{1};
  }
  if (covers(kNextOfExpress) && is_within(&Faults::msix_comes_and_goes_ms) &&
      ++chain_reads_ % 2 != 0) {
    out[kNextOfExpress - offset] = std::byte{0};
  }
}

void FakeGpu::write_config(std::uint64_t offset, std::span<const std::byte> in) {
  if (is_within(&Faults::not_ready_ms)) {
    return;
  }
  const bool resets = !options_.faults.no_flr && starts_function_reset(offset, in);
  write_masked(state_.config, masks_, offset, in);
  if ((state_.control & kControlRun) != 0) {
    put(state_.config, 4, 2, command_register() | kBusMaster);
  }
  if (options_.faults.drops_multifunction_bit) {
    const auto shown = load_at<std::uint32_t>(state_.config, kShowAudioOffset).value_or(0);
    show_audio((shown & kShowAudio) != 0);
  }
  if (resets) {
    function_reset();
  }
}

std::uint32_t FakeGpu::read_register(std::uint64_t offset) const {
  if (is_within(&Faults::bar_firewall_ms)) {
    return 0xffffffff;
  }
  if (offset != kBoot0 && is_within(&Faults::pri_error_ms)) {
    return kPriError;
  }
  switch (offset) {
    case kBoot0:
      return kBoot0Value;
    case kFirmwareMask:
      return 1;
    case kFirmwareProgress:
      return is_within(&Faults::firmware_boots_ms) ? kFirmwareBoots : kFirmwareDone;
    case kControl:
      return state_.control;
    case kStatus:
      return state_.status;
    case kDmaAddressLow:
      return static_cast<std::uint32_t>(state_.dma_address);
    case kDmaAddressHigh:
      return static_cast<std::uint32_t>(state_.dma_address >> 32);
    case kDmaSize:
      return state_.dma_size;
    case kDmaVram:
      return state_.dma_vram;
    case kScratch:
      return state_.scratch;
    case kWpr2:
      return state_.wpr2;
    default:
      return 0;
  }
}

void FakeGpu::write_register(std::uint64_t offset, std::uint32_t value) {
  switch (offset) {
    case kControl:
      state_.control |= value & (kControlBoot | kControlRun);
      state_.wpr2 = (value & kControlBoot) != 0 ? kWpr2Locked : state_.wpr2;
      break;
    case kDmaAddressLow:
      state_.dma_address = (state_.dma_address & ~0xffffffffULL) | value;
      break;
    case kDmaAddressHigh:
      state_.dma_address = (state_.dma_address & 0xffffffffULL) | std::uint64_t{value} << 32;
      break;
    case kDmaSize:
      state_.dma_size = value;
      break;
    case kDmaVram:
      state_.dma_vram = value;
      break;
    case kDmaCommand:
      transfer(value);
      break;
    case kRaise:
      wires_.raise(value);
      break;
    case kScratch:
      state_.scratch = value;
      break;
    default:
      break;
  }
}

void FakeGpu::transfer(std::uint32_t command) {
  const std::uint64_t size = state_.dma_size;
  const bool fits = size != 0 && size <= kMostDma && state_.dma_vram <= options_.vram - size;
  const bool may = (command_register() & kBusMaster) != 0;
  const auto memory =
      fits && may ? wires_.memory(state_.dma_address, size) : std::span<std::byte>();
  if (memory.size() != size || (command != kDmaToVram && command != kDmaToMemory)) {
    state_.status = kStatusDone | kStatusError;
  } else {
    const auto vram = vram_.bytes().subspan(state_.dma_vram, size);
    const auto from = command == kDmaToVram ? memory : vram;
    const auto to = command == kDmaToVram ? vram : memory;
    std::copy(from.begin(), from.end(), to.begin());
    state_.status = kStatusDone;
  }
  wires_.raise(0);
}

}  // namespace gpuvm::fake_gpu
