// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/passthrough_function.hpp"

#include <algorithm>
#include <array>

#include "devices/passthrough/function_plan.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/background_thread.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

/// Command bits that come from the host's firmware, such as error reporting.
constexpr std::uint32_t kFirmwareCommand =
    ~std::uint32_t{pci::kCommandBusMaster | VirtualConfig::kVirtualCommand};
constexpr std::uint8_t kD3hot = 3;  // 7.5.2.2

}  // namespace

PassthroughFunction::PassthroughFunction(Options& options)
    : device_(options.device),
      name_(std::move(options.name)),
      before_bus_master_(std::move(options.before_bus_master)),
      after_reset_(std::move(options.after_reset)) {}

Result<std::unique_ptr<PassthroughFunction>> PassthroughFunction::create(
    Options options, const FunctionFacts& facts) {
  std::unique_ptr<PassthroughFunction> function(new PassthroughFunction(options));
  TRY(function->build(options, facts));
  return function;
}

// No lock: nobody else knows the function yet.
Status PassthroughFunction::build(const Options& options, const FunctionFacts& facts) {
  auto plan = TRY(FunctionPlan::create(name_, facts, options.view, options.place));
  const auto& msix = plan.msix;
  link_ = options.place.link;
  express_ =
      find_capability(facts.config, static_cast<std::uint8_t>(pci::CapabilityId::kPciExpress));
  if (options.view.msix_relocation.mode != MsixRelocation::Mode::kOff) {
    log::info("{}: MSI-X table {}: {}; effect: {}", name_,
              msix.home ? "relocated" : "not relocated", msix.reason, msix.effect);
  }
  interrupts_ = std::make_unique<FunctionInterrupts>(FunctionInterrupts::Options{
      .device = device_,
      .bus = options.bus,
      .intx_pin = options.intx_pin,
      .msi = facts.msi ? std::optional(MsiCapability(facts.msi->offset, facts.msi->control,
                                                     facts.msi->vectors))
                       : std::nullopt,
      .msix = msix.shown,
      .moved_msix = msix.home ? msix.hardware : std::nullopt});
  overlays_ = std::make_unique<FunctionOverlays>(FunctionOverlays::Options{
      .device = device_,
      .mutex = mutex_,
      .msix = interrupts_->msix(),
      .quirks = options.view.quirks,
      .msi_capability =
          find_capability(facts.config, static_cast<std::uint8_t>(pci::CapabilityId::kMsi)),
      .config = config_access(),
      .doorbells = options.bus.doorbells});
  bars_ = TRY(FunctionBars::create({.device = device_,
                                    .bus = options.bus,
                                    .space = options.bar_space,
                                    .overlays = *overlays_,
                                    .peer_host = options.peer_host,
                                    .facts = facts,
                                    .view = options.view,
                                    .plan = plan}));
  physical_decode_ = bars_->physical_decode();
  config_ = std::make_unique<VirtualConfig>(facts.config, std::move(plan.patch),
                                            TRY(bars_->make_registers()), physical_decode_);
  return {};
}

/// The way of a quirk back to the function's configuration space.
ConfigAccess PassthroughFunction::config_access() {
  return {.read = [this](std::uint16_t offset) { return config_read(offset); },
          .write = [this](std::uint16_t offset, std::uint32_t value,
                          std::uint32_t mask) { config_write(offset, value, mask); }};
}

PassthroughFunction::~PassthroughFunction() {
  if (config_) {
    quiesce();
  }
}

// The hardware decodes from now on whatever the guest says, and may not master the bus until the
// guest asks for it. `kept`: bits of the Command register that stay as they are.
Status PassthroughFunction::prepare_hardware(std::uint32_t kept) {
  // vfio-pci makes up the ids and bits of the Command register, the class is the hardware's.
  std::array<std::byte, 4> class_dword{};
  TRY(device_.read(RegionIndex::kConfig, pci::kClassDword, class_dword));
  if (load_le(class_dword) == pci::kAllOnes) {
    return fail(ErrorKind::kHost, "Device {} does not answer", device_.name());
  }
  std::array<std::byte, 2> command{};
  TRY(device_.read(RegionIndex::kConfig, pci::kCommand, command));
  const auto old = static_cast<std::uint32_t>(load_le(command));
  store_le(command, (old & kept) | physical_decode_);
  return device_.write(RegionIndex::kConfig, pci::kCommand, command);
}

Status PassthroughFunction::start() {
  const MutexLock lock(mutex_);
  TRY_CONTEXT(prepare_hardware(kFirmwareCommand), "Starting " + name_);
  TRY(bars_->show_memory());
  return interrupts_->start();
}

void PassthroughFunction::quiesce() {
  const MutexLock lock(mutex_);
  interrupts_->stop();
  bars_->withdraw();
}

Status PassthroughFunction::reset() {
  const MutexLock lock(mutex_);
  interrupts_->stop();
  bars_->withdraw();
  config_->reset();
  overlays_->reset();
  interrupts_->reset_registers();
  presence_ = Presence::kPresent;
  TRY_CONTEXT(prepare_hardware(kFirmwareCommand), "Restarting " + name_);
  TRY(bars_->show_memory());
  return interrupts_->start();
}

