// SPDX-License-Identifier: Apache-2.0
// RootPort: what its registers hold at power-on and which bits a guest may write. Behaviour is in
// root_port.cpp.
#include "devices/pci/root_port.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kPortSpace = std::uint64_t{1} << 16;

constexpr std::uint16_t at(std::uint16_t capability, std::uint16_t offset) {
  return static_cast<std::uint16_t>(capability + offset);
}

template <class A>
bool fits(const std::optional<AddressRange<A>>& window, std::uint64_t granularity,
          std::uint64_t end) {
  return !window || (is_aligned(window->base().value(), granularity) &&
                     is_aligned(window->size(), granularity) && window->last().value() < end);
}

/// Bits 31:20 of the edges of a memory window, in bits 15:4 of its registers; without a window the
/// base is above the limit.
template <class A>
std::uint32_t base_bits(const std::optional<AddressRange<A>>& window, unsigned shift,
                        std::uint32_t closed) {
  return window ? static_cast<std::uint32_t>(window->base().value() >> shift) & closed : closed;
}
template <class A>
std::uint32_t limit_bits(const std::optional<AddressRange<A>>& window, unsigned shift,
                         std::uint32_t mask) {
  return window ? static_cast<std::uint32_t>(window->last().value() >> shift) & mask : 0;
}

}  // namespace

Status RootPort::define() {
  const bool slot_ok = config_.slot >= 1 && config_.slot <= pci::kMaxSlotNumber;
  const bool place_ok = config_.device >= 1 && config_.device < pci::kDevicesPerBus &&
                        config_.function < pci::kFunctionsPerDevice;
  const bool link_ok = config_.link.is_valid() && config_.max_payload_code <= pci::kMaxPayloadCode;
  if (!slot_ok || !place_ok || !link_ok) {
    return fail(ErrorKind::kInternal,
                "Invalid slot {}, place {:02x}.{}, link speed {} x{} or payload code {}",
                config_.slot, config_.device, config_.function, config_.link.speed,
                config_.link.width, config_.max_payload_code);
  }
  {
    const MutexLock lock(mutex_);
    define_header();
    TRY(define_power_management());
    TRY(define_express());
    TRY(define_subsystem());
    if (config_.hot_plug) {
      TRY(define_hot_plug());
    }
  }
  return set_power_on_setup({});
}

void RootPort::define_header() {
  space_.define_identity(kVendor, kDevice, pci::kClassPciBridge);
  space_.define({.offset = pci::kHeaderType,
                 .size = 1,
                 .reset_value = pci::kHeaderTypeBridge |
                                (config_.multi_function ? pci::kHeaderTypeMultiFunction : 0U)});
  space_.define({.offset = pci::kCacheLineSize, .size = 1, .writable = 0xff});  // 7.5.1.1.7: RW
  space_.define({.offset = pci::kInterruptLine, .size = 1, .writable = 0xff});
  space_.define({.offset = pci::kBridgeControl,
                 .size = 2,
                 .writable = pci::kBridgeControlParityError | pci::kBridgeControlSerr |
                             pci::kBridgeControlBusReset});
}

Status RootPort::define_power_management() {
  power_ = TRY(space_.add_capability(pci::CapabilityId::kPowerManagement, pci::kPowerSize));
  // D0 and D3hot only, no PME. Configuration survives D3hot, so a guest need not restore it.
  space_.define({.offset = at(power_, pci::kPowerCapabilities),
                 .size = 2,
                 .reset_value = pci::kPowerVersion});
  space_.define({.offset = at(power_, pci::kPowerControl),
                 .size = 2,
                 .reset_value = pci::kPowerNoSoftReset,
                 .writable = pci::kPowerStateMask});
  return {};
}

