// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/quirks/write_relays.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {

WriteRelays::~WriteRelays() {
  const MutexLock lock(mutex_);
  for (auto& relay : relays_) {
    disconnect(relay);
    static_cast<void>(device_.write_on_event(index_, relay.offset, relay.size, relay.value, -1));
  }
}

void WriteRelays::note(std::uint64_t offset, std::span<const std::byte> in) {
  const MutexLock lock(mutex_);
  const auto value = load_le(in);
  const bool same =
      equal_ != 0 && offset == last_offset_ && in.size() == last_size_ && value == last_value_;
  equal_ = same ? equal_ + 1 : 1;
  last_offset_ = offset;
  last_size_ = in.size();
  last_value_ = value;
  if (equal_ < kEqualWrites || refused_ || relays_.size() == kMost) {
    return;
  }
  equal_ = 0;
  if (const auto made = make(offset, static_cast<unsigned>(in.size()), value); !made) {
    refused_ = true;
    log::info("{}: Writes to {:#x} go on to cost an exit each: {}", device_.name(), offset,
              made.error().to_string());
  }
}

Status WriteRelays::make(std::uint64_t offset, unsigned size, std::uint64_t value) {
  const bool known = std::any_of(relays_.begin(), relays_.end(),
                                 [offset](const Relay& relay) { return relay.offset == offset; });
  if (known) {
    return {};  // another value of the same register: it goes on to exit
  }
  auto event = TRY(EventFd::create());
  TRY(device_.write_on_event(index_, offset, size, value, event.fd()));
  relays_.push_back({.offset = offset, .size = size, .value = value, .event = std::move(event)});
  connect(relays_.back());
  return {};
}

void WriteRelays::connect(Relay& relay) {
  if (!at_) {
    return;
  }
  const auto status = doorbells_.connect_value(GuestAddress(*at_) + relay.offset, relay.size,
                                               relay.value, relay.event.fd());
  relay.connected = status.has_value();
  if (!status) {
    log::info("{}: {}", device_.name(), status.error().to_string());
  }
}

void WriteRelays::disconnect(Relay& relay) {
  if (relay.connected && at_) {
    doorbells_.disconnect(GuestAddress(*at_) + relay.offset);
  }
  relay.connected = false;
}

void WriteRelays::bar_moved(std::optional<std::uint64_t> at) {
  const MutexLock lock(mutex_);
  for (auto& relay : relays_) {
    disconnect(relay);
  }
  at_ = at;
  for (auto& relay : relays_) {
    connect(relay);
  }
}

void WriteRelays::inspect(InspectNode& node) const {
  const MutexLock lock(mutex_);
  for (const auto& relay : relays_) {
    node.hex(fmt::format("relayed_{:#x}", relay.offset), relay.value);
  }
}

}  // namespace gpuvm
