// SPDX-License-Identifier: Apache-2.0
// RootPort: see root_port.hpp. The register definitions are in root_port_registers.cpp.
#include "devices/pci/root_port.hpp"

#include <algorithm>

#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kRoutingLinkUp = 1 << 16;

/// The addresses from base to the end of the unit that begins at limit; a base above the limit
/// closes the window (7.5.1.3.8).
std::string window_text(std::uint64_t base, std::uint64_t limit) {
  return limit < base
             ? "closed"
             : fmt::format("{:#x}-{:#x}", base, limit | (pci::kMemoryWindowGranularity - 1));
}

}  // namespace

Result<std::unique_ptr<RootPort>> RootPort::create(RootPortConfig config) {
  std::unique_ptr<RootPort> port(new RootPort(std::move(config)));
  TRY_CONTEXT(port->define(), fmt::format("Creating root port {}", port->config_.name));
  return port;
}

/// Changes what is behind and then what the guest sees of it.
Status RootPort::change_behind(const std::function<Status(Behind&)>& change) {
  const MutexLock lock(mutex_);
  bool present = false;
  TRY(behind_.change([&](Behind& next) -> Status {
    TRY(change(next));
    present = std::any_of(next.functions.begin(), next.functions.end(),
                          [](const PciFunction* function) { return function != nullptr; });
    return {};
  }));
  if (!slot_) {
    present_ = present;
    define_presence();
  }
  publish();
  return {};
}

Status RootPort::attach(std::uint8_t devfn, PciFunction& function) {
  return change_behind([&](Behind& next) -> Status {
    if (devfn >= next.functions.size() || next.functions[devfn] != nullptr) {
      return fail(ErrorKind::kInternal, "No free place {:02x}.{} behind root port {} for {}",
                  devfn >> 3, devfn & 7, config_.name, function.name());
    }
    next.functions[devfn] = &function;
    return {};
  });
}

Status RootPort::detach(std::uint8_t devfn) {
  TRY(Versions::check_outside());
  TRY(change_behind([&](Behind& next) -> Status {
    if (devfn >= next.functions.size() || next.functions[devfn] == nullptr) {
      return fail(ErrorKind::kInternal, "Nothing is at {:02x}.{} behind root port {}", devfn >> 3,
                  devfn & 7, config_.name);
    }
    next.functions[devfn] = nullptr;
    return {};
  }));
  return behind_.drain();
}

bool RootPort::has(std::uint8_t devfn) const {
  const auto behind = behind_.read();
  return devfn < behind->functions.size() && behind->functions[devfn] != nullptr;
}

Status RootPort::set_listener(SecondaryBusListener* listener) {
  TRY(Versions::check_outside());
  TRY(behind_.change([listener](Behind& next) -> Status {
    next.listener = listener;
    return {};
  }));
  return behind_.drain();
}

bool RootPort::claims_bus(std::uint8_t bus) const {
  const std::uint32_t routing = routing_.load(std::memory_order_acquire);
  const std::uint32_t secondary = routing & 0xff;
  return secondary != 0 && bus >= secondary && bus <= (routing >> 8 & 0xff);
}

RootPort::Route RootPort::route(std::uint8_t bus, std::uint8_t devfn) const {
  Route route{.reading = behind_.read(), .function = nullptr};
  const std::uint32_t routing = routing_.load(std::memory_order_acquire);
  const bool here = (routing & 0xff) == bus && bus != 0 && (routing & kRoutingLinkUp) != 0;
  if (here && devfn < route.reading->functions.size()) {
    route.function = route.reading->functions[devfn];
  }
  return route;
}

/// Link Status follows the hardware: cards slow their link down while they idle. Asked without the
/// lock, as a function's answer may take long.
void RootPort::follow_link() {
  if ((routing_.load(std::memory_order_acquire) & kRoutingLinkUp) == 0) {
    return;
  }
  std::optional<PcieLink> trained;
  {
    const auto behind = behind_.read();
    const auto first =
        std::find_if(behind->functions.begin(), behind->functions.end(),
                     [](const PciFunction* function) { return function != nullptr; });
    trained = first == behind->functions.end() ? std::nullopt : (*first)->trained_link();
  }
  const MutexLock lock(mutex_);
  if (trained && link_up()) {
    constexpr std::uint32_t kSpeedAndWidth = 0x3ff;
    space_.set(static_cast<std::uint16_t>(express_ + pci::kExpressLinkControl),
               trained->at_most(card_.link).bits() << 16, kSpeedAndWidth << 16);
  }
}

std::uint32_t RootPort::config_read(std::uint16_t offset) {
  if (offset == express_ + pci::kExpressLinkControl) {
    follow_link();
  }
  const MutexLock lock(mutex_);
  return space_.read(offset);
}