std::optional<std::uint32_t> PassthroughFunction::read_hardware(std::uint16_t offset) {
  std::array<std::byte, 4> bytes{};
  if (offset + bytes.size() > device_.region(RegionIndex::kConfig).size) {
    return std::nullopt;
  }
  if (auto status = device_.read(RegionIndex::kConfig, offset, bytes); !status) {
    note_failure(status.error());
    return std::nullopt;
  }
  return static_cast<std::uint32_t>(load_le(bytes));
}

// By naturally aligned pieces of whole byte lanes, as few as possible: a write must not touch
// registers beside it.
void PassthroughFunction::write_hardware(std::uint16_t offset, std::uint32_t value,
                                         std::uint32_t mask) {
  if (offset + 4U > device_.region(RegionIndex::kConfig).size) {
    return;
  }
  // What the guest sees there is not the hardware's, so neither is what it writes back.
  if (const auto kept = kept_bits(offset) & mask; kept != 0) {
    value = (value & ~kept) | (read_hardware(offset).value_or(0) & kept);
  }
  unsigned lane = 0;
  while (lane < 4) {
    const auto covers = [lane, mask](unsigned count) {
      return lane % count == 0 && (~mask & byte_lanes(lane, count)) == 0;
    };
    const unsigned count = covers(4) ? 4 : covers(2) ? 2 : covers(1) ? 1 : 0;
    if (count == 0) {
      ++lane;
      continue;
    }
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value >> lane * 8);
    if (auto status =
            device_.write(RegionIndex::kConfig, offset + lane, std::span(bytes).first(count));
        !status) {
      note_failure(status.error());
    }
    lane += count;
  }
}

void PassthroughFunction::note_failure(const Error& error) {
  failures_.fetch_add(1, std::memory_order_relaxed);
  if (limit_.allow()) {
    log::warn("{}: Configuration space of {}: {}", name_, device_.name(), error.to_string());
  }
}

std::uint32_t PassthroughFunction::config_read(std::uint16_t offset) {
  const MutexLock lock(mutex_);
  if (presence_ != Presence::kPresent || offset >= pci::kConfigSize || offset % 4 != 0) {
    return pci::kAllOnes;
  }
  if (VirtualConfig::answers_alone(offset)) {
    return config_->read(offset, 0);
  }
  const auto hardware = read_hardware(offset);
  // No dword of the header may be all ones: the device is gone, and nothing of ours makes up for
  // it.
  if (!hardware || (*hardware == pci::kAllOnes && offset < pci::kHeaderSize)) {
    return pci::kAllOnes;
  }
  return interrupts_->config_read(offset, with_card_link(offset, config_->read(offset, *hardware)));
}

std::uint32_t PassthroughFunction::with_card_link(std::uint16_t offset, std::uint32_t value) const {
  constexpr std::uint32_t kSpeedAndWidth = 0x3ff0000;
  if (express_ == 0 || offset != express_ + pci::kExpressLinkControl) {
    return value;
  }
  const auto card = device_.card_link();
  return card
             ? (value & ~kSpeedAndWidth) | card->now.at_most(link_.value_or(card->now)).bits() << 16
             : value;
}

std::optional<PcieLink> PassthroughFunction::trained_link() {
  const auto at = static_cast<std::uint16_t>(express_ + pci::kExpressLinkControl);
  return express_ == 0 || at + 4U > pci::kLegacyConfigSize
             ? std::nullopt
             : PcieLink::decode(config_read(at) >> 16);
}

void PassthroughFunction::config_write(std::uint16_t offset, std::uint32_t value,
                                       std::uint32_t mask) {
  const bool is_allowed = may_reach_memory(offset, value & mask);
  MutexLock lock(mutex_);
  if (presence_ != Presence::kPresent || offset >= pci::kConfigSize || offset % 4 != 0) {
    return;
  }
  if (interrupts_->config_write(offset, value, mask)) {
    return;
  }
  const auto effect = config_->write(offset, value, mask);
  if (effect.function_reset) {
    run_function_reset();
  } else if (effect.power_state) {
    change_power_state(offset, effect);
  } else {
    carry_out(offset, effect, is_allowed);
  }
}

void PassthroughFunction::carry_out(std::uint16_t offset, const VirtualConfig::Effect& effect,
                                    bool reaches_hardware) {
  if (effect.mask != 0 && reaches_hardware) {
    write_hardware(offset, effect.value, effect.mask);
  }
  if (effect.interrupt_disable_changed) {
    interrupts_->set_intx_masked(config_->interrupt_disabled());
  }
  if (effect.decode_changed) {
    bars_->update(config_->placements());
  }
}

bool PassthroughFunction::may_reach_memory(std::uint16_t offset, std::uint32_t set_bits) const {
  const bool enables = offset == pci::kCommand && (set_bits & pci::kCommandBusMaster) != 0;
  return !enables || !before_bus_master_ || before_bus_master_();
}

