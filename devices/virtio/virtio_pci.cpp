// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtio_pci.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint32_t kStatusInterrupt = 1U << (16 + 3);  // PCI Status, 7.5.1.1.4, as a dword

constexpr std::uint64_t kTransportFeatures =
    virtio::kFeatureVersion1 | virtio::kFeatureIndirect | virtio::kFeatureEventIndex;

CommonConfig::Offer offer_of(const VirtioDevice::Identity& identity, const QueueBackend& backend) {
  return {.features = (identity.features | kTransportFeatures) & backend.features(),
          .queues = identity.queues,
          .queue_size = identity.queue_size,
          .vectors = static_cast<std::uint16_t>(identity.queues + 1)};
}

}  // namespace

VirtioPci::VirtioPci(Options options, const VirtioPciConfig& config)
    : options_(std::move(options)),
      config_(config),
      registers_(offer_of(options_.device.identity(), *options_.backend)),
      msix_(config.msix()),
      queue_count_(options_.device.identity().queues) {}

Result<std::unique_ptr<VirtioPci>> VirtioPci::create(Options options) {
  const auto config =
      TRY(VirtioPciConfig::create(options.device.identity(), options.multi_function));
  std::unique_ptr<VirtioPci> function(new VirtioPci(std::move(options), config));
  TRY(function->connect());
  return function;
}

Status VirtioPci::connect() {
  const std::string name(options_.device.name());
  interrupts_ = TRY(VirtioInterrupts::create({.name = name,
                                              .msix = msix_,
                                              .queues = queue_count_,
                                              .controller = options_.msi,
                                              .pins = options_.pins,
                                              .pin = options_.intx_pin}));
  queues_ = TRY(
      VirtioQueues::create({.device = options_.device,
                            .backend = std::move(options_.backend),
                            .memory = options_.memory,
                            .interrupts = *interrupts_,
                            .wanted = [this] { return wanted(); },
                            .on_broken = [this](const Error& error) { declare_broken(error); }}));
  bar_ = std::make_unique<VirtioBar>(VirtioBar::Options{.name = name,
                                                        .handler = *this,
                                                        .doorbells = queues_->kicks(),
                                                        .controller = options_.doorbells,
                                                        .mmio = options_.mmio});
  options_.device.config().set_listener([this] { config_changed(); });
  return {};
}

VirtioPci::~VirtioPci() {
  options_.device.config().set_listener({});
  if (bar_) {
    BarWindow* const window = bar_.get();
    options_.bar_space.remove({&window, 1});
    const IoHandler* const handler = this;
    if (const auto status = options_.mmio.drain({&handler, 1}); !status) {
      log::error("{}: {}", name(), status.error().to_string());
    }
  }
}

BarSet& VirtioPci::bars() {
  const MutexLock lock(mutex_);
  return config_.bars();
}

void VirtioPci::quiesce() {
  queues_->stop();
  interrupts_->reset();
  BarWindow* const window = bar_.get();
  options_.bar_space.withdraw({&window, 1});
}

void VirtioPci::reset() {
  reset_device();
  queues_->resume();
  interrupts_->reset();
  const MutexLock lock(mutex_);
  config_.reset();
}

/// 2.4: as the driver asks for by status 0. Returns when no request is in flight.
void VirtioPci::reset_device() {
  queues_->reset([this] {
    const MutexLock lock(mutex_);
    registers_.reset();
    interrupts_->reset_events();
    broken_.store(false, std::memory_order_relaxed);
  });
}

std::uint32_t VirtioPci::config_read(std::uint16_t offset) {
  MutexLock lock(mutex_);
  if (config_.is_access_data(offset)) {
    const auto access = config_.access();
    lock.unlock();
    return read_through_config(access);
  }
  std::uint32_t value = config_.read(offset);
  if (offset == msix_.offset) {
    value = interrupts_->read_header(value);
  }
  if (offset == pci::kCommand && interrupts_->intx_pending()) {
    value |= kStatusInterrupt;
  }
  return value;
}

void VirtioPci::config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  MutexLock lock(mutex_);
  if (config_.is_access_data(offset)) {
    const auto access = config_.access();
    lock.unlock();
    write_through_config(access, value & mask);
    return;
  }
  const auto before = config_.command();
  config_.write(offset, value, mask);
  const auto after = config_.command();
  if (offset == msix_.offset) {
    interrupts_->write_header(value, mask);
  }
  if (offset == pci::kCommand) {
    interrupts_->set_intx_disabled((after & pci::kCommandInterruptDisable) != 0);
  }
  lock.unlock();
  if (BarSet::owns(offset) || offset == pci::kCommand) {
    place_bar();
  }
  if (((before ^ after) & pci::kCommandBusMaster) != 0) {
    queues_->follow();
  }
  if (offset == msix_.offset) {
    queues_->update_calls();
  }
}

std::uint32_t VirtioPci::read_through_config(const std::optional<VirtioPciConfig::Access>& access) {
  std::array<std::byte, 4> data{};
  if (access) {
    read(access->offset, std::span(data).first(access->size));
  }
  return static_cast<std::uint32_t>(load_le(data));
}

void VirtioPci::write_through_config(const std::optional<VirtioPciConfig::Access>& access,
                                     std::uint32_t value) {
  std::array<std::byte, 4> data{};
  store_le(data, value);
  if (access) {
    write(access->offset, std::span(data).first(access->size));
  }
}