Status RootPort::define_express() {
  express_ = TRY(space_.add_capability(pci::CapabilityId::kPciExpress, pci::kExpressSize));
  if (express_ != kExpressOffset) {
    return fail(ErrorKind::kInternal, "PCI Express capability is at {:#x}, not at {:#x}", express_,
                kExpressOffset);
  }
  space_.define({.offset = at(express_, pci::kExpressFlags),
                 .size = 2,
                 .reset_value = pci::kExpressVersion | pci::kExpressTypeRootPort |
                                pci::kExpressSlotImplemented});
  space_.define({.offset = at(express_, pci::kExpressRootControl),
                 .size = 2,
                 .writable = pci::kRootControlEnables});
  define_card();
  return {};
}

/// What is the card's: payloads, AtomicOps and the link. A card that comes finds an empty slot, for
/// which no guest has set any of that.
void RootPort::define_card() {
  space_.define({.offset = at(express_, pci::kExpressDeviceCapabilities),
                 .reset_value = card_.max_payload_code | pci::kDeviceRoleBasedErrors});
  constexpr std::uint32_t kThreeBits = 7;
  space_.define(
      {.offset = at(express_, pci::kExpressDeviceControl),
       .size = 2,
       .reset_value =
           static_cast<std::uint32_t>(card_.max_payload_code) << pci::kDeviceControlPayloadShift |
           2U << pci::kDeviceControlReadRequestShift |  // 512 bytes, the default (7.5.3.4)
           pci::kDeviceControlRelaxedOrdering,
       .writable = pci::kDeviceControlErrorEnables | pci::kDeviceControlRelaxedOrdering |
                   kThreeBits << pci::kDeviceControlPayloadShift |
                   kThreeBits << pci::kDeviceControlReadRequestShift});
  space_.define({.offset = at(express_, pci::kExpressDeviceCapabilities2),
                 .reset_value = card_.atomic_completer &
                                (pci::kDevice2AtomicComplete32 | pci::kDevice2AtomicComplete64 |
                                 pci::kDevice2AtomicComplete128)});
  define_link();
}

void RootPort::define_link() {
  const std::uint32_t speed = card_.link.speed;
  const std::uint32_t width = static_cast<std::uint32_t>(card_.link.width) << pci::kLinkWidthShift;
  const std::uint32_t port_number = devfn();
  space_.define({.offset = at(express_, pci::kExpressLinkCapabilities),
                 .reset_value = speed | width | pci::kLinkActiveReporting |
                                pci::kLinkAspmOptionality |
                                port_number << pci::kLinkPortNumberShift});
  space_.define({.offset = at(express_, pci::kExpressLinkControl),
                 .size = 2,
                 .writable = pci::kLinkControlDisable | pci::kLinkControlCommonClock |
                             pci::kLinkControlExtendedSynch});
  space_.define({.offset = at(express_, pci::kExpressSlotCapabilities),
                 .reset_value = static_cast<std::uint32_t>(config_.slot) << pci::kSlotNumberShift |
                                (config_.hot_plug ? HotPlugSlot::kCapabilities : 0U)});
  // Supported Link Speeds, bits 7:1: this one and all below (7.5.3.18).
  space_.define({.offset = at(express_, pci::kExpressLinkCapabilities2),
                 .reset_value = ((1U << speed) - 1) << 1});
  space_.define({.offset = at(express_, pci::kExpressLinkControl2),
                 .size = 2,
                 .reset_value = speed,
                 .writable = 0xf});  // target speed (7.5.3.19)
  define_presence();
}

/// The registers of link and slot that depend on whether something is attached; a guest cannot
/// write them.
void RootPort::define_presence() {
  space_.define({.offset = at(express_, pci::kExpressLinkStatus),
                 .size = 2,
                 .reset_value = pci::kLinkStatusSlotClock |
                                (present_ ? card_.link.bits() | pci::kLinkStatusActive : 0U)});
  if (config_.hot_plug) {
    return;  // the slot's registers are HotPlugSlot's
  }
  space_.define({.offset = at(express_, pci::kExpressSlotStatus),
                 .size = 2,
                 .reset_value = present_ ? pci::kSlotStatusPresent : 0U});
}

