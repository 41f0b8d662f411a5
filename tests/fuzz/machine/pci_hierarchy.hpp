// SPDX-License-Identifier: Apache-2.0
// PciHierarchy: the PCI of a guest without what is in it: host bridge, ISA bridge, ECAM that moves,
// configuration ports, one root port and one with a hot-plug slot; and what a guest's bytes do with
// it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "devices/pci/bar_space.hpp"
#include "devices/pci/config_ports.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/host_bridge.hpp"
#include "devices/pci/lpc_bridge.hpp"
#include "devices/pci/root_port.hpp"
#include "tests/fuzz/machine/checked_guest.hpp"
#include "tests/fuzz/machine/fresh_memory.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::fuzz {

inline constexpr std::uint64_t kEcamBase = 0xe0000000;

/// Where no slot may be: what a machine keeps from BARs, but the ECAM, which moves.
inline std::vector<GuestRange> kept_ranges() {
  return {guest_range(0, kRamSize), guest_range(0xfec00000, 4096), guest_range(0xfee00000, 1_MiB),
          guest_range(0xfeffc000, 16384)};
}

inline BarSpace make_bar_space() {
  std::vector<BarSpace::Forbidden> forbidden;
  for (const auto& range : kept_ranges()) {
    forbidden.push_back({range, "what is the machine's"});
  }
  forbidden.push_back({guest_range(kEcamBase, 256_MiB), "ECAM"});
  forbidden.push_back({guest_range(0xffff0000, 65536), "flash"});
  return BarSpace(std::move(forbidden));
}

class PciHierarchy : private SecondaryBusListener {
 public:
  static constexpr unsigned kBuses = 3;
  static constexpr std::uint8_t kPortDevice = 1;
  static constexpr std::uint8_t kPortDevfn = kPortDevice << 3;

  /// `reset_port`: behind port 0xcf9; all must outlive this.
  PciHierarchy(CheckedGuest& guest, BarSpace& space, IoHandler* reset_port)
      : guest_(guest), space_(space), ports_(topology_, reset_port) {
    must(guest.ports.add(
             {*PortRange::create(IoPort(ConfigPorts::kPort), ConfigPorts::kPortCount), &ports_}),
         "the configuration ports have their place");
    must(guest.mmio.add({guest_range(kEcamBase, ecam_.size()), &ecam_}), "and the ECAM");
    bridge_->set_ecam_listener([this] { follow_ecam(); });
    port_ = RootPort::create({.name = "port", .device = kPortDevice}).value();
    must(port_->set_power_on_setup({.secondary = 1, .subordinate = 1}), "a port has a bus");
    must(port_->set_listener(this), "and somebody who hears of its resets");
    slot_ =
        RootPort::create(
            {.name = "slot",
             .device = 2,
             .slot = 2,
             .hot_plug = HotPlugConfig{.msi = &guest.msi, .memory32 = 64_MiB, .memory64 = 1_GiB}})
            .value();
    must(slot_->set_power_on_setup({.secondary = 2, .subordinate = 2}), "so has a slot's");
    must(topology_.add(0, *bridge_) && topology_.add(LpcBridge::kDevfn, lpc_) &&
             topology_.add_root_port(*port_) && topology_.add_root_port(*slot_),
         "bus 0 has room");
  }
  PciHierarchy(const PciHierarchy&) = delete;
  PciHierarchy& operator=(const PciHierarchy&) = delete;
  ~PciHierarchy() = default;

  PciTopology& topology() { return topology_; }
  RootPort& port() { return *port_; }
  void set_on_bus_reset(std::function<void()> hears) { on_bus_reset_ = std::move(hears); }