void VirtioPci::place_bar() {
  const MutexLock placing(placing_);
  BarSpace::Placement wanted{.window = bar_.get(), .at = {}};
  {
    const MutexLock lock(mutex_);
    for (const auto& placement : config_.bars().placements(config_.command())) {
      wanted.at = placement.address;
    }
  }
  options_.bar_space.update({&wanted, 1});
}

/// What the registers say of the queues.
std::optional<VirtioQueues::Wanted> VirtioPci::wanted() const {
  const MutexLock lock(mutex_);
  if (!registers_.driver_ok() || (config_.command() & pci::kCommandBusMaster) == 0 ||
      broken_.load(std::memory_order_relaxed)) {
    return std::nullopt;
  }
  VirtioQueues::Wanted wanted{.features = registers_.features(), .queues = {}};
  for (std::size_t i = 0; i < queue_count_; ++i) {
    wanted.queues.push_back(registers_.queue_setup(i));
  }
  return wanted;
}

IoStatus VirtioPci::read(std::uint64_t offset, std::span<std::byte> out) {
  const auto& identity = options_.device.identity();
  if (is_inside(virtio_bar::kCommon, virtio::kCommonSize, offset, out.size())) {
    return read_common(offset - virtio_bar::kCommon, out);
  }
  if (is_inside(virtio_bar::kIsr, 1, offset, out.size())) {
    out[0] = static_cast<std::byte>(interrupts_->take_isr());
    return IoStatus::kOk;
  }
  if (is_inside(virtio_bar::kDevice, identity.config_size, offset, out.size())) {
    options_.device.config().read(offset - virtio_bar::kDevice, out);
    return IoStatus::kOk;
  }
  if (interrupts_->touches(offset, out.size())) {
    return interrupts_->read(offset, out);
  }
  return IoStatus::kInvalidRegister;
}

IoStatus VirtioPci::read_common(std::uint64_t offset, std::span<std::byte> out) {
  const MutexLock lock(mutex_);
  const auto status = registers_.read(offset, out);
  if (status != IoStatus::kOk) {
    return status;
  }
  if (offset == virtio::kDeviceStatus && broken_.load(std::memory_order_relaxed)) {
    out[0] |= static_cast<std::byte>(virtio::kStatusNeedsReset);
  }
  if (offset == virtio::kConfigGeneration) {
    out[0] = static_cast<std::byte>(options_.device.config().generation());
  }
  return status;
}

IoStatus VirtioPci::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (is_inside(virtio_bar::kCommon, virtio::kCommonSize, offset, in.size())) {
    return write_common(offset - virtio_bar::kCommon, in);
  }
  const std::uint64_t queue = (offset - virtio_bar::kNotify) / virtio_bar::kNotifyMultiplier;
  if (offset >= virtio_bar::kNotify && queue < queue_count_) {
    // Only what is no doorbell comes here: another size, or a host without doorbells.
    doorbell_exits_.fetch_add(1, std::memory_order_relaxed);
    queues_->kick(queue);
    return IoStatus::kOk;
  }
  if (interrupts_->touches(offset, in.size())) {
    return interrupts_->write(offset, in);
  }
  return IoStatus::kInvalidRegister;
}

IoStatus VirtioPci::write_common(std::uint64_t offset, std::span<const std::byte> in) {
  CommonConfig::WriteOutcome outcome;
  {
    const MutexLock lock(mutex_);
    outcome = registers_.write(offset, in);
    if (outcome.effect == CommonConfig::Effect::kVectors) {
      set_vectors();
    }
  }
  switch (outcome.effect) {
    case CommonConfig::Effect::kNone:
      break;
    case CommonConfig::Effect::kReset:
      reset_device();
      break;
    case CommonConfig::Effect::kRunning:
      queues_->follow();
      break;
    case CommonConfig::Effect::kVectors:
      queues_->update_calls();
      break;
  }
  return outcome.status;
}

void VirtioPci::set_vectors() {
  std::vector<std::uint16_t> vectors;
  for (std::size_t i = 0; i < registers_.queue_count(); ++i) {
    vectors.push_back(registers_.queue_vector(i));
  }
  interrupts_->set_vectors(registers_.config_vector(), vectors);
}

void VirtioPci::config_changed() {
  {
    const MutexLock lock(mutex_);
    if (!registers_.driver_ok()) {
      return;  // it reads the structure anyway, once it is ready
    }
  }
  interrupts_->config_changed();
}

/// 2.1.2: the driver hears of it by a change of the configuration.
void VirtioPci::declare_broken(const Error& error) {
  if (limit_.allow()) {
    log::warn("{}: {}, and the device waits for its reset: {}", options_.device.name(),
              error.kind() == ErrorKind::kGuest ? "The guest's driver broke the rules"
                                                : "The queues cannot be served",
              error.to_string());
  }
  broken_.store(true, std::memory_order_relaxed);
  interrupts_->config_changed();
}

void VirtioPci::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  queues_->inspect(node);
  node.field("needs_reset", broken_.load(std::memory_order_relaxed));
  node.field("doorbells_that_exited", doorbell_exits_.load(std::memory_order_relaxed));
  registers_.inspect(node.child("registers"));
  interrupts_->inspect(node.child("interrupts"));
  options_.device.inspect(node.child("device"));
}

}  // namespace gpuvm
