// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/efi/fake_guest.hpp"

#include <sys/mman.h>

#include <cstring>

#include "firmware/efi/cpu.hpp"
#include "firmware/efi/ports.hpp"

namespace gpuvm::efi {

FakePorts& fake_ports() {
  static FakePorts ports;
  return ports;
}

std::uint8_t read_port8(std::uint16_t port) {
  auto& ports = fake_ports();
  if (port == 0x71) {
    return ports.cmos[ports.cmos_index];
  }
  const auto found = ports.values.find(port);
  return found == ports.values.end() ? std::uint8_t{0xff} : found->second;
}

void write_port8(std::uint16_t port, std::uint8_t value) {
  if (port == 0x70) {
    fake_ports().cmos_index = value;
  } else {
    fake_ports().writes.push_back({port, value});
  }
}

void write_port16(std::uint16_t port, std::uint16_t value) {
  fake_ports().writes.push_back({port, value});
}

void flush_translations() {}
void relax() {}
[[noreturn]] void halt() {
  throw Halted{};
}

FakeGuest::FakeGuest() {
  // Below 2 GiB: the firmware wants some of its pages below 4 GiB.
  memory_ = reinterpret_cast<std::uint64_t>(::mmap(nullptr, kMemory, PROT_READ | PROT_WRITE,
                                                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0));
  fake_ports() = {};
  fake_ports().values[kMonitorPort] = 0;
  create_firmware();
  create_runtime();
  auto& state = firmware();
  state.memory.add(MemoryType::kConventional, memory_, kMemory / kEfiPageSize);
  state.machine.rtc_port = 0x70;
  state.machine.reset_port = 0xcf9;
  state.machine.reset_value = 6;
  state.machine.pm1_control_port = 0x604;
  state.machine.soft_off_value = 0x3400;
  state.machine.monitor_port = kMonitorPort;
  open_runtime(state.machine, {0x100000, 0x10000});
  fill_boot_services(state.services);
  runtime().system.boot = &state.services;
  runtime().system.console_out = state.console.protocol();
  state.handles.install(state.image_handle, guids::kLoadedImage, &state.loaded_image);
}

FakeGuest::~FakeGuest() {
  ::munmap(reinterpret_cast<void*>(memory_), kMemory);
}

std::uint64_t FakeGuest::key() {
  std::vector<std::byte> map(MemoryMap::kCapacity * kDescriptorSize);
  std::uint64_t size = map.size();
  std::uint64_t key = 0;
  services().get_memory_map(&size, map.data(), &key, nullptr, nullptr);
  return key;
}

}  // namespace gpuvm::efi
