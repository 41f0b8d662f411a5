// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/common_config.hpp"

#include <algorithm>
#include <bit>
#include <iterator>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

struct Field {
  std::uint16_t offset;
  std::uint8_t size;
};
constexpr Field kFields[] = {
    {virtio::kDeviceFeatureSelect, 4},  {virtio::kDeviceFeature, 4},
    {virtio::kDriverFeatureSelect, 4},  {virtio::kDriverFeature, 4},
    {virtio::kConfigVector, 2},         {virtio::kQueueCount, 2},
    {virtio::kDeviceStatus, 1},         {virtio::kConfigGeneration, 1},
    {virtio::kQueueSelect, 2},          {virtio::kQueueSize, 2},
    {virtio::kQueueVector, 2},          {virtio::kQueueEnable, 2},
    {virtio::kQueueNotifyOffset, 2},    {virtio::kQueueDescriptors, 4},
    {virtio::kQueueDescriptors + 4, 4}, {virtio::kQueueDriver, 4},
    {virtio::kQueueDriver + 4, 4},      {virtio::kQueueDevice, 4},
    {virtio::kQueueDevice + 4, 4},
};

/// What is wrong with an access, if anything.
IoStatus check_access(std::uint64_t offset, std::size_t size) {
  const auto at = [offset](const Field& field) { return field.offset == offset; };
  const auto* const found = std::find_if(std::begin(kFields), std::end(kFields), at);
  if (found == std::end(kFields)) {
    return offset < virtio::kCommonSize ? IoStatus::kUnaligned : IoStatus::kInvalidRegister;
  }
  return found->size == size ? IoStatus::kOk : IoStatus::kInvalidSize;
}

constexpr std::uint8_t kDriverStatusBits = virtio::kStatusAcknowledge | virtio::kStatusDriver |
                                           virtio::kStatusDriverOk | virtio::kStatusFeaturesOk |
                                           virtio::kStatusFailed;

/// 32 bits of a 64-bit value; 0 past them.
std::uint32_t half(std::uint64_t value, std::uint32_t select) {
  return select < 2 ? static_cast<std::uint32_t>(value >> select * 32) : 0;
}

void set_half(std::uint64_t& value, std::uint32_t select, std::uint32_t bits) {
  const std::uint64_t mask = std::uint64_t{0xffffffff} << select * 32;
  value = (value & ~mask) | std::uint64_t{bits} << select * 32;
}

}  // namespace

void CommonConfig::reset() {
  state_ = State{};
  state_.queues.assign(offer_.queues, Queue{.size = offer_.queue_size});
}

const CommonConfig::Queue* CommonConfig::selected() const {
  return state_.queue_select < state_.queues.size() ? &state_.queues[state_.queue_select] : nullptr;
}

CommonConfig::Queue* CommonConfig::selected() {
  return state_.queue_select < state_.queues.size() ? &state_.queues[state_.queue_select] : nullptr;
}

IoStatus CommonConfig::read(std::uint64_t offset, std::span<std::byte> out) const {
  const auto status = check_access(offset, out.size());
  if (status == IoStatus::kOk) {
    store_le(out, value_of(static_cast<std::uint16_t>(offset)));
  }
  return status;
}

std::uint64_t CommonConfig::value_of(std::uint16_t field) const {
  switch (field) {
    case virtio::kDeviceFeatureSelect:
      return state_.device_feature_select;
    case virtio::kDeviceFeature:
      return half(offer_.features, state_.device_feature_select);
    case virtio::kDriverFeatureSelect:
      return state_.driver_feature_select;
    case virtio::kDriverFeature:
      return half(state_.driver_features, state_.driver_feature_select);
    case virtio::kConfigVector:
      return state_.config_vector;
    case virtio::kQueueCount:
      return state_.queues.size();
    case virtio::kDeviceStatus:
      return state_.status;
    case virtio::kConfigGeneration:
      return 0;
    case virtio::kQueueSelect:
      return state_.queue_select;
    default:
      return queue_value(field);
  }
}

/// 0 for a queue that does not exist, as queue_size must be.
std::uint64_t CommonConfig::queue_value(std::uint16_t field) const {
  const Queue* const queue = selected();
  if (queue == nullptr) {
    return field == virtio::kQueueVector ? virtio::kNoVector : 0;
  }
  switch (field) {
    case virtio::kQueueSize:
      return queue->size;
    case virtio::kQueueVector:
      return queue->vector;
    case virtio::kQueueEnable:
      return queue->enabled ? 1 : 0;
    case virtio::kQueueNotifyOffset:
      return state_.queue_select;
    case virtio::kQueueDescriptors:
    case virtio::kQueueDescriptors + 4:
      return half(queue->descriptors, (field - virtio::kQueueDescriptors) / 4U);
    case virtio::kQueueDriver:
    case virtio::kQueueDriver + 4:
      return half(queue->driver, (field - virtio::kQueueDriver) / 4U);
    case virtio::kQueueDevice:
    case virtio::kQueueDevice + 4:
      return half(queue->device, (field - virtio::kQueueDevice) / 4U);
    default:
      return 0;
  }
}

