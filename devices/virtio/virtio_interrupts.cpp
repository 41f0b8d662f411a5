// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtio_interrupts.hpp"

#include <poll.h>

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {

VirtioInterrupts::VirtioInterrupts(Options options)
    : options_(std::move(options)), capability_(options_.msix) {
  state_.queue_vectors.assign(options_.queues, virtio::kNoVector);
}

Result<std::unique_ptr<VirtioInterrupts>> VirtioInterrupts::create(Options options) {
  std::unique_ptr<VirtioInterrupts> interrupts(new VirtioInterrupts(std::move(options)));
  for (std::uint32_t i = 0; i < interrupts->options_.msix.vectors; ++i) {
    interrupts->vectors_.push_back(Vector{.event = TRY(EventFd::create())});
  }
  return interrupts;
}

void VirtioInterrupts::queue_used(std::size_t queue) {
  const std::lock_guard lock(mutex_);
  raise(state_.queue_vectors[queue], virtio::kIsrQueue);
}

void VirtioInterrupts::config_changed() {
  const std::lock_guard lock(mutex_);
  state_.isr |= virtio::kIsrConfig;  // 4.1.4.5.1: whether or not MSI-X is enabled
  raise(state_.config_vector, virtio::kIsrConfig);
}

void VirtioInterrupts::raise(std::uint16_t vector, std::uint8_t isr_bit) {
  ++raised_;
  if (!capability_.enabled()) {
    state_.isr |= isr_bit;
    drive_pin();
  } else if (vector < vectors_.size()) {
    vectors_[vector].event.signal();
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
  const std::lock_guard lock(mutex_);
  const auto isr = std::exchange(state_.isr, std::uint8_t{0});
  drive_pin();
  return isr;
}

bool VirtioInterrupts::intx_pending() const {
  const std::lock_guard lock(mutex_);
  return state_.isr != 0 && !capability_.enabled();
}

void VirtioInterrupts::set_intx_disabled(bool disabled) {
  const std::lock_guard lock(mutex_);
  state_.intx_disabled = disabled;
  drive_pin();
}

void VirtioInterrupts::set_vectors(std::uint16_t config, std::span<const std::uint16_t> queues) {
  const std::lock_guard lock(mutex_);
  state_.config_vector = config;
  state_.queue_vectors.assign(queues.begin(), queues.end());
}

std::uint32_t VirtioInterrupts::read_header(std::uint32_t constant) const {
  const std::lock_guard lock(mutex_);
  return capability_.read_header(constant);
}

void VirtioInterrupts::write_header(std::uint32_t value, std::uint32_t mask) {
  const std::lock_guard lock(mutex_);
  const bool was_enabled = capability_.enabled();
  if (!capability_.write_header(value, mask)) {
    return;
  }
  for (std::size_t i = 0; i < vectors_.size(); ++i) {
    connect(i);
    if (was_enabled && !capability_.enabled()) {
      vectors_[i].event.drain();  // what was pending is forgotten
    }
  }
  drive_pin();
}

/// Brings one vector's route in line with the registers.
void VirtioInterrupts::connect(std::size_t index) {
  Vector& vector = vectors_[index];
  const auto message = capability_.message(static_cast<std::uint32_t>(index));
  if (vector.message == message) {
    return;
  }
  if (!message) {
    disconnect(vector);
    return;
  }
  Status status;
  if (vector.route) {
    status = options_.controller.update(*vector.route, *message);
  } else if (auto route = options_.controller.connect(vector.event.fd(), *message); route) {
    vector.route = *route;
  } else {
    status = std::move(route).error();
  }
  if (status) {
    vector.message = message;
  } else if (limit_.allow()) {
    log::warn("{}: Vector {} of MSI-X: {}", options_.name, index, status.error().to_string());
  }
}

void VirtioInterrupts::disconnect(Vector& vector) {
  if (vector.route) {
    options_.controller.disconnect(*vector.route, vector.event.fd());
  }
  vector.route.reset();
  vector.message.reset();
}

bool VirtioInterrupts::pending(std::size_t index) const {
  if (index >= vectors_.size() || vectors_[index].route) {
    return false;
  }
  pollfd descriptor{.fd = vectors_[index].event.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&descriptor, 1, 0) == 1 && (descriptor.revents & POLLIN) != 0;
}

IoStatus VirtioInterrupts::read(std::uint64_t offset, std::span<std::byte> out) const {
  const std::lock_guard lock(mutex_);
  const auto& layout = options_.msix;
  if (is_inside(layout.table_offset, layout.table_size(), offset, out.size())) {
    capability_.read_table(offset - layout.table_offset, out);
    return IoStatus::kOk;
  }
  if (!is_inside(layout.pending_offset, layout.pending_size(), offset, out.size())) {
    return IoStatus::kUnaligned;
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    unsigned bits = 0;
    for (unsigned bit = 0; bit < 8; ++bit) {
      bits |= pending((offset - layout.pending_offset + i) * 8 + bit) ? 1U << bit : 0;
    }
    out[i] = static_cast<std::byte>(bits);
  }
  return IoStatus::kOk;
}

IoStatus VirtioInterrupts::write(std::uint64_t offset, std::span<const std::byte> in) {
  const std::lock_guard lock(mutex_);
  const auto& layout = options_.msix;
  if (is_inside(layout.table_offset, layout.table_size(), offset, in.size())) {
    constexpr std::uint64_t kEntry = sizeof(MsixCapability::Entry);
    const std::uint64_t at = offset - layout.table_offset;
    capability_.write_table(at, in);
    for (auto i = at / kEntry; i <= (at + in.size() - 1) / kEntry; ++i) {
      connect(i);
    }
    return IoStatus::kOk;
  }
  // PCI Express Base 6.0, 7.7.2.6: software should never write the pending bits; ignored.
  return is_inside(layout.pending_offset, layout.pending_size(), offset, in.size())
             ? IoStatus::kOk
             : IoStatus::kUnaligned;
}

void VirtioInterrupts::reset_events() {
  const std::lock_guard lock(mutex_);
  const bool intx_disabled = state_.intx_disabled;
  state_ = State{.intx_disabled = intx_disabled, .queue_vectors = {}};
  state_.queue_vectors.assign(options_.queues, virtio::kNoVector);
  drive_pin();
}

void VirtioInterrupts::reset() {
  reset_events();
  const std::lock_guard lock(mutex_);
  for (auto& vector : vectors_) {
    disconnect(vector);
    vector.event.drain();
  }
  capability_.reset();
  state_.intx_disabled = false;
}

void VirtioInterrupts::inspect(InspectNode& node) const {
  const std::lock_guard lock(mutex_);
  node.field("in_use", capability_.enabled() ? "MSI-X" : "INTx");
  node.field("raised", raised_);
  node.hex("isr", state_.isr);
  const auto routed = std::count_if(vectors_.begin(), vectors_.end(),
                                    [](const Vector& vector) { return vector.route.has_value(); });
  node.field("routed", static_cast<std::uint64_t>(routed));
}

}  // namespace gpuvm
