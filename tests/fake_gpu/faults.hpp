// SPDX-License-Identifier: Apache-2.0
// How the fake GPU misbehaves, and its command line.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace gpuvm::fake_gpu {

struct Faults {
  bool no_flr = false;
  bool no_slot_reset = false;
  bool flr_hangs = false;
  bool flr_kills = false;
  bool flr_keeps_state = false;
  bool slot_reset_kills = false;
  bool narrow_link = false;
  bool sticky_wpr2 = false;
  bool no_rom = false;
  bool msix_in_vram = false;
  bool dead = false;
  bool stalls = false;
  bool leaves = false;
  bool map_waits = false;
  bool rom_blank_until_reset = false;
  bool flr_keeps_slow_link = false;
  bool drops_multifunction_bit = false;
  // So many milliseconds after a reset.
  unsigned not_ready_ms = 0;
  unsigned link_slow_ms = 0;
  unsigned pri_error_ms = 0;
  unsigned bar_firewall_ms = 0;
  unsigned firmware_boots_ms = 0;
  unsigned msix_comes_and_goes_ms = 0;
  unsigned no_bars_ms = 0;
};

struct CardModel;

/// What a BAR of a memory card holds after a reset.
struct Contents {
  std::uint8_t bar = 0;
  std::uint64_t offset = 0;
  std::string file;
};

struct Options {
  std::string socket;
  const CardModel* card = nullptr;  ///< nullptr: the made-up GPU
  std::string rom_file = {};        ///< of a card; empty: it has no ROM
  std::vector<Contents> contents = {};
  std::string vram_file;  ///< empty: memory
  std::uint64_t vram = std::uint64_t{64} << 20;
  /// NVLink2 memory: a region of its own, mapped and never accessed by messages; 0: none.
  std::uint64_t nvlink = 0;
  std::string nvlink_file;   ///< empty: memory
  unsigned good_resets = 0;  ///< so many go well before the faults of resets begin
  std::uint16_t vendor = 0x1234;
  std::uint16_t device = 0xfa4e;
  Faults faults;
};

/// Nothing for a command line that makes no sense.
std::optional<Options> parse_options(std::span<char* const> arguments);
std::string usage();

}  // namespace gpuvm::fake_gpu
