// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtio_interrupts.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {

VirtioInterrupts::VirtioInterrupts(Options options)
    : options_(std::move(options)), capability_(options_.msix) {
  state_.queue_vectors.assign(options_.queues, virtio::kNoVector);
}

Result<std::unique_ptr<VirtioInterrupts>> VirtioInterrupts::create(Options options) {
  std::unique_ptr<VirtioInterrupts> interrupts(new VirtioInterrupts(std::move(options)));
  const MutexLock lock(interrupts->mutex_);
  for (std::uint32_t i = 0; i < interrupts->options_.msix.vectors; ++i) {
    interrupts->vectors_.push_back(TRY(MsiVector::create()));
  }
  return interrupts;
}

void VirtioInterrupts::queue_used(std::size_t queue) {
  const MutexLock lock(mutex_);
  raise(state_.queue_vectors[queue], virtio::kIsrQueue);
}

std::optional<int> VirtioInterrupts::queue_event(std::size_t queue) const {
  const MutexLock lock(mutex_);
  const auto vector = state_.queue_vectors[queue];
  return capability_.enabled() && vector < vectors_.size() ? std::optional(vectors_[vector].fd())
                                                           : std::nullopt;
}

void VirtioInterrupts::config_changed() {
  const MutexLock lock(mutex_);
  state_.isr |= virtio::kIsrConfig;  // 4.1.4.5.1: whether or not MSI-X is enabled
  raise(state_.config_vector, virtio::kIsrConfig);
}

void VirtioInterrupts::raise(std::uint16_t vector, std::uint8_t isr_bit) {
  ++raised_;
  if (!capability_.enabled()) {
    state_.isr |= isr_bit;
    drive_pin();
  } else if (vector < vectors_.size()) {
    vectors_[vector].signal();
  }
}

void VirtioInterrupts::drive_pin() {
  const bool high = state_.isr != 0 && !capability_.enabled() && !state_.intx_disabled;
  if (high != pin_high_) {
    pin_high_ = high;
    options_.pins.set_level(options_.pin, high);
  }
}

std::uint8_t VirtioInterrupts::take_isr() {
  const MutexLock lock(mutex_);
  const auto isr = std::exchange(state_.isr, std::uint8_t{0});
  drive_pin();
  return isr;
}

bool VirtioInterrupts::intx_pending() const {
  const MutexLock lock(mutex_);
  return state_.isr != 0 && !capability_.enabled();
}

void VirtioInterrupts::set_intx_disabled(bool disabled) {
  const MutexLock lock(mutex_);
  state_.intx_disabled = disabled;
  drive_pin();
}

void VirtioInterrupts::set_vectors(std::uint16_t config, std::span<const std::uint16_t> queues) {
  const MutexLock lock(mutex_);
  state_.config_vector = config;
  state_.queue_vectors.assign(queues.begin(), queues.end());
}

std::uint32_t VirtioInterrupts::read_header(std::uint32_t constant) const {
  const MutexLock lock(mutex_);
  return capability_.read_header(constant);
}

void VirtioInterrupts::write_header(std::uint32_t value, std::uint32_t mask) {
  const MutexLock lock(mutex_);
  const bool was_enabled = capability_.enabled();
  if (!capability_.write_header(value, mask)) {
    return;
  }
  for (std::uint32_t i = 0; i < vectors_.size(); ++i) {
    connect(i);
    if (was_enabled && !capability_.enabled()) {
      vectors_[i].clear();  // what was pending is forgotten
    }
  }
  drive_pin();
}

/// Brings one vector's route in line with the registers.
void VirtioInterrupts::connect(std::uint32_t vector) {
  const auto status = vectors_[vector].set(options_.controller, capability_.message(vector));
  if (!status && limit_.allow()) {
    log::warn("{}: Vector {} of MSI-X: {}", options_.name, vector, status.error().to_string());
  }
}

IoStatus VirtioInterrupts::read(std::uint64_t offset, std::span<std::byte> out) const {
  const MutexLock lock(mutex_);
  return capability_.read(options_.msix.table_bar, offset, out, [this](std::uint32_t vector) {
    mutex_.assert_held();
    return vector < vectors_.size() && vectors_[vector].pending();
  });
}

IoStatus VirtioInterrupts::write(std::uint64_t offset, std::span<const std::byte> in) {
  const MutexLock lock(mutex_);
  return capability_.write(options_.msix.table_bar, offset, in, [this](std::uint32_t vector) {
    mutex_.assert_held();
    connect(vector);
  });
}

void VirtioInterrupts::reset_events() {
  const MutexLock lock(mutex_);
  const bool intx_disabled = state_.intx_disabled;
  state_ = State{.intx_disabled = intx_disabled, .queue_vectors = {}};
  state_.queue_vectors.assign(options_.queues, virtio::kNoVector);
  drive_pin();
}

void VirtioInterrupts::reset() {
  reset_events();
  const MutexLock lock(mutex_);
  for (auto& vector : vectors_) {
    (void)vector.set(options_.controller, {});  // which never fails
    vector.clear();
  }
  capability_.reset();
  state_.intx_disabled = false;
}

void VirtioInterrupts::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  node.field("in_use", capability_.enabled() ? "MSI-X" : "INTx");
  node.field("raised", raised_);
  node.hex("isr", state_.isr);
  const auto routed = std::count_if(vectors_.begin(), vectors_.end(),
                                    [](const MsiVector& vector) { return vector.routed(); });
  node.field("routed", static_cast<std::uint64_t>(routed));
}

}  // namespace gpuvm
