// SPDX-License-Identifier: Apache-2.0
// Fakes of what platform devices talk to. They record, so that tests can assert sequences.
#pragma once

#include <string>
#include <vector>

#include "devices/platform/console_sink.hpp"
#include "vmm/bus/interrupts.hpp"
#include "vmm/bus/io_handler.hpp"

namespace gpuvm {

struct FakePins : InterruptPins {
  struct Change {
    std::uint32_t pin;
    bool high;
    bool operator==(const Change&) const = default;
  };
  void set_level(Gsi pin, bool high) override { changes.push_back({pin.value(), high}); }
  Status connect_level(Gsi, int, int) override { return {}; }
  void disconnect_level(Gsi, int) override {}
  bool level() const { return !changes.empty() && changes.back().high; }

  std::vector<Change> changes;
};

struct FakeSink : ConsoleSink {
  void write(std::span<const std::byte> bytes) override {
    for (const std::byte byte : bytes) {
      text += static_cast<char>(byte);
    }
  }
  std::string text;
};

inline std::vector<std::byte> to_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
  return {bytes.begin(), bytes.end()};
}

/// A byte access that must succeed.
inline std::uint8_t read8(IoHandler& handler, std::uint64_t offset) {
  std::byte value{0xee};
  return handler.read(offset, {&value, 1}) == IoStatus::kOk ? std::to_integer<std::uint8_t>(value)
                                                            : std::uint8_t{0xdd};
}
inline IoStatus write8(IoHandler& handler, std::uint64_t offset, unsigned value) {
  const auto byte = static_cast<std::byte>(value);
  return handler.write(offset, {&byte, 1});
}

}  // namespace gpuvm
