// SPDX-License-Identifier: Apache-2.0
// FakeGuestBus: the guest's side of a device as fakes that keep a history, around real I/O buses.
#pragma once

#include <fmt/core.h>

#include <algorithm>
#include <map>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "vmm/bus/guest_bus.hpp"

namespace gpuvm::test {

using History = std::vector<std::string>;

class FakeMemorySlots : public MemorySlots {
 public:
  struct Slot {
    GuestAddress at;
    std::span<std::byte> host;
    SlotAccess access;
  };
  Result<SlotId> map(GuestAddress at, std::span<std::byte> host, SlotAccess access) override {
    history.push_back(fmt::format("map {:#x}+{:#x}", at.value(), host.size()));
    if (failures > 0) {
      --failures;
      return fail(ErrorKind::kHost, "Out of slots");
    }
    const auto range = GuestRange::create(at, host.size());
    for (const auto& [id, slot] : slots) {
      if (!range || GuestRange::create(slot.at, slot.host.size())->overlaps(*range)) {
        return fail(ErrorKind::kInternal, "Slot overlap");
      }
    }
    slots.emplace(++next_, Slot{at, host, access});
    return next_;
  }
  void unmap(SlotId slot) override {
    history.push_back(fmt::format("unmap {:#x}", slots.at(slot).at.value()));
    slots.erase(slot);
  }
  bool has(std::uint64_t at) const {
    return std::any_of(slots.begin(), slots.end(),
                       [&](const auto& entry) { return entry.second.at.value() == at; });
  }
  std::map<SlotId, Slot> slots;
  History history;
  int failures = 0;  ///< this many map() calls fail

 private:
  SlotId next_ = 0;
};

class FakeMsiController : public MsiController {
 public:
  Result<Gsi> connect(int event_fd, MsiMessage message) override {
    history.push_back(fmt::format("connect {:#x} {:#x}", message.address, message.data));
    if (message.address >> 20 != 0xfee) {
      return fail(ErrorKind::kHost, "Not an interrupt address");
    }
    routes[next_] = {event_fd, message};
    return Gsi(next_++);
  }
  Status update(Gsi route, MsiMessage message) override {
    history.push_back(fmt::format("update {:#x} {:#x}", message.address, message.data));
    routes.at(route.value()).second = message;
    return {};
  }
  void disconnect(Gsi route, int) override {
    history.emplace_back("disconnect");
    routes.erase(route.value());
  }
  std::map<std::uint32_t, std::pair<int, MsiMessage>> routes;
  History history;

 private:
  std::uint32_t next_ = 24;
};

class FakeInterruptPins : public InterruptPins {
 public:
  void set_level(Gsi, bool) override {}
  Status connect_level(Gsi pin, int trigger, int resample) override {
    history.push_back(fmt::format("connect pin {}", pin.value()));
    connected = trigger >= 0 && resample >= 0;
    return {};
  }
  void disconnect_level(Gsi pin, int) override {
    history.push_back(fmt::format("disconnect pin {}", pin.value()));
    connected = false;
  }
  bool connected = false;
  History history;
};

class FakeGuestDoorbells : public Doorbells {
 public:
  Status connect(GuestAddress at, unsigned size, int) override {
    history.push_back(fmt::format("connect {:#x}/{}", at.value(), size));
    return {};
  }
  Status connect_value(GuestAddress at, unsigned size, std::uint64_t value, int) override {
    history.push_back(fmt::format("connect {:#x}/{} = {:#x}", at.value(), size, value));
    return {};
  }
  void disconnect(GuestAddress at) override {
    history.push_back(fmt::format("disconnect {:#x}", at.value()));
  }
  History history;
};

struct FakeGuestBus {
  /// For the device under test; refers to this.
  GuestBus bus() {
    return {.slots = slots,
            .mmio = mmio,
            .ports = ports,
            .msi = msi,
            .pins = pins,
            .doorbells = doorbells};
  }

  FakeMemorySlots slots;
  MmioBus mmio{"mmio"};
  PortBus ports{"ports"};
  FakeMsiController msi;
  FakeInterruptPins pins;
  FakeGuestDoorbells doorbells;
};

}  // namespace gpuvm::test
