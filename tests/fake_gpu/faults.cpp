// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/faults.hpp"

#include <bit>
#include <charconv>
#include <string_view>

#include "tests/fake_gpu/card_model.hpp"

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
    {"no-bars=", &Faults::no_bars_ms, "all BARs read as all ones"},
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

/// "0:300000=FILE"
bool parse_contents(std::string_view text, Options& options) {
  const auto colon = text.find(':');
  const auto equals = text.find('=');
  Contents contents;
  if (colon == std::string_view::npos || equals == std::string_view::npos || equals < colon ||
      !parse_number(text.substr(0, colon), contents.bar) ||
      !parse_number(text.substr(colon + 1, equals - colon - 1), contents.offset, 16)) {
    return false;
  }
  contents.file = text.substr(equals + 1);
  options.contents.push_back(std::move(contents));
  return true;
}

bool choose_card(std::string_view name, Options& options) {
  options.card = find_card_model(name);
  if (options.card == nullptr) {
    return false;
  }
  options.vendor = options.card->vendor;
  options.device = options.card->device;
  return true;
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

/// Of a card that there is.
bool add_card_option(std::string_view name, std::string_view value, Options& options) {
  if (name == "--card") {
    return choose_card(value, options);
  }
  if (name == "--rom") {
    options.rom_file = value;
    return !value.empty();
  }
  return name == "--contents" && parse_contents(value, options);
}

/// What belongs to one kind of card only goes with that kind.
bool makes_sense(const Options& options, bool has_faults) {
  const bool has_contents = !options.contents.empty() || !options.rom_file.empty();
  return !options.socket.empty() && (options.card != nullptr ? !has_faults : !has_contents);
}

}  // namespace

std::optional<Options> parse_options(std::span<char* const> arguments) {
  Options options;
  if (arguments.size() % 2 != 0) {
    return std::nullopt;
  }
  bool has_faults = false;
  for (std::size_t i = 0; i < arguments.size(); i += 2) {
    const std::string_view name = arguments[i];
    if (!add_card_option(name, arguments[i + 1], options) &&
        !add_option(name, arguments[i + 1], options)) {
      return std::nullopt;
    }
    has_faults = has_faults || name == "--fault";
  }
  return makes_sense(options, has_faults) ? std::optional(options) : std::nullopt;
}

std::string usage() {
  std::string text =
      "Usage: fake_gpu --socket PATH [--id VENDOR:DEVICE] [--vram SIZE{M|G}] [--vram-file PATH]\n"
      "                [--nvlink SIZE{M|G}] [--nvlink-file PATH]\n"
      "                [--fault NAME]...\n"
      "                [--good-resets N]\n"
      "       fake_gpu --socket PATH --card NAME [--id VENDOR:DEVICE] [--rom FILE]\n"
      "                [--contents BAR:HEX=FILE]...\n"
      "A made-up GPU behind a vfio-user server. Prints \"listening\" when clients may come; "
      "SIGUSR1\n"
      "raises its error interrupt, SIGUSR2 its request interrupt. Faults (those of resets begin "
      "after\n"
      "N good ones) and cards are below. A card's BARs are memory, with FILE from offset HEX on "
      "after a\n"
      "reset.\n";
  constexpr std::size_t kColumn = 25;
  for (const TimeRow& row : kTimeRows) {
    text += "  " + std::string(row.name) + "MS" + std::string(kColumn - row.name.size() - 2, ' ') +
            std::string(row.meaning) + ", for so long after a reset\n";
  }
  for (const Row& row : kRows) {
    text += "  " + std::string(row.name) + std::string(kColumn - row.name.size(), ' ') +
            std::string(row.meaning) + "\n";
  }
  for (const CardModel& model : card_models()) {
    text += "  " + std::string(model.name) + std::string(kColumn - model.name.size(), ' ') +
            std::string(model.meaning) + "\n";
  }
  return text;
}

}  // namespace gpuvm::fake_gpu