Status RootPort::define_subsystem() {
  const std::uint16_t subsystem =
      TRY(space_.add_capability(pci::CapabilityId::kBridgeSubsystem, pci::kBridgeSubsystemSize));
  space_.define({.offset = at(subsystem, pci::kBridgeSubsystemIds), .reset_value = kVendor});
  return {};
}

Status RootPort::set_power_on_setup(const BridgeSetup& setup) {
  const bool buses_ok =
      setup.secondary <= setup.subordinate && (setup.secondary != 0 || setup.subordinate == 0);
  if (!buses_ok || !fits(setup.io, pci::kIoWindowGranularity, kPortSpace) ||
      !fits(setup.memory, pci::kMemoryWindowGranularity, pci::kMemorySpace32) ||
      !fits(setup.prefetchable, pci::kMemoryWindowGranularity, ~std::uint64_t{0})) {
    return fail(ErrorKind::kInternal, "Invalid bus numbers or windows for root port {}",
                config_.name);
  }
  const MutexLock lock(mutex_);
  define_bus_numbers(setup);
  define_windows(setup);
  publish();
  return {};
}

void RootPort::define_bus_numbers(const BridgeSetup& setup) {
  const std::uint32_t decode = setup.secondary == 0 ? 0U
                                                    : pci::kCommandMemory | pci::kCommandBusMaster |
                                                          (setup.io ? pci::kCommandIo : 0U);
  space_.define({.offset = pci::kCommand,
                 .size = 2,
                 .reset_value = decode,
                 .writable = pci::kCommandIo | pci::kCommandMemory | pci::kCommandBusMaster |
                             pci::kCommandParityError | pci::kCommandSerr |
                             pci::kCommandInterruptDisable});
  space_.define({.offset = pci::kPrimaryBus, .size = 1, .writable = 0xff});
  space_.define(
      {.offset = pci::kSecondaryBus, .size = 1, .reset_value = setup.secondary, .writable = 0xff});
  space_.define({.offset = pci::kSubordinateBus,
                 .size = 1,
                 .reset_value = setup.subordinate,
                 .writable = 0xff});
}

void RootPort::define_windows(const BridgeSetup& setup) {
  // 16-bit I/O addressing (7.5.1.3.6): the low nibbles read 0. The registers exist even where no
  // device needs I/O: a closed window costs a guest fewer accesses than probing for an absent one.
  const auto io_edge = [this](std::uint16_t offset, std::uint32_t bits) {
    mutex_.assert_held();
    space_.define({.offset = offset, .size = 1, .reset_value = bits, .writable = 0xf0});
  };
  io_edge(pci::kIoBase, base_bits(setup.io, 8, 0xf0));
  io_edge(pci::kIoLimit, limit_bits(setup.io, 8, 0xf0));
  const auto edge = [this](std::uint16_t offset, std::uint32_t bits, std::uint32_t type) {
    mutex_.assert_held();
    space_.define({.offset = offset, .size = 2, .reset_value = bits | type, .writable = 0xfff0});
  };
  edge(pci::kMemoryBase, base_bits(setup.memory, 16, 0xfff0), 0);
  edge(pci::kMemoryLimit, limit_bits(setup.memory, 16, 0xfff0), 0);
  edge(pci::kPrefetchableBase, base_bits(setup.prefetchable, 16, 0xfff0), pci::kPrefetchable64);
  edge(pci::kPrefetchableLimit, limit_bits(setup.prefetchable, 16, 0xfff0), pci::kPrefetchable64);
  const auto& high = setup.prefetchable;
  space_.define({.offset = pci::kPrefetchableBaseHigh,
                 .reset_value = high ? base_bits(high, 32, pci::kAllOnes) : 0,
                 .writable = pci::kAllOnes});
  space_.define({.offset = pci::kPrefetchableLimitHigh,
                 .reset_value = limit_bits(high, 32, pci::kAllOnes),
                 .writable = pci::kAllOnes});
}

}  // namespace gpuvm