void RootPort::config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  bool resets_bus = false;
  auto power = HotPlugSlot::Power::kAsBefore;
  {
    const MutexLock lock(mutex_);
    resets_bus = apply_side_effects(offset, space_.write(offset, value, mask));
    power = write_slot(offset, value, mask);
    resets_bus = resets_bus || (present_ && power == HotPlugSlot::Power::kSwitchedOff);
    publish();
  }
  // Slow (a device's reset), so without the lock: meanwhile the link is down, see link_up().
  if (resets_bus) {
    const auto behind = behind_.read();
    if (behind->listener != nullptr) {
      behind->listener->secondary_bus_reset();
    }
  }
  if (power != HotPlugSlot::Power::kAsBefore && config_.hot_plug->on_power) {
    config_.hot_plug->on_power(power == HotPlugSlot::Power::kSwitchedOn);
  }
}

/// True if what is behind the port must be reset. The change is that of the dword at offset.
bool RootPort::apply_side_effects(std::uint16_t offset, const ConfigSpace::Change& change) {
  const unsigned dword = offset / 4U * 4U;
  if (dword == static_cast<unsigned>(power_ + pci::kPowerControl)) {
    // A write of a state that is not supported, D1 or D2 here, is dropped (7.5.2.2).
    const std::uint32_t state = change.after & pci::kPowerStateMask;
    if (state == 1 || state == 2) {
      space_.set(offset, change.before, pci::kPowerStateMask);
    }
    return false;
  }
  if (dword == pci::kInterruptLine) {
    return change.rises(static_cast<std::uint32_t>(pci::kBridgeControlBusReset) << 16);
  }
  return dword == static_cast<unsigned>(express_ + pci::kExpressLinkControl) &&
         change.rises(pci::kLinkControlDisable);
}

bool RootPort::link_up() const {
  const auto link_control =
      space_.read(static_cast<std::uint16_t>(express_ + pci::kExpressLinkControl), 2);
  const bool is_powered = !slot_ || slot_->is_powered();
  return present_ && is_powered &&
         (space_.read(pci::kBridgeControl, 2) & pci::kBridgeControlBusReset) == 0 &&
         (link_control & pci::kLinkControlDisable) == 0;
}

/// Makes the state of the link and the bus numbers visible: to the guest and to route().
void RootPort::publish() {
  const bool up = link_up();
  constexpr std::uint32_t kActive = static_cast<std::uint32_t>(pci::kLinkStatusActive) << 16;
  space_.set(static_cast<std::uint16_t>(express_ + pci::kExpressLinkControl), up ? kActive : 0,
             kActive);
  publish_slot(up);
  routing_.store(space_.read(pci::kSecondaryBus, 1) | space_.read(pci::kSubordinateBus, 1) << 8 |
                     (up ? kRoutingLinkUp : 0),
                 std::memory_order_release);
}

void RootPort::reset() {
  const MutexLock lock(mutex_);
  space_.reset();
  if (slot_) {
    slot_->reset();
    wants_interrupt_ = false;
  }
  publish();
}

void RootPort::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.hex("command", space_.read(pci::kCommand, 2));
  node.field("secondary_bus", std::uint64_t{space_.read(pci::kSecondaryBus, 1)});
  node.field("subordinate_bus", std::uint64_t{space_.read(pci::kSubordinateBus, 1)});
  node.field("link_up", link_up());
  const auto edge = [this](std::uint16_t low, std::uint32_t high) {
    mutex_.assert_held();
    return std::uint64_t{high} << 32 | static_cast<std::uint64_t>(space_.read(low, 2) & 0xfff0)
                                           << 16;
  };
  node.field("memory_window", window_text(edge(pci::kMemoryBase, 0), edge(pci::kMemoryLimit, 0)));
  node.field("prefetchable_window",
             window_text(edge(pci::kPrefetchableBase, space_.read(pci::kPrefetchableBaseHigh)),
                         edge(pci::kPrefetchableLimit, space_.read(pci::kPrefetchableLimitHigh))));
  if (slot_) {
    auto& child = node.child("slot");
    slot_->inspect(child);
    child.field("interrupts", msi_->sent());
  }
  for (const auto behind = behind_.read(); const PciFunction* function : behind->functions) {
    if (function != nullptr) {
      node.child(function->name());
    }
  }
}

std::string RootPort::acpi_path() const {
  return fmt::format("\\_SB.PCI0.S{:02X}", devfn());
}

aml::Terms RootPort::acpi() const {
  // _ADR of a PCI device: device << 16 | function (ACPI 6.5, 6.1.1). No _PRT: without one a guest
  // maps the pins behind a bridge by the standard swizzle (PCI-to-PCI Bridge 1.2, 9.1) and finds
  // this port's line in PCI0's table.
  const std::uint64_t address = std::uint64_t{config_.device} << 16 | config_.function;
  aml::Terms terms = {aml::name("_ADR", aml::integer(address))};
  if (config_.proximity_domain) {
    terms.push_back(aml::name("_PXM", aml::integer(*config_.proximity_domain)));
  }
  return {aml::device(acpi_path(), terms)};
}

}  // namespace gpuvm
