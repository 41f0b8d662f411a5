// SPDX-License-Identifier: Apache-2.0
// HotPlugFixture: a machine with free ports over a fake host with two cards, and what its guest
// sees in the ECAM.
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/bus/fake_guest_bus.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/hot_plug/hot_plug.hpp"
#include "vmm/machine/memory/layout.hpp"

namespace gpuvm::test {

inline const std::string kUsb = "0000:02:00.0";
inline const std::string kGpu = "0000:03:00.0";
inline constexpr std::uint32_t kUsbId = 0x56781234;
inline constexpr std::uint32_t kGpuId = 0x56791234;
inline constexpr unsigned kSlotRegister = RootPort::kExpressOffset + pci::kExpressSlotControl;

/// Nobody writes to it.
class NoResetPort : public IoHandler {
 public:
  std::string_view name() const override { return "reset port"; }
  IoStatus read(std::uint64_t, std::span<std::byte>) override { return IoStatus::kOk; }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override { return IoStatus::kOk; }
};

class HotPlugFixture : public testing::Test {
 protected:
  HotPlugFixture() {
    fakes_.host.file("/dev/kvm", "");
    add(kUsb, kUsbId);
    add(kGpu, kGpuId);
  }
  /// Of no row of the reset policy's table.
  void add(const std::string& bdf, std::uint32_t ids) {
    fakes_.add(bdf, gt710_config(), 0, 0, [this, ids](FakePhysicalDevice& device) {
      device.set_config(0, ids);
      device.add_bar(0, 16_MiB);
      device.add_bar(1, large_bar_);
      device.add_bar(3, 32_MiB);
      device.set_irq(IrqType::kIntx, 1);
      device.on_config_write = [this](auto, auto) {
        ++config_writes_;
        EXPECT_FALSE(is_exclusive_) << "who inspects would wait for the device";
      };
    });
  }
  void create() {
    auto none = HostDevices::create(fakes_.host, {}, {}, fakes_.openers());
    ASSERT_TRUE(none);
    devices_ = std::move(none).value();
    numa_.emplace(NumaPlan::create(fakes_.host, {}, devices_->host_functions(), memory_).value());
    auto made = PciComplex::create(
        {.devices = *devices_,
         .numa = *numa_,
         .disks = disks_,
         .networks = networks_,
         .services = {},
         .memory = memory_,
         .physical_address_bits = 40,
         .config_ports = false,
         .before_bus_master = {},
         .reset_port = reset_port_,
         .firmware_flash = {},
         .bus = bus_.bus(),
         .on_guest_reset = {},
         .free_ports = free_ports_,
         .reserve = reserve_,
         .on_slot_power = [this](std::uint8_t port, bool on) { powers_.emplace_back(port, on); }});
    ASSERT_TRUE(made) << made.error().to_string();
    pci_ = std::move(made).value();
    plug_ = std::make_unique<HotPlug>(HotPlugMachine{
        .host = fakes_.host,
        .owner = "the guest main",
        .memory = memory_,
        .pci = *pci_,
        .prepare_memory = [](const auto&) -> Status { return {}; },
        .hold_group = [](int) -> Status { return {}; },
        .release_group = [](int) {},
        .exclusively =
            [this](const auto& change) {
              is_exclusive_ = true;
              change();
              is_exclusive_ = false;
            },
        .on_step = [this](const HotPlugStep& step) { steps_.emplace_back(step.step); },
        .openers = openers(),
        .lender = lender_,
        .is_confined = is_confined_,
        .attachable = find_attachable(fakes_.host, attachable_, scrub_).value(),
        .scrub = scrub_});
  }
  HostOpeners openers() {
    auto openers = fakes_.openers();
    openers.sleep = [](std::chrono::milliseconds) { std::this_thread::yield(); };
    return openers;
  }
  std::uint32_t read(unsigned bus, unsigned device, unsigned offset) {
    std::array<std::byte, 4> bytes{};
    bus_.mmio.read(layout::kEcamBase + (bus << 20 | device << 15 | offset), bytes);
    return static_cast<std::uint32_t>(load_le(bytes));
  }
  void write(unsigned bus, unsigned device, unsigned offset, std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value);
    bus_.mmio.write(layout::kEcamBase + (bus << 20 | device << 15 | offset), bytes);
  }
  /// 16 bits: Status beside it is the function's.
  void write_command(unsigned bus, unsigned device, std::uint16_t value) {
    std::array<std::byte, 2> bytes{};
    store_le(bytes, value);
    bus_.mmio.write(layout::kEcamBase + (bus << 20 | device << 15 | pci::kCommand), bytes);
  }
  /// As Linux' driver: what happened is cleared, and the slot gets or loses its power.
  void switch_slot(unsigned device, bool on) {
    write(0, device, kSlotRegister, 0xffff0000U | (on ? 0U : std::uint32_t{1} << 10));
  }
  static bool wanted() { return false; }
  static std::string text_of(const Status& status) {
    return status ? std::string() : status.error().to_string();
  }

  bool is_exclusive_ = false;
  int config_writes_ = 0;  ///< of cards
  FakeDevices fakes_;
  Owner* lender_ = nullptr;
  bool is_confined_ = false;
  std::vector<Bdf> attachable_;
  PciScrub scrub_ = PciScrub::kOff;
  std::uint64_t large_bar_ = 128_MiB;
  unsigned free_ports_ = 2;
  std::uint64_t reserve_ = 1_GiB;
  FakeGuestBus bus_;
  NoResetPort reset_port_;
  GuestDisks disks_;
  Networks networks_;
  GuestMemory memory_ = GuestMemory::create({.size = 64_MiB}).value();
  std::unique_ptr<HostDevices> devices_;
  std::optional<NumaPlan> numa_;
  std::unique_ptr<HotPlug> plug_;  ///< its cards outlive what shows them
  std::unique_ptr<PciComplex> pci_;
  std::vector<std::pair<std::uint8_t, bool>> powers_;
  std::vector<std::string> steps_;
};

}  // namespace gpuvm::test
