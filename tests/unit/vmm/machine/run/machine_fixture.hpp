// SPDX-License-Identifier: Apache-2.0
// MachineTest: a whole Machine on a made-up host and a VM without KVM, whose vCPUs do what the test
// says.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>
#include <thread>

#include "tests/unit/devices/physical/fake_physical_device.hpp"
#include "tests/unit/firmware/linux/kernel_builder.hpp"
#include "tests/unit/vmm/host/fake_host.hpp"
#include "tests/unit/vmm/machine/run/fake_vcpu.hpp"
#include "vmm/machine/run/machine.hpp"

namespace gpuvm::test {

class FakeDoorbells : public Doorbells {
 public:
  Status connect(GuestAddress, unsigned, int) override { return {}; }
  Status connect_value(GuestAddress, unsigned, std::uint64_t, int) override { return {}; }
  void disconnect(GuestAddress) override {}
};

class FakeGuestVm : public GuestVm {
 public:
  explicit FakeGuestVm(FakeVcpu::Guest guest) : guest_(std::move(guest)) { add_vcpus(); }

  unsigned physical_address_bits() const override { return 40; }
  MemorySlots& slots() override { return slots_; }
  std::size_t slot_count() const override { return slots_.slots.size(); }
  MsiController& msi() override { return msi_; }
  InterruptPins& pins() override { return pins_; }
  Doorbells& doorbells() override { return doorbells_; }
  std::vector<VirtualCpu*> vcpus() override {
    std::vector<VirtualCpu*> all;
    for (const auto& vcpu : vcpus_) {
      all.push_back(vcpu.get());
    }
    return all;
  }
  Status hold_group(int) override { return {}; }
  void release_group(int) override {}
  Status rebuild() override {
    ++rebuilds;
    TRY(rebuild_status);
    add_vcpus();
    return {};
  }
  void inspect(InspectNode& node) const override {
    node.field("vcpus", std::uint64_t{vcpus_.size()});
    node.field("rebuilds", std::uint64_t{rebuilds});
  }

  std::uint64_t rebuilds = 0;
  Status rebuild_status;

 private:
  void add_vcpus() {
    vcpus_.clear();
    vcpus_.push_back(std::make_unique<FakeVcpu>(0, guest_));
    vcpus_.push_back(std::make_unique<FakeVcpu>(1));  // halted
  }

  const FakeVcpu::Guest guest_;
  FakeMemorySlots slots_;
  FakeMsiController msi_;
  FakeInterruptPins pins_;
  FakeDoorbells doorbells_;
  std::vector<std::unique_ptr<FakeVcpu>> vcpus_;
};

/// What a guest prints.
class FakeConsole : public ConsoleSink {
 public:
  void write(std::span<const std::byte> bytes) override {
    const MutexLock lock(mutex_);
    bytes_ += bytes.size();
    changed_.notify_all();
  }
  std::size_t bytes() const {
    const MutexLock lock(mutex_);
    return bytes_;
  }
  void wait_for_more() {
    MutexLock lock(mutex_);
    const std::size_t before = bytes_;
    while (bytes_ == before) {
      changed_.wait(lock);
    }
  }

 private:
  mutable Mutex mutex_;
  Condition changed_;
  std::size_t bytes_ GPUVM_GUARDED_BY(mutex_) = 0;
};

class MachineTest : public testing::Test {
 protected:
  MachineTest() {
    host_.file("/dev/kvm", "");
    directory_ = host_.path("/guest");
    host_.directory("/guest");
    write_kernel();
    std::ofstream(directory_ + "/disk");
    std::filesystem::resize_file(directory_ + "/disk", 1 << 20);
    config_.name = "main";
    config_.machine.memory = 128_MiB;
    config_.boot.kernel = directory_ + "/kernel";
    config_.disks.push_back({.path = directory_ + "/disk"});
    events_.add([this](const GuestEvent& event) { note(event); });
  }
  void write_kernel() {
    const auto kernel = make_bzimage(make_payload());
    std::ofstream(directory_ + "/kernel", std::ios::binary)
        .write(reinterpret_cast<const char*>(kernel.data()),
               static_cast<std::streamsize>(kernel.size()));
  }
  Machine& make() {
    machine_ = std::make_unique<Machine>(Machine::Options{
        .config = config_,
        .console = console_,
        .requests = {.power_off = [] {},
                     .reset = [] {},
                     .exit = [this](std::uint32_t status) { exit_.set_value(status); }},
        .on_vcpu_event = [](VcpuEvent, const std::string&) {},
        .on_failure = [this](const Error& error) { failures_.push_back(error.to_string()); },
        .events = events_,
        .on_devices = {},
        .host = host_,
        .make_vm = [this](const GuestVmOptions&) -> Result<std::unique_ptr<GuestVm>> {
          if (before_vm_) {
            before_vm_();
          }
          TRY(vm_status_);
          auto vm = std::make_unique<FakeGuestVm>(guest_);
          vm_ = vm.get();
          return std::unique_ptr<GuestVm>(std::move(vm));
        },
        .arm_clock =
            [this](std::optional<std::chrono::nanoseconds> delay) {
              if (delay && !std::exchange(is_armed_, true)) {
                armed_.set_value(*delay);
              }
            },
        .words = words_.get(),
        .status_input = status_input_.get(),
        .owner = owner_});
    return *machine_;
  }
  /// A machine whose guest runs.
  Machine& run() {
    Machine& machine = make();
    const auto built = machine.build(wanted);
    EXPECT_TRUE(built) << built.error().to_string();
    const auto on = machine.power_on(wanted);
    EXPECT_TRUE(on) << on.error().to_string();
    return machine;
  }
  static bool wanted() { return false; }
  static bool unwanted() { return true; }
  void note(const GuestEvent& event) {
    if (const auto* change = std::get_if<StateChange>(&event.what)) {
      states_.emplace_back(to_string(change->to));
    }
  }

  FakeHost host_;
  std::string directory_;
  Config config_;
  FakeConsole console_;
  GuestEvents events_{"main"};
  std::vector<std::string> states_;  ///< entered one after the other
  std::vector<std::string> failures_;
  /// Prints a byte, and reads the clock of ACPI.
  FakeVcpu::Guest guest_ = [](PortBus& ports, MmioBus&) -> std::optional<VcpuEvent> {
    ports.write(kCom1Base, std::array{std::byte{'x'}});
    std::array<std::byte, 4> timer{};
    ports.read(kAcpiPmBase + kPmTimerOffset, timer);
    return std::nullopt;
  };
  std::promise<std::uint32_t> exit_;              ///< the guest's status, once
  std::promise<std::chrono::nanoseconds> armed_;  ///< by the guest's clock, once
  bool is_armed_ = false;                         ///< a vCPU's
  std::function<void()> before_vm_;
  Status vm_status_;
  FakeGuestVm* vm_ = nullptr;
  std::unique_ptr<GuestWords> words_;        ///< where a test sets it
  std::unique_ptr<PortInput> status_input_;  ///< likewise: the guest is a warm one
  Owner* owner_ = nullptr;                   ///< likewise
  std::unique_ptr<Machine> machine_;
};

}  // namespace gpuvm::test
