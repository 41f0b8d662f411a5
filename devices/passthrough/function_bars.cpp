// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/function_bars.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"

namespace gpuvm {
namespace {

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

Result<std::unique_ptr<FunctionBars>> FunctionBars::create(const Options& options) {
  std::unique_ptr<FunctionBars> bars(new FunctionBars(options.space, options.bus));
  TRY(bars->add_bars(options));
  TRY(bars->add_coherent(options));
  bars->rom_ = TRY(RomWindow::create({.device = options.device,
                                      .slots = options.bus.slots,
                                      .source = options.view.rom,
                                      .shown = options.plan.shown,
                                      .real = options.facts.ids}));
  return bars;
}

FunctionBars::~FunctionBars() {
  space_.remove(all_windows());
  // vCPUs may still be in the handlers that go with this.
  if (const auto status = drain(); !status) {
    log::error("{}", status.error().to_string());
  }
}

Status FunctionBars::drain() const {
  std::vector<const IoHandler*> handlers;
  for (const auto& bar : bars_) {
    handlers.push_back(&bar.mapping->handler());
  }
  TRY(bus_.mmio.drain(handlers));
  return bus_.ports.drain(handlers);
}

Status FunctionBars::add_bars(const Options& options) {
  const auto& bars = options.plan.bars;
  for (unsigned number = 0; number < bars.size(); ++number) {
    if (bars.at(number)) {
      TRY(add_bar(options, number, *bars.at(number)));
    }
  }
  return {};
}

/// Memory of the function that is no BAR for the guest.
Status FunctionBars::add_coherent(const Options& options) {
  const auto& source = options.view.coherent;
  if (!source.is_there()) {
    return {};
  }
  const auto& bars = options.facts.bars;
  const bool is_memory_bar = source.bar && *source.bar < bars.size() && bars.at(*source.bar) &&
                             bars.at(*source.bar)->kind != BarKind::kIo;
  if (!source.region && !is_memory_bar) {
    return fail(ErrorKind::kConfig, "{}: coherent_memory.{} names no memory BAR",
                options.device.name(), source.to_string());
  }
  coherent_ = TRY(CoherentMemory::create(options.device, source, options.bus.slots));
  return {};
}

Status FunctionBars::add_bar(const Options& options, unsigned number,
                             const BarDescription& description) {
  TRY(check_bar(options.device, number, description));
  const bool io = description.kind == BarKind::kIo;
  const auto& msix = options.plan.msix.shown;
  auto mapping =
      TRY(BarMapping::create({.device = options.device,
                              .bar = number,
                              .kind = io ? BarSpaceKind::kIo : BarSpaceKind::kMemory,
                              .size = description.size,
                              .trapped_area = msix ? trapped_pages(*msix, number) : std::nullopt,
                              .overlay = options.overlays.of(number),
                              .bus = options.bus,
                              .trapped_too = options.overlays.trapped(number),
                              .listener = options.overlays.listener(number),
                              .peers = options.view.p2p ? options.peer_host : nullptr}));
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
