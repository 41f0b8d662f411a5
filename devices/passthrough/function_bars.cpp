// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/function_bars.hpp"

#include <algorithm>
#include <bit>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

/// No BAR is larger; keeps std::bit_ceil defined whatever the host says.
constexpr std::uint64_t kLargestBar = std::uint64_t{1} << 52;

/// What PCI has no registers for (PCI Express Base 6.0, 7.5.1.2.1), which a vfio-user server may
/// still say. Errors: kHost.
Status check_bar(const PhysicalDevice& device, unsigned number, const BarDescription& bar) {
  constexpr std::uint64_t kLargest32 = std::uint64_t{1} << 31;
  const auto refuse = [&](std::string_view why) -> Status {
    return fail(ErrorKind::kHost, "BAR {} of {} makes no sense: it has {:#x} bytes, {}", number,
                device.name(), bar.size, why);
  };
  if (bar.kind == BarKind::kMemory64 && number + 1 == BarSet::kRom) {
    return refuse("and no register behind it for the upper half of a 64-bit address");
  }
  if (bar.kind == BarKind::kIo && bar.size > pci::kMaxIoBar) {
    return refuse("more than there may be ports");
  }
  if (bar.kind == BarKind::kMemory32 && bar.size > kLargest32) {
    return refuse("which no 32-bit address reaches");
  }
  return {};
}

}  // namespace

std::optional<BarDescription> describe_bar(std::uint32_t hardware, std::uint64_t region_size) {
  if (region_size == 0 || region_size > kLargestBar) {
    return std::nullopt;
  }
  if ((hardware & pci::kBarIo) != 0) {
    return BarDescription{.kind = BarKind::kIo,
                          .size = std::bit_ceil(std::max(region_size, pci::kMinIoBar))};
  }
  const bool wide = (hardware & pci::kBarMemory64) != 0;
  return BarDescription{.kind = wide ? BarKind::kMemory64 : BarKind::kMemory32,
                        .size = std::bit_ceil(std::max(region_size, pci::kMinMemoryBar)),
                        .prefetchable = (hardware & pci::kBarPrefetchable) != 0};
}

Result<std::unique_ptr<FunctionBars>> FunctionBars::create(Options options) {
  std::unique_ptr<FunctionBars> bars(new FunctionBars(options.space));
  TRY(bars->add_bars(options));
  bars->rom_ = TRY(RomWindow::create({.device = options.device,
                                      .slots = options.slots,
                                      .source = std::move(options.rom),
                                      .shown = options.shown,
                                      .real = options.real}));
  return bars;
}

FunctionBars::~FunctionBars() {
  space_.remove(all_windows());
}

BarDescriptions describe_bars(std::span<const std::byte> config, PhysicalDevice& device) {
  BarDescriptions bars;
  for (unsigned number = 0; number < bars.size(); ++number) {
    const auto hardware =
        load_at<std::uint32_t>(config, pci::kBar0 + std::size_t{number} * 4).value_or(0);
    bars.at(number) = describe_bar(hardware, device.region(bar_region(number)).size);
    number += bars.at(number) && bars.at(number)->kind == BarKind::kMemory64 ? 1U : 0U;
  }
  return bars;
}

Status FunctionBars::add_bars(const Options& options) {
  auto bars = describe_bars(options.config, options.device);
  if (options.msix_home) {
    bars.at(options.msix_home->bar) = options.msix_home->description;
  }
  for (unsigned number = 0; number < bars.size(); ++number) {
    const auto& description = bars.at(number);
    if (!description) {
      continue;
    }
    if (options.coherent.bar == number && description->kind != BarKind::kIo) {
      coherent_ = TRY(CoherentMemory::create(options.device, options.coherent, options.slots));
      continue;
    }
    TRY(add_bar(options, number, *description));
  }
  if (options.coherent.region) {
    coherent_ = TRY(CoherentMemory::create(options.device, options.coherent, options.slots));
  }
  if (options.coherent.is_there() && !coherent_) {
    return fail(ErrorKind::kConfig, "{}: coherent_memory.{} names no memory BAR",
                options.device.name(), options.coherent.to_string());
  }
  return {};
}

Status FunctionBars::add_bar(const Options& options, unsigned number,
                             const BarDescription& description) {
  TRY(check_bar(options.device, number, description));
  const bool io = description.kind == BarKind::kIo;
  auto mapping = TRY(BarMapping::create(
      {.device = options.device,
       .bar = number,
       .kind = io ? BarSpaceKind::kIo : BarSpaceKind::kMemory,
       .size = description.size,
       .trapped_area = options.msix ? trapped_pages(*options.msix, number) : std::nullopt,
       .overlay = options.overlays.of(number),
       .slots = options.slots,
       .mmio = options.mmio,
       .ports = options.ports,
       .trapped_too = options.overlays.trapped(number),
       .listener = options.overlays.listener(number),
       .peers = options.peers}));
  bars_.push_back(Bar{.number = number, .description = description, .mapping = std::move(mapping)});
  return {};
}

Result<BarSet> FunctionBars::make_registers() const {
  BarSet registers;
  for (const auto& bar : bars_) {
    TRY(registers.define(bar.number, bar.description));
  }
  if (rom_) {
    TRY(registers.define(BarSet::kRom, {.kind = BarKind::kRom, .size = rom_->size()}));
  }
  return registers;
}

std::uint16_t FunctionBars::physical_decode() const {
  const bool io = std::any_of(bars_.begin(), bars_.end(),
                              [](const Bar& bar) { return bar.description.kind == BarKind::kIo; });
  // I/O decode with no I/O BAR assigned would claim ports that are another's.
  return static_cast<std::uint16_t>(pci::kCommandMemory | (io ? pci::kCommandIo : 0));
}

std::vector<BarWindow*> FunctionBars::all_windows() const {
  std::vector<BarWindow*> windows;
  for (const auto& bar : bars_) {
    windows.push_back(bar.mapping.get());
  }
  if (rom_) {
    windows.push_back(rom_.get());
  }
  return windows;
}

void FunctionBars::withdraw() {
  space_.withdraw(all_windows());
  if (coherent_) {
    coherent_->hide();
  }
}

void FunctionBars::update(std::span<const BarPlacement> placements) {
  const auto address = [&](unsigned number) -> std::optional<std::uint64_t> {
    const auto found = std::find_if(placements.begin(), placements.end(),
                                    [&](const BarPlacement& p) { return p.bar == number; });
    return found == placements.end() ? std::nullopt : std::optional(found->address);
  };
  std::vector<BarSpace::Placement> wanted;
  for (const auto& bar : bars_) {
    wanted.push_back({.window = bar.mapping.get(), .at = address(bar.number)});
  }
  if (rom_) {
    const auto at = address(BarSet::kRom);
    if (at) {
      rom_->load();
    }
    wanted.push_back({.window = rom_.get(), .at = at});
  }
  space_.update(wanted);
}

void FunctionBars::inspect(InspectNode& node) const {
  for (const auto& bar : bars_) {
    bar.mapping->inspect(node.child(bar_key(bar.number)));
  }
  if (rom_) {
    rom_->inspect(node.child("rom"));
  }
  if (coherent_) {
    coherent_->inspect(node.child("coherent_memory"));
  }
}

}  // namespace gpuvm
