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

CommonConfig::Offer offer_of(const VirtioDevice::Identity& identity) {
  return {.features = identity.features | kTransportFeatures,
          .queues = identity.queues,
          .queue_size = identity.queue_size,
          .vectors = static_cast<std::uint16_t>(identity.queues + 1)};
}

}  // namespace

VirtioPci::VirtioPci(const Options& options, const VirtioPciConfig& config)
    : options_(options), config_(config), registers_(offer_of(options.device.identity())) {}

Result<std::unique_ptr<VirtioPci>> VirtioPci::create(const Options& options) {
  const auto config = TRY(VirtioPciConfig::create(options.device.identity()));
  std::unique_ptr<VirtioPci> function(new VirtioPci(options, config));
  TRY(function->connect());
  return function;
}

Status VirtioPci::connect() {
  const std::string name(options_.device.name());
  std::vector<int> doorbells;
  for (std::uint16_t i = 0; i < options_.device.identity().queues; ++i) {
    queues_.push_back(Queue{.doorbell = TRY(EventFd::create())});
    doorbells.push_back(queues_.back().doorbell.fd());
  }
  interrupts_ = TRY(VirtioInterrupts::create({.name = name,
                                              .msix = config_.msix(),
                                              .queues = queues_.size(),
                                              .controller = options_.msi,
                                              .pins = options_.pins,
                                              .pin = options_.intx_pin}));
  bar_ = std::make_unique<VirtioBar>(VirtioBar::Options{.name = name,
                                                        .handler = *this,
                                                        .doorbells = doorbells,
                                                        .controller = options_.doorbells,
                                                        .mmio = options_.mmio});
  thread_ = TRY(QueueThread::create({.name = name.substr(0, 15),
                                     .doorbells = std::move(doorbells),
                                     .serve = [this](std::size_t queue) { return serve(queue); }}));
  return {};
}

VirtioPci::~VirtioPci() {
  if (thread_) {
    thread_->stop();
  }
  if (bar_) {
    BarWindow* const window = bar_.get();
    options_.bar_space.remove({&window, 1});
  }
}

void VirtioPci::quiesce() {
  thread_->stop();
  interrupts_->reset();
  BarWindow* const window = bar_.get();
  options_.bar_space.withdraw({&window, 1});
}

void VirtioPci::reset() {
  const std::lock_guard lock(mutex_);
  reset_device();
  interrupts_->reset();
  config_.reset();
}

/// 2.4: as the driver asks for by status 0. Returns when no request is in flight.
void VirtioPci::reset_device() {
  thread_->stop();
  registers_.reset();
  interrupts_->reset_events();
  for (auto& queue : queues_) {
    queue.ring.reset();
    queue.doorbell.drain();
  }
  broken_.store(false, std::memory_order_relaxed);
}

std::uint32_t VirtioPci::config_read(std::uint16_t offset) {
  std::unique_lock lock(mutex_);
  if (config_.is_access_data(offset)) {
    const auto access = config_.access();
    lock.unlock();
    std::array<std::byte, 4> data{};
    if (access) {
      read(access->offset, std::span(data).first(access->size));
    }
    return static_cast<std::uint32_t>(load_le(data));
  }
  std::uint32_t value = config_.read(offset);
  if (offset == config_.msix().offset) {
    value = interrupts_->read_header(value);
  }
  if (offset == pci::kCommand && interrupts_->intx_pending()) {
    value |= kStatusInterrupt;
  }
  return value;
}

void VirtioPci::config_write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  std::unique_lock lock(mutex_);
  if (config_.is_access_data(offset)) {
    const auto access = config_.access();
    lock.unlock();
    std::array<std::byte, 4> data{};
    store_le(data, value & mask);
    if (access) {
      write(access->offset, std::span(data).first(access->size));
    }
    return;
  }
  const auto before = config_.command();
  config_.write(offset, value, mask);
  if (offset == config_.msix().offset) {
    interrupts_->write_header(value, mask);
  }
  if (BarSet::owns(offset) || offset == pci::kCommand) {
    place_bar();
  }
  if (offset == pci::kCommand) {
    interrupts_->set_intx_disabled((config_.command() & pci::kCommandInterruptDisable) != 0);
    if (((before ^ config_.command()) & pci::kCommandBusMaster) != 0) {
      follow_registers();
    }
  }
}

void VirtioPci::place_bar() {
  BarSpace::Placement wanted{.window = bar_.get(), .at = {}};
  for (const auto& placement : config_.bars().placements(config_.command())) {
    wanted.at = placement.address;
  }
  options_.bar_space.update({&wanted, 1});
}

/// Starts or stops the device's thread as the registers say.
void VirtioPci::follow_registers() {
  const bool wanted = registers_.driver_ok() && (config_.command() & pci::kCommandBusMaster) != 0 &&
                      !broken_.load(std::memory_order_relaxed);
  thread_->stop();  // also for a queue that was enabled while others run
  if (!wanted) {
    return;
  }
  if (const auto status = make_rings(); !status) {
    declare_broken(status.error());
    return;
  }
  options_.device.start(registers_.features());
  if (const auto status = thread_->start(); !status) {
    declare_broken(status.error());
  }
}