bool PassthroughFunction::run_slowly(const std::function<Status()>& work,
                                     std::optional<GuestReset::Kind> reset) {
  using std::chrono::milliseconds;
  using std::chrono::steady_clock;
  presence_ = Presence::kBusy;
  mutex_.unlock();  // the caller's MutexLock has it again when this returns
  const auto start = steady_clock::now();
  bool is_well = true;
  const auto thrown = thrown_by([&] {
    const auto done = work();
    if (reset) {
      const auto time = std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
      const GuestReset what{*reset, done ? std::nullopt : std::optional(done.error())};
      is_well = (!after_reset_ || after_reset_(what, time)) && done;
    }
  });
  mutex_.lock();
  if (is_well && !thrown) {
    presence_ = Presence::kPresent;
  } else {
    become_lost();
  }
  settled_.notify_all();
  return presence_ == Presence::kPresent;
}

// PCI Express Base 6.0, 5.3.1.4: in D3hot memory and I/O space do not answer; the host's kernel
// takes our mappings of them away, so the guest must not reach those.
void PassthroughFunction::change_power_state(std::uint16_t offset,
                                             const VirtualConfig::Effect& effect) {
  const bool is_power_up = *effect.power_state == 0 && config_->power_state() == kD3hot;
  if (*effect.power_state != 0) {
    bars_->withdraw();
    config_->set_power_state(*effect.power_state);
  }
  const auto write = [this, offset, &effect] {
    write_hardware(offset, effect.value, effect.mask);
    return Status();
  };
  if (!run_slowly(write, is_power_up ? std::optional(GuestReset::Kind::kPowerUp) : std::nullopt)) {
    return;
  }
  const std::uint32_t state = read_hardware(config_->power_dword()).value_or(pci::kAllOnes);
  config_->set_power_state(state);
  bars_->update(config_->placements());
  if ((state & pci::kPowerStateMask) == 0) {
    if (auto shown = bars_->show_memory(); !shown) {
      note_failure(shown.error());
    }
  }
}

// PCI Express Base 6.0, 6.6.2: everything but sticky and hardware-initialised registers goes back
// to its default. The bit is not written to the hardware: the kernel's VFIO would reset the
// function all the same, but says nothing where it could not (Linux,
// drivers/vfio/pci/vfio_pci_config.c, vfio_exp_config_write and vfio_af_config_write).
void PassthroughFunction::run_function_reset() {
  interrupts_->stop();
  bars_->withdraw();
  const auto reset = [this] { return device_.function_reset(); };
  if (run_slowly(reset, GuestReset::Kind::kFunctionLevel)) {
    become_reset();
  }
}

/// The registers follow a physical reset during which interrupts and BARs were away.
void PassthroughFunction::become_reset() {
  config_->function_reset();
  overlays_->reset();
  interrupts_->reset_registers();
  // The host's kernel has put back what was there before the reset: only what is not the guest's
  // stays.
  auto status = prepare_hardware(pci::kCommandParityError | pci::kCommandSerr);
  if (status) {
    status = bars_->show_memory();
  }
  if (!status) {
    log::error("{}: It is gone until the next reset: {}", name_, status.error().to_string());
    become_lost();
    return;
  }
  presence_ = Presence::kPresent;
  if (auto started = interrupts_->start(); !started) {
    log::error("{}: It has no interrupts until the next reset: {}", name_,
               started.error().to_string());
  }
}

/// The guest cannot reach it any more, so nobody else ends its interrupts and its DMA.
void PassthroughFunction::become_lost() {
  presence_ = Presence::kLost;
  interrupts_->stop();
  bars_->withdraw();
  if (auto stopped = stop_hardware(); !stopped) {
    note_failure(stopped.error());
  }
}

Status PassthroughFunction::stop_hardware() {
  constexpr std::uint32_t kDecode = pci::kCommandIo | pci::kCommandMemory | pci::kCommandBusMaster;
  std::array<std::byte, 2> command{};
  TRY(device_.read(RegionIndex::kConfig, pci::kCommand, command));
  const auto old = static_cast<std::uint32_t>(load_le(command));
  if (old == 0xffff || (old & kDecode) == 0) {
    return {};
  }
  store_le(command, old & ~kDecode);
  return device_.write(RegionIndex::kConfig, pci::kCommand, command);
}

void PassthroughFunction::bus_reset_begin() {
  MutexLock lock(mutex_);
  while (presence_ == Presence::kBusy) {
    settled_.wait(lock);
  }
  presence_ = Presence::kBusy;
  interrupts_->stop();
  bars_->withdraw();
}

void PassthroughFunction::bus_reset_end(bool alive) {
  const MutexLock lock(mutex_);
  if (alive) {
    become_reset();
  } else {
    become_lost();
  }
  settled_.notify_all();
}

void PassthroughFunction::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("device", device_.name());
  node.field("configuration_failures", failures_.load(std::memory_order_relaxed));
  node.field("unresponsive", presence_ != Presence::kPresent);
  node.field("lost", presence_ == Presence::kLost);
  config_->inspect(node.child("configuration"));
  interrupts_->inspect(node.child("interrupts"));
  bars_->inspect(node.child("bars"));
  overlays_->inspect(node.child("quirks"));
}

}  // namespace gpuvm