CommonConfig::WriteOutcome CommonConfig::write(std::uint64_t offset,
                                               std::span<const std::byte> in) {
  const auto status = check_access(offset, in.size());
  if (status != IoStatus::kOk) {
    return {.status = status};
  }
  return {.effect =
              set(static_cast<std::uint16_t>(offset), static_cast<std::uint32_t>(load_le(in)))};
}

CommonConfig::Effect CommonConfig::set(std::uint16_t field, std::uint32_t value) {
  switch (field) {
    case virtio::kDeviceFeatureSelect:
      state_.device_feature_select = value;
      return Effect::kNone;
    case virtio::kDriverFeatureSelect:
      state_.driver_feature_select = value;
      return Effect::kNone;
    case virtio::kDriverFeature:
      // What was never offered may be ignored (4.1.4.3.1) but must keep FEATURES_OK away (2.2.2).
      if ((state_.status & virtio::kStatusFeaturesOk) == 0 && state_.driver_feature_select < 2) {
        set_half(state_.driver_features, state_.driver_feature_select, value);
      }
      return Effect::kNone;
    case virtio::kConfigVector:
      state_.config_vector = checked_vector(value);
      return Effect::kVectors;
    case virtio::kDeviceStatus:
      return set_status(static_cast<std::uint8_t>(value));
    case virtio::kQueueSelect:
      state_.queue_select = static_cast<std::uint16_t>(value);
      return Effect::kNone;
    default:
      return set_queue(field, value);
  }
}

/// 2.1.1: a driver never clears a bit except by a reset, so bits only come.
CommonConfig::Effect CommonConfig::set_status(std::uint8_t value) {
  if (value == 0) {
    return Effect::kReset;
  }
  const std::uint8_t before = state_.status;
  auto after = static_cast<std::uint8_t>(before | (value & kDriverStatusBits));
  const bool acceptable = (state_.driver_features & ~offer_.features) == 0 &&
                          (state_.driver_features & virtio::kFeatureVersion1) != 0;
  if ((before & virtio::kStatusFeaturesOk) == 0 && !acceptable) {
    after = static_cast<std::uint8_t>(after & ~virtio::kStatusFeaturesOk);
  }
  if ((after & virtio::kStatusFeaturesOk) == 0) {  // 3.1.1, step 8 needs step 6
    after = static_cast<std::uint8_t>(after & ~virtio::kStatusDriverOk);
  }
  state_.status = after;
  return (~before & after & virtio::kStatusDriverOk) != 0 ? Effect::kRunning : Effect::kNone;
}

std::uint16_t CommonConfig::checked_vector(std::uint32_t vector) const {
  return vector < offer_.vectors ? static_cast<std::uint16_t>(vector) : virtio::kNoVector;
}

CommonConfig::Effect CommonConfig::set_queue(std::uint16_t field, std::uint32_t value) {
  Queue* const queue = selected();
  if (queue == nullptr) {
    return Effect::kNone;
  }
  if (field == virtio::kQueueVector) {
    queue->vector = checked_vector(value);
    return Effect::kVectors;
  }
  if (queue->enabled) {  // 4.1.4.3.2: fields are set before the queue is enabled, which is final
    return Effect::kNone;
  }
  switch (field) {
    case virtio::kQueueSize:
      // 0 and what is no power of two would be the driver's fault: it keeps what it read.
      if (std::has_single_bit(value) && value <= offer_.queue_size) {
        queue->size = static_cast<std::uint16_t>(value);
      }
      break;
    case virtio::kQueueEnable:
      queue->enabled = value == 1;
      return queue->enabled ? Effect::kRunning : Effect::kNone;
    case virtio::kQueueDescriptors:
    case virtio::kQueueDescriptors + 4:
      set_half(queue->descriptors, (field - virtio::kQueueDescriptors) / 4U, value);
      break;
    case virtio::kQueueDriver:
    case virtio::kQueueDriver + 4:
      set_half(queue->driver, (field - virtio::kQueueDriver) / 4U, value);
      break;
    case virtio::kQueueDevice:
    case virtio::kQueueDevice + 4:
      set_half(queue->device, (field - virtio::kQueueDevice) / 4U, value);
      break;
    default:
      break;  // read-only
  }
  return Effect::kNone;
}

std::optional<SplitQueueSetup> CommonConfig::queue_setup(std::size_t queue) const {
  const Queue& wanted = state_.queues[queue];
  if (!wanted.enabled) {
    return std::nullopt;
  }
  return SplitQueueSetup{.size = wanted.size,
                         .descriptors = GuestAddress(wanted.descriptors),
                         .available = GuestAddress(wanted.driver),
                         .used = GuestAddress(wanted.device),
                         .indirect = (features() & virtio::kFeatureIndirect) != 0,
                         .event_index = (features() & virtio::kFeatureEventIndex) != 0};
}

void CommonConfig::inspect(InspectNode& node) const {
  node.hex("status", state_.status);
  node.hex("features", state_.driver_features);
  for (std::size_t i = 0; i < state_.queues.size(); ++i) {
    const Queue& queue = state_.queues[i];
    auto& child = node.child(fmt::format("queue_{}", i));
    child.field("enabled", queue.enabled);
    child.field("size", std::uint64_t{queue.size});
    child.hex("vector", queue.vector);
    child.hex("descriptors", queue.descriptors);
  }
}

}  // namespace gpuvm
