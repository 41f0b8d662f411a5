// SPDX-License-Identifier: Apache-2.0
// The firmware on the host: its one state made anew, memory that really exists, and I/O ports that
// record.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "firmware/efi/boot_services.hpp"
#include "firmware/efi/firmware.hpp"
#include "firmware/efi/runtime.hpp"

namespace gpuvm::efi {

struct FakePorts {
  struct Write {
    std::uint16_t port;
    std::uint16_t value;
    bool operator==(const Write&) const = default;
  };
  std::vector<Write> writes;
  std::map<std::uint16_t, std::uint8_t> values;  ///< what a read answers; else 0xff
  std::map<std::uint8_t, std::uint8_t> cmos;     ///< behind ports 0x70 and 0x71
  std::uint8_t cmos_index = 0;
};
FakePorts& fake_ports();

/// Thrown where the guest's CPU would stop.
struct Halted {};

class FakeGuest {
 public:
  static constexpr std::uint64_t kMemory = 4 << 20;
  static constexpr std::uint16_t kMonitorPort = 0x620;

  FakeGuest();
  ~FakeGuest();
  FakeGuest(const FakeGuest&) = delete;
  FakeGuest& operator=(const FakeGuest&) = delete;

  BootServices& services() { return firmware().services; }
  RuntimeServices& runtime_services() { return runtime().services; }
  std::uint64_t memory() const { return memory_; }
  /// A fresh key for ExitBootServices().
  std::uint64_t key();

 private:
  std::uint64_t memory_ = 0;
};

}  // namespace gpuvm::efi
