// SPDX-License-Identifier: Apache-2.0
// PlatformUnderFuzz: the platform devices of a guest at their ports, with a clock that the input
// moves, and a user who types. It ends the process where something does not hold that must: what is
// typed arrives in order, a DMA of fw_cfg changes what it is told to and nothing else, the flash
// chip keeps what is inside of it. For the targets platform and machine.
#pragma once

#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/debug_ports.hpp"
#include "devices/platform/exit_port.hpp"
#include "devices/platform/firmware_ports.hpp"
#include "devices/platform/flash_device.hpp"
#include "devices/platform/fw_cfg.hpp"
#include "devices/platform/panic_port.hpp"
#include "devices/platform/reset_port.hpp"
#include "devices/platform/rtc_cmos.hpp"
#include "devices/platform/serial_port.hpp"
#include "tests/fuzz/machine/checked_guest.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm::fuzz {

class PlatformUnderFuzz {
 public:
  static constexpr std::uint64_t kFlashSize = 0x10000;
  static constexpr std::uint64_t kFlashBase = 0x100000000 - kFlashSize;

  /// Without the reset port at 0xcf9, which lies between others.
  PlatformUnderFuzz(const GuestMemory& memory, CheckedGuest& guest)
      : memory_(memory), guest_(guest) {
    add(kCom1Base, SerialPort::kPortCount, serial_);
    add(kRtcBase, RtcCmos::kPortCount, rtc_);
    add(kAcpiPmBase, AcpiPm::kPortCount, pm_);
    add(fw_cfg::kPort, FwCfg::kPortCount, fw_cfg_);
    add(kFastA20Port, 1, a20_);
    add(kKeyboardCommandPort, 1, keyboard_);
    add(kExitPort, ExitPort::kPortCount, exit_);
    add(kPanicPort, 1, panic_);
    add(kPostCodePort, 1, post_);
    must(fw_cfg_.add_file("opt/file", std::vector<std::byte>(300, std::byte{0x77})), "a file");
    fw_cfg_.set_before_directory([this] {
      std::vector<FwCfg::File> files;
      files.push_back({"etc/late", std::vector<std::byte>(7 + (++directories_ % 4))});
      return files;
    });
    const std::vector<std::byte> erased(kFlashSize, std::byte{0xff});
    flash_ = FlashDevice::create(erased, GuestAddress(kFlashBase), store_, guest.slots).value();
    must(guest.mmio.add({guest_range(kFlashBase, kFlashSize), flash_.get()}), "the flash's place");
  }
  PlatformUnderFuzz(const PlatformUnderFuzz&) = delete;
  PlatformUnderFuzz& operator=(const PlatformUnderFuzz&) = delete;
  ~PlatformUnderFuzz() = default;

  IoHandler& reset_port() { return reset_; }
  /// How often the guest asked for a reset, power off or the end.
  unsigned requests() const { return requests_; }

  /// An access to a port of a device, near one, or past it.
  void use_port(Input& input) {
    static constexpr std::uint16_t kPorts[] = {
        0x3f8, 0x3f8, 0x3f9, 0x3fa, 0x3fb, 0x3fc, 0x3fd, 0x3fe, 0x070, 0x071, 0x600, 0x602,
        0x604, 0x608, 0x510, 0x511, 0x514, 0x518, 0x092, 0x064, 0x0f4, 0x505, 0x080, 0xcf9};
    const auto place = input.byte();
    auto port = kPorts[place % std::size(kPorts)];
    Access access(input);
    port = static_cast<std::uint16_t>(port + (access.extra() >= 14 ? access.extra() - 12 : 0));
    if (port == 0x518 && access.is_write() && access.size() == 4) {
      run_dma(access.value(input));
    } else if (port == 0x3f8 && !access.is_write() && access.size() == 1) {
      read_typed();
    } else {
      note_serial(port, access);
      guest_.access_port(access, input, port);
    }
  }
  /// A transfer that makes sense, or nearly: its descriptor is written, then its address.
  void use_dma(Input& input) {
    static constexpr std::uint16_t kKeys[] = {0x00, 0x01, 0x19, 0x20, 0x21, 0x22, 0x7f, 0xffff};
    const auto how = input.byte();
    const std::uint64_t at = 0x2000 + (how >> 5) * 0x10U;
    std::array<std::byte, 16> bytes{};
    const std::uint32_t control = std::uint32_t{kKeys[how & 7]} << 16 | (input.byte() & 0x1fU);
    put_be(std::span(bytes).first(4), control);
    put_be(std::span(bytes).subspan(4, 4), (how & 8) != 0 ? input.dword() : input.byte());
    put_be(std::span(bytes).subspan(8), (how & 16) != 0 ? input.take(8) : at + input.byte());
    static_cast<void>(memory_.write(GuestAddress(at), bytes));
    std::array<std::byte, 4> address{};
    put_be(address, at);
    run_dma(address);
  }
  void use_flash(Input& input) {
    static constexpr std::uint8_t kCommands[] = {0xff, 0x70, 0x50, 0x10, 0x40, 0x20, 0xd0, 0x98};
    Access access(input);
    const auto at = kFlashBase + input.word();
    if (!access.is_write()) {
      guest_.access(access, input, at);
      return;
    }
    const auto value = (access.extra() & 8) != 0 ? input.byte() : kCommands[access.extra() & 7];
    const std::array bytes{std::byte{value}};
    guest_.write(at, bytes);
  }
  /// What is no access of the guest's.
  void disturb(Input& input) {
    const auto what = input.byte();
    switch (what % 8) {
      case 0:
        type(input.rest(what >> 3));
        break;
      case 1:
        now_ += std::chrono::nanoseconds(std::uint64_t{input.word()} << (what >> 3));
        break;
      case 2:
        rtc_.timer_expired();
        break;
      case 3:
        pm_.press_power_button();
        break;
      case 4:
        reset();
        break;
      case 5:
        store_.refuses = (what & 0x80) != 0;
        break;
      default:
        look();
    }
  }
  void reset() {
    typed_.clear();
    is_exact_ = true;
    for (Resettable* device : std::initializer_list<Resettable*>{
             &serial_, &rtc_, &pm_, &fw_cfg_, &exit_, &panic_, &post_, &reset_, flash_.get()}) {
      device->reset();
    }
  }
  void look() const {
    InspectNode node;
    for (const Inspectable* device : std::initializer_list<const Inspectable*>{
             &serial_, &rtc_, &pm_, &fw_cfg_, &exit_, &panic_, &post_, &reset_, flash_.get()}) {
      device->inspect(node.child("device"));
    }
    static_cast<void>(node.to_json());
    must(!serial_.acpi().empty() && !rtc_.acpi().empty() && !pm_.acpi().empty() &&
             !panic_.acpi().empty(),
         "devices have nodes");
  }