Status VirtioPci::make_rings() {
  for (std::size_t i = 0; i < queues_.size(); ++i) {
    const auto setup = registers_.queue_setup(i);
    if (setup && !queues_[i].ring) {
      queues_[i].ring =
          TRY_CONTEXT(SplitQueue::create(options_.memory, *setup), fmt::format("queue {}", i));
    }
  }
  return {};
}

IoStatus VirtioPci::read(std::uint64_t offset, std::span<std::byte> out) {
  const auto& identity = options_.device.identity();
  if (is_inside(virtio_bar::kCommon, virtio::kCommonSize, offset, out.size())) {
    const std::lock_guard lock(mutex_);
    const auto status = registers_.read(offset - virtio_bar::kCommon, out);
    if (offset == virtio_bar::kCommon + virtio::kDeviceStatus && status == IoStatus::kOk &&
        broken_.load(std::memory_order_relaxed)) {
      out[0] |= static_cast<std::byte>(virtio::kStatusNeedsReset);
    }
    return status;
  }
  if (is_inside(virtio_bar::kIsr, 1, offset, out.size())) {
    out[0] = static_cast<std::byte>(interrupts_->take_isr());
    return IoStatus::kOk;
  }
  if (is_inside(virtio_bar::kDevice, identity.config_size, offset, out.size())) {
    options_.device.read_config(offset - virtio_bar::kDevice, out);
    return IoStatus::kOk;
  }
  if (interrupts_->touches(offset, out.size())) {
    return interrupts_->read(offset, out);
  }
  return IoStatus::kInvalidRegister;
}

IoStatus VirtioPci::write(std::uint64_t offset, std::span<const std::byte> in) {
  if (is_inside(virtio_bar::kCommon, virtio::kCommonSize, offset, in.size())) {
    return write_common(offset - virtio_bar::kCommon, in);
  }
  const std::uint64_t queue = (offset - virtio_bar::kNotify) / virtio_bar::kNotifyMultiplier;
  if (offset >= virtio_bar::kNotify && queue < queues_.size()) {
    // Only what is no doorbell comes here: another size, or a host without doorbells.
    doorbell_exits_.fetch_add(1, std::memory_order_relaxed);
    queues_[queue].doorbell.signal();
    return IoStatus::kOk;
  }
  if (interrupts_->touches(offset, in.size())) {
    return interrupts_->write(offset, in);
  }
  return IoStatus::kInvalidRegister;
}

IoStatus VirtioPci::write_common(std::uint64_t offset, std::span<const std::byte> in) {
  const std::lock_guard lock(mutex_);
  const auto outcome = registers_.write(offset, in);
  switch (outcome.effect) {
    case CommonConfig::Effect::kNone:
      break;
    case CommonConfig::Effect::kReset:
      reset_device();
      break;
    case CommonConfig::Effect::kRunning:
      follow_registers();
      break;
    case CommonConfig::Effect::kVectors: {
      std::vector<std::uint16_t> vectors;
      for (std::size_t i = 0; i < registers_.queue_count(); ++i) {
        vectors.push_back(registers_.queue_vector(i));
      }
      interrupts_->set_vectors(registers_.config_vector(), vectors);
      break;
    }
  }
  return outcome.status;
}

bool VirtioPci::serve(std::size_t index) {
  auto& ring = queues_[index].ring;
  if (!ring) {
    return true;
  }
  if (const auto status = serve_ring(index, *ring); !status) {
    declare_broken(status.error());
    return false;
  }
  return true;
}

Status VirtioPci::serve_ring(std::size_t index, SplitQueue& ring) {
  do {
    ring.want_doorbell(false);
    while (!thread_->stopping()) {
      auto chain = TRY(ring.pop());
      if (!chain) {
        break;
      }
      const std::uint32_t written = TRY(options_.device.execute(index, *chain));
      requests_.fetch_add(1, std::memory_order_relaxed);
      ring.push(chain->head, written);
      if (ring.must_interrupt()) {
        interrupts_->queue_used(index);
      }
    }
  } while (!thread_->stopping() && ring.want_doorbell(true));
  return {};
}

/// 2.1.2: the driver hears of it by a change of the configuration.
void VirtioPci::declare_broken(const Error& error) {
  if (limit_.allow()) {
    log::warn("{}: The guest's driver broke the rules, and the device waits for its reset: {}",
              options_.device.name(), error.to_string());
  }
  broken_.store(true, std::memory_order_relaxed);
  interrupts_->config_changed();
}

void VirtioPci::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.field("running", thread_->started());
  node.field("needs_reset", broken_.load(std::memory_order_relaxed));
  node.field("requests", requests_.load(std::memory_order_relaxed));
  node.field("doorbells_that_exited", doorbell_exits_.load(std::memory_order_relaxed));
  registers_.inspect(node.child("registers"));
  interrupts_->inspect(node.child("interrupts"));
  options_.device.inspect(node.child("device"));
}

}  // namespace gpuvm
