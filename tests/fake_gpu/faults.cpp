// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/faults.hpp"

#include <bit>
#include <charconv>
#include <string_view>

namespace gpuvm::fake_gpu {
namespace {

struct Row {
  std::string_view name;
  bool Faults::*flag;
  std::string_view meaning;
};

constexpr Row kRows[] = {
    {"no-flr", &Faults::no_flr, "has no function level reset"},
    {"no-slot-reset", &Faults::no_slot_reset, "the server offers no DEVICE_RESET"},
    {"flr-hangs", &Faults::flr_hangs, "reads as all ones after an FLR until a slot reset"},
    {"flr-kills", &Faults::flr_kills, "reads as all ones after an FLR, for ever"},
    {"flr-keeps-state", &Faults::flr_keeps_state, "an FLR changes nothing: only a slot reset does"},
    {"slot-reset-kills", &Faults::slot_reset_kills,
     "reads as all ones after a slot reset, for ever"},
    {"narrow-link", &Faults::narrow_link, "the link comes up as x1 after any reset"},
    {"sticky-wpr2", &Faults::sticky_wpr2, "no reset unlocks the firmware's memory"},
    {"no-rom", &Faults::no_rom, "has no expansion ROM"},
    {"msix-in-vram", &Faults::msix_in_vram, "the MSI-X table is in the middle of VRAM"},
    {"dead", &Faults::dead, "reads as all ones from the start"},
    {"stalls", &Faults::stalls, "the server answers nothing from the first reset on"},
    {"leaves", &Faults::leaves, "the server ends at the first reset"},
    {"map-waits", &Faults::map_waits,
     "a mapping of memory is answered at SIGUSR2, others meanwhile"},
    {"rom-blank-until-reset", &Faults::rom_blank_until_reset,
     "the host finds no expansion ROM before the first reset"},
    {"flr-keeps-slow-link", &Faults::flr_keeps_slow_link,
     "the link is at generation 1 after an FLR, until a slot reset"},
    {"drops-multifunction-bit", &Faults::drops_multifunction_bit,
     "has bit 25 of 0x488 set, and is multi-function while it is; a reset clears it"},
};

struct TimeRow {
  std::string_view name;  ///< with "="; then milliseconds
  unsigned Faults::*time;
  std::string_view meaning;  ///< for so long after a reset
};

constexpr TimeRow kTimeRows[] = {
    {"not-ready=", &Faults::not_ready_ms, "answers as not ready"},
    {"link-slow=", &Faults::link_slow_ms, "the link is at generation 1"},
    {"pri-error=", &Faults::pri_error_ms, "registers but the chip id read as PRI errors"},
    {"bar-firewall=", &Faults::bar_firewall_ms, "registers read as all ones"},
    {"firmware-boots=", &Faults::firmware_boots_ms, "GFW_BOOT says that it is not done"},
    {"msix-comes-and-goes=", &Faults::msix_comes_and_goes_ms,
     "MSI-X is in every other reading of the capabilities"},
};

template <class T>
bool parse_number(std::string_view text, T& value, int base = 10) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && end == text.data() + text.size() && !text.empty();
}

/// "64M", "64G": a power of two.
bool parse_size(std::string_view text, std::uint64_t& value) {
  unsigned shift = 0;
  if (!text.empty() && (text.back() == 'M' || text.back() == 'G')) {
    shift = text.back() == 'M' ? 20 : 30;
    text.remove_suffix(1);
  }
  if (!parse_number(text, value) || value > 1ULL << 20) {
    return false;
  }
  value <<= shift;
  return std::has_single_bit(value) && value >= 1U << 20;
}

bool parse_id(std::string_view text, Options& options) {
  return text.size() == 9 && text[4] == ':' &&
         parse_number(text.substr(0, 4), options.vendor, 16) &&
         parse_number(text.substr(5), options.device, 16);
}

bool add_fault(std::string_view text, Faults& faults) {
  for (const TimeRow& row : kTimeRows) {
    if (text.starts_with(row.name)) {
      return parse_number(text.substr(row.name.size()), faults.*row.time);
    }
  }
  for (const Row& row : kRows) {
    if (row.name == text) {
      faults.*row.flag = true;
      return true;
    }
  }
  return false;
}

bool add_option(std::string_view name, std::string_view value, Options& options) {
  if (name == "--socket") {
    options.socket = value;
    return !value.empty();
  }
  if (name == "--vram-file") {
    options.vram_file = value;
    return !value.empty();
  }
  if (name == "--vram") {
    return parse_size(value, options.vram);
  }
  if (name == "--nvlink-file") {
    options.nvlink_file = value;
    return !value.empty();
  }
  if (name == "--nvlink") {
    return parse_size(value, options.nvlink);
  }
  if (name == "--good-resets") {
    return parse_number(value, options.good_resets);
  }
  if (name == "--id") {
    return parse_id(value, options);
  }
  return name == "--fault" && add_fault(value, options.faults);
}

}  // namespace

std::optional<Options> parse_options(std::span<char* const> arguments) {
  Options options;
  if (arguments.size() % 2 != 0) {
    return std::nullopt;
  }
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    if (!add_option(arguments[i], arguments[i + 1], options)) {
      return std::nullopt;
    }
  }
  return options.socket.empty() ? std::nullopt : std::optional(options);
}

std::string usage() {
  std::string text =
      "Usage: fake_gpu --socket PATH [--id VENDOR:DEVICE] [--vram SIZE{M|G}] [--vram-file PATH]\n"
      "                [--nvlink SIZE{M|G}] [--nvlink-file PATH]\n"
      "                [--fault NAME]...\n"
      "                [--good-resets N]\n"
      "A made-up GPU behind a vfio-user server. Prints \"listening\" when clients may come; "
      "SIGUSR1\n"
      "raises its error interrupt, SIGUSR2 its request interrupt. Faults (those of resets begin "
      "after\n"
      "N good ones):\n";
  constexpr std::size_t kColumn = 25;
  for (const TimeRow& row : kTimeRows) {
    text += "  " + std::string(row.name) + "MS" + std::string(kColumn - row.name.size() - 2, ' ') +
            std::string(row.meaning) + ", for so long after a reset\n";
  }
  for (const Row& row : kRows) {
    text += "  " + std::string(row.name) + std::string(kColumn - row.name.size(), ' ') +
            std::string(row.meaning) + "\n";
  }
  return text;
}

}  // namespace gpuvm::fake_gpu