  /// An access to configuration space: by the ECAM, by the ports, or, where the input says so, at
  /// an address that no mechanism gives.
  void use(Input& input) {
    const auto way = input.byte();
    const auto devfn = kDevfns[(way >> 2) % std::size(kDevfns)];
    if (devfn == kCardMoves) {
      move_card(input.byte());
      return;
    }
    const auto bus = (way & 0x40) != 0 ? std::uint8_t{1} : std::uint8_t{0};
    const std::uint16_t offset =
        (way & 0x80) != 0 ? static_cast<std::uint16_t>(input.word() & 0xfff) : input.byte();
    Access access(input);
    switch (way % 4) {
      case 0:
        guest_.access(access, input,
                      kEcamBase + (std::uint64_t{bus} << 20 | std::uint64_t{devfn} << 12 | offset));
        break;
      case 1:
        use_ports(access, input, std::uint32_t{bus} << 16 | std::uint32_t{devfn} << 8 | offset);
        break;
      default:
        if (access.is_write()) {
          topology_.write({bus, devfn}, offset, access.value(input));
        } else {
          topology_.read({bus, devfn}, offset, access.room());
        }
    }
  }
  void reset() {
    bridge_->reset();
    lpc_.reset();
    port_->reset();
    slot_->quiesce();
    slot_->reset();
    ports_.reset();
  }
  void look() const {
    InspectNode node;
    topology_.inspect(node.child("topology"));
    ecam_.inspect(node.child("ecam"));
    ports_.inspect(node.child("ports"));
    bridge_->inspect(node.child("bridge"));
    space_.inspect(node.child("bars"));
    static_cast<void>(node.to_json());
    must(!port_->acpi().empty(), "a port has a node");
    must(slot_->slot().is_present() == has_card_, "a guest moves no card");
    must(!topology_.root_devices().empty(), "bus 0 has devices");
  }

 private:
  /// No function's: what the machine does with the slot of 0x10.
  static constexpr std::uint8_t kCardMoves = 0x88;
  static constexpr std::uint8_t kDevfns[] = {0, kPortDevfn, 0x80,       LpcBridge::kDevfn,
                                             1, 0x10,       kCardMoves, 0xff};

  void move_card(std::uint8_t what) {
    switch (what % 4) {
      case 0:
        slot_->insert({.link = {.speed = 3, .width = 8}, .max_payload_code = 2});
        has_card_ = true;
        break;
      case 1:
        slot_->remove();
        has_card_ = false;
        break;
      case 2:
        slot_->press_attention_button();
        break;
      default:
        must(slot_->slot().is_present() == has_card_, "a guest moves no card");
    }
  }

  void use_ports(Access& access, Input& input, std::uint32_t address) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, 0x80000000U | address);
    guest_.ports.write(IoPort(ConfigPorts::kPort), bytes);
    guest_.access_port(access, input,
                       static_cast<std::uint16_t>(ConfigPorts::kPort + 4 + (address & 3)));
  }
  /// As PciComplex does it.
  void follow_ecam() {
    const auto to = bridge_->ecam();
    std::vector<GuestAddress> old;
    if (ecam_at_) {
      old.push_back(ecam_at_->base());
    }
    std::vector<IoMapping<GuestAddress>> mappings;
    if (to) {
      mappings.push_back(
          {*GuestRange::create(to->base(), std::min(ecam_.size(), to->size())), &ecam_});
    }
    if (!guest_.mmio.replace(old, mappings)) {
      return;
    }
    ecam_at_ = to;
    space_.set_forbidden("ECAM", to);
  }
  void secondary_bus_reset() override {
    if (on_bus_reset_) {
      on_bus_reset_();
    }
  }

  CheckedGuest& guest_;
  BarSpace& space_;
  PciTopology topology_;
  std::unique_ptr<HostBridge> bridge_ = HostBridge::create(guest_range(kEcamBase, 256_MiB));
  LpcBridge lpc_{IoPort(0x600)};
  Ecam ecam_{topology_, kBuses};
  ConfigPorts ports_;
  std::unique_ptr<RootPort> port_;
  std::unique_ptr<RootPort> slot_;
  bool has_card_ = false;
  std::optional<GuestRange> ecam_at_ = guest_range(kEcamBase, 256_MiB);
  std::function<void()> on_bus_reset_;
};

}  // namespace gpuvm::fuzz
