// SPDX-License-Identifier: Apache-2.0
// CheckedGuest: what the kernel is to devices, as fakes that end the process where a device breaks
// the rules: no memory slot over RAM, APICs or KVM's own pages, none over another, no slot, route,
// pin or doorbell taken away that was never there, and none left behind. An access goes where KVM
// would let it go: into a slot, else to the bus.
#pragma once

#include <map>
#include <span>
#include <utility>
#include <vector>

#include "tests/fuzz/input.hpp"
#include "vmm/base/units.hpp"
#include "vmm/bus/guest_bus.hpp"

namespace gpuvm::fuzz {

/// base and size: of our own code, valid.
inline GuestRange guest_range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

class CheckedSlots : public MemorySlots {
 public:
  explicit CheckedSlots(std::vector<GuestRange> forbidden) : forbidden_(std::move(forbidden)) {}

  Result<SlotId> map(GuestAddress at, std::span<std::byte> host, SlotAccess access) override {
    const auto range = GuestRange::create(at, host.size());
    must(range.has_value() && is_aligned(at.value(), kPageSize) &&
             is_aligned(host.size(), kPageSize),
         "a slot is of whole pages");
    for (const auto& forbidden : forbidden_) {
      must(!forbidden.overlaps(*range), "no slot covers RAM, an APIC or KVM's pages");
    }
    for (const auto& [id, slot] : slots_) {
      must(!slot.range.overlaps(*range), "no slot covers another");
    }
    if (refuses_) {
      return fail(ErrorKind::kHost, "Out of slots");
    }
    slots_.emplace(++next_, Slot{*range, host, access});
    return next_;
  }
  void unmap(SlotId slot) override {
    must(slots_.erase(slot) == 1, "a slot that is unmapped was mapped");
  }
  void set_refuses(bool refuses) { refuses_ = refuses; }
  bool empty() const { return slots_.empty(); }

  /// Whether the guest reaches any of these bytes of this process.
  bool reaches(std::span<const std::byte> bytes) const {
    for (const auto& [id, slot] : slots_) {
      if (slot.host.data() < bytes.data() + bytes.size() &&
          bytes.data() < slot.host.data() + slot.host.size()) {
        return true;
      }
    }
    return false;
  }
  /// The bytes at a guest address, and whether a guest may write them; empty for none.
  std::pair<std::span<std::byte>, bool> find(GuestAddress at, std::size_t size) const {
    for (const auto& [id, slot] : slots_) {
      if (slot.range.contains(at, size)) {
        return {slot.host.subspan(at - slot.range.base(), size),
                slot.access == SlotAccess::kReadWrite};
      }
    }
    return {};
  }

 private:
  struct Slot {
    GuestRange range;
    std::span<std::byte> host;
    SlotAccess access;
  };
  const std::vector<GuestRange> forbidden_;
  std::map<SlotId, Slot> slots_;
  SlotId next_ = 0;
  bool refuses_ = false;
};

class CheckedMsi : public MsiController {
 public:
  Result<Gsi> connect(int event_fd, MsiMessage) override {
    must(event_fd >= 0, "a route has an eventfd");
    if (refuses_) {
      return fail(ErrorKind::kHost, "Out of routes");
    }
    routes_[next_] = event_fd;
    return Gsi(next_++);
  }
  Status update(Gsi route, MsiMessage) override {
    must(routes_.contains(route.value()), "a route that is changed is there");
    return {};
  }
  void disconnect(Gsi route, int event_fd) override {
    const auto found = routes_.find(route.value());
    must(found != routes_.end() && found->second == event_fd, "a route that ends is there");
    routes_.erase(found);
  }
  void set_refuses(bool refuses) { refuses_ = refuses; }
  bool empty() const { return routes_.empty(); }