 private:
  struct Sink : ConsoleSink {
    void write(std::span<const std::byte> bytes) override {
      must(bytes.size() == 1, "a byte is printed at a time");
    }
  };
  struct Store : FlashStore {
    bool keep(std::uint64_t offset, std::span<const std::byte> bytes) override {
      must(is_inside(0, kFlashSize, offset, bytes.size()), "what is kept is of the chip");
      return !refuses;
    }
    bool refuses = false;
  };

  void add(IoPort base, std::uint64_t count, IoHandler& device) {
    must(guest_.ports.add({*PortRange::create(base, count), &device}), "ports have their places");
  }
  static void put_be(std::span<std::byte> bytes, std::uint64_t value) {
    for (std::size_t i = bytes.size(); i > 0; --i, value >>= 8) {
      bytes[i - 1] = static_cast<std::byte>(value & 0xff);
    }
  }
  static std::uint64_t get_be(std::span<const std::byte> bytes) {
    std::uint64_t value = 0;
    for (const std::byte byte : bytes) {
      value = value << 8 | std::to_integer<std::uint64_t>(byte);
    }
    return value;
  }

  /// The low half of a descriptor's address: what the transfer may change is known before. Of
  /// memory its first part is looked at, where transfers mostly go.
  void run_dma(std::span<const std::byte> address) {
    constexpr std::size_t kLooked = 64_KiB;
    const auto memory = memory_.regions().front().host.first(kLooked);
    const std::uint64_t at = get_be(address);  // after another high half: outside of memory
    std::array<std::byte, 16> descriptor{};
    const bool is_there = memory_.read(GuestAddress(at), descriptor);
    const std::uint64_t length = get_be(std::span(descriptor).subspan(4, 4));
    const std::uint64_t target = get_be(std::span(descriptor).subspan(8));
    before_.assign(memory.begin(), memory.end());
    guest_.ports.write(IoPort(0x518), address);
    if (std::memcmp(memory.data(), before_.data(), memory.size()) == 0) {
      return;
    }
    for (std::size_t place = 0; place < memory.size(); ++place) {
      must(memory[place] == before_[place] ||
               (is_there && (is_inside(at, 4, place, 1) || is_inside(target, length, place, 1))),
           "a transfer changes what it is told to and nothing else");
    }
  }

  void type(std::span<const std::byte> bytes) {
    const auto taken = serial_.receive(bytes);
    must(taken <= bytes.size(), "no more is taken than there is");
    typed_.insert(typed_.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(taken));
    must(typed_.size() <= Uart16550::kQueueSize + 16, "what is typed has a limit");
  }
  /// A guest may clear the FIFO or loop its output back: then nobody knows what comes.
  void note_serial(std::uint16_t port, const Access& access) {
    if (port >= 0x3f8 && port < 0x400 && access.is_write()) {
      is_exact_ = false;
      typed_.clear();
    }
  }
  void read_typed() {
    std::array<std::byte, 1> byte{};
    guest_.ports.read(IoPort(0x3f8), byte);
    if (is_exact_ && !typed_.empty()) {
      must(byte[0] == typed_.front(), "what is typed arrives in order");
    }
    if (!typed_.empty()) {
      typed_.pop_front();
    }
  }

  const GuestMemory& memory_;
  CheckedGuest& guest_;
  std::chrono::nanoseconds now_{std::chrono::hours(24 * 365 * 50)};
  unsigned requests_ = 0;
  unsigned directories_ = 0;
  std::deque<std::byte> typed_;
  bool is_exact_ = true;
  std::vector<std::byte> before_;
  Sink sink_;
  Store store_;
  const MachineRequests wishes_{.power_off = [this] { ++requests_; },
                                .reset = [this] { ++requests_; },
                                .exit = [this](std::uint32_t) { ++requests_; },
                                .panic = [this](GuestPanic) { ++requests_; }};
  SerialPort serial_{sink_, guest_.pins};
  RtcCmos rtc_{{.memory = {}, .now = [this] { return now_; }, .arm_timer = [](auto) {}},
               guest_.pins};
  AcpiPm pm_{wishes_, guest_.pins, [this] { return now_; }};
  FwCfg fw_cfg_{memory_};
  FastA20Port a20_{wishes_};
  KeyboardResetPort keyboard_{wishes_};
  ExitPort exit_{wishes_};
  PanicPort panic_{wishes_};
  PostCodePort post_;
  ResetPort reset_{wishes_};
  std::unique_ptr<FlashDevice> flash_;
};

}  // namespace gpuvm::fuzz