 private:
  std::map<std::uint32_t, int> routes_;
  std::uint32_t next_ = 24;
  bool refuses_ = false;
};

class CheckedPins : public InterruptPins {
 public:
  void set_level(Gsi pin, bool high) override {
    must(pin.value() < 24, "an emulated device drives a pin of the I/O APIC");
    levels_[pin.value()] = high;
  }
  Status connect_level(Gsi pin, int trigger_fd, int resample_fd) override {
    must(trigger_fd >= 0 && resample_fd >= 0, "a pin has eventfds");
    must(connected_.emplace(pin.value(), trigger_fd).second, "a pin is connected once");
    return {};
  }
  void disconnect_level(Gsi pin, int trigger_fd) override {
    const auto found = connected_.find(pin.value());
    must(found != connected_.end() && found->second == trigger_fd, "a pin that ends is there");
    connected_.erase(found);
  }
  bool level(std::uint32_t pin) const { return levels_.contains(pin) && levels_.at(pin); }
  bool empty() const { return connected_.empty(); }

 private:
  std::map<std::uint32_t, bool> levels_;
  std::map<std::uint32_t, int> connected_;
};

class CheckedDoorbells : public Doorbells {
 public:
  Status connect(GuestAddress at, unsigned size, int event_fd) override {
    return add(at, size, event_fd);
  }
  Status connect_value(GuestAddress at, unsigned size, std::uint64_t, int event_fd) override {
    return add(at, size, event_fd);
  }
  void disconnect(GuestAddress at) override {
    must(bells_.erase(at) == 1, "a doorbell that ends is there");
  }
  bool empty() const { return bells_.empty(); }

 private:
  Status add(GuestAddress at, unsigned size, int event_fd) {
    must(event_fd >= 0 && size >= 1 && size <= 8 && (size & (size - 1)) == 0,
         "a doorbell has a size and an eventfd");
    if (!bells_.emplace(at, event_fd).second) {
      return fail(ErrorKind::kInternal, "A doorbell is there");
    }
    return {};
  }
  std::map<GuestAddress, int> bells_;
};

/// Devices go before it.
struct CheckedGuest {
  explicit CheckedGuest(std::vector<GuestRange> forbidden) : slots(std::move(forbidden)) {}
  CheckedGuest(const CheckedGuest&) = delete;
  CheckedGuest& operator=(const CheckedGuest&) = delete;
  ~CheckedGuest() {
    must(slots.empty(), "no slot is left behind");
    must(msi.empty() && pins.empty(), "no interrupt is left behind");
    must(doorbells.empty(), "no doorbell is left behind");
  }

  GuestBus bus() {
    return {.slots = slots,
            .mmio = mmio,
            .ports = ports,
            .msi = msi,
            .pins = pins,
            .doorbells = doorbells};
  }
  void read(std::uint64_t at, std::span<std::byte> out) {
    if (const auto [bytes, writable] = slots.find(GuestAddress(at), out.size()); !bytes.empty()) {
      std::copy(bytes.begin(), bytes.end(), out.begin());
      return;
    }
    if (GuestRange::create(GuestAddress(at), out.size())) {
      mmio.read(GuestAddress(at), out);
    }
  }
  void write(std::uint64_t at, std::span<const std::byte> in) {
    const auto [bytes, writable] = slots.find(GuestAddress(at), in.size());
    if (!bytes.empty() && writable) {
      std::copy(in.begin(), in.end(), bytes.begin());
    } else if (GuestRange::create(GuestAddress(at), in.size())) {
      mmio.write(GuestAddress(at), in);
    }
  }
  /// What an Access says of an address.
  void access(Access& access, Input& input, std::uint64_t at) {
    if (access.is_write()) {
      write(at, access.value(input));
    } else {
      read(at, access.room());
    }
  }
  /// The same of a port; what would run past the last one is none.
  void access_port(Access& access, Input& input, std::uint16_t port) {
    if (port + access.size() > 0x10000) {
      return;
    }
    if (access.is_write()) {
      ports.write(IoPort(port), access.value(input));
    } else {
      ports.read(IoPort(port), access.room());
    }
  }

  CheckedSlots slots;
  CheckedMsi msi;
  CheckedPins pins;
  CheckedDoorbells doorbells;
  MmioBus mmio{"mmio"};
  PortBus ports{"ports"};
};

}  // namespace gpuvm::fuzz
