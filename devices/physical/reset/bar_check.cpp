// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/bar_check.hpp"

#include <fmt/format.h>

#include "devices/physical/memory_bars.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kBarPause{50};

std::uint8_t bit_of(const MemoryBar& bar) {
  return static_cast<std::uint8_t>(1U << bar.index);
}

std::uint8_t read_bars(PhysicalDevice& device, const std::vector<MemoryBar>& bars) {
  std::uint8_t answering = 0;
  for (const MemoryBar& bar : bars) {
    answering |= does_answer(device, bar) ? bit_of(bar) : std::uint8_t{0};
  }
  return answering;
}

void compare_places(PhysicalDevice& device, BarFindings& found) {
  const auto places = device.bar_places();
  if (!places) {
    found.faults.push_back(places.error().to_string());
    return;
  }
  if (!*places) {
    return;
  }
  std::string lost;
  for (const BarPlace& place : **places) {
    if (place.host == place.hardware) {
      ++found.look.compared;
      continue;
    }
    lost += fmt::format("{}BAR {} is at {:#x} and not at {:#x}, where the host has it",
                        lost.empty() ? "" : ", ", place.bar, place.hardware, place.host);
  }
  if (!lost.empty()) {
    found.has_lost_registers = true;
    found.faults.push_back(fmt::format(
        "{}: the hardware has lost its BAR registers (it was without power, or reset where the "
        "host's kernel did not see it), and no reset brings them back",
        lost));
  }
}

/// What is wrong if only these answer; empty: nothing.
std::string silence_of(PhysicalDevice& device, const FunctionState& known,
                       const std::vector<MemoryBar>& bars, std::uint8_t answering) {
  if (bars.empty() || answering != 0) {
    return {};
  }
  if (known.answering_bars != 0) {
    return "all its memory BARs read all ones, which they did not before";
  }
  return known.is_gpu() && !device.is_virtual_function() ? "all its memory BARs read all ones" : "";
}

void await_answers(PhysicalDevice& device, const FunctionState& known, const ResetPolicy& policy,
                   const ResetClock& clock, const std::vector<MemoryBar>& bars,
                   BarFindings& found) {
  const milliseconds start = clock.now();
  std::uint8_t answering = read_bars(device, bars);
  // Bounded also where the clock stands still.
  for (auto left = policy.boot_time / kBarPause; left > 0; --left) {
    const bool is_over = clock.now() - start >= policy.boot_time || device.is_gone();
    if (silence_of(device, known, bars, answering).empty() || is_over) {
      break;
    }
    clock.sleep(kBarPause);
    answering = read_bars(device, bars);
  }
  if (auto silence = silence_of(device, known, bars, answering); !silence.empty()) {
    found.faults.push_back(std::move(silence));
    return;
  }
  for (const MemoryBar& bar : bars) {
    ++found.look.memory;
    const bool is_silent = (answering & bit_of(bar)) == 0;
    found.look.answering += is_silent ? 0 : 1;
    if (is_silent && (known.answering_bars & bit_of(bar)) != 0) {
      found.oddities.push_back(fmt::format(
          "BAR {} reads all ones where it was looked at, which it did not before", bar.index));
    }
  }
}

}  // namespace

void BarLook::add(const BarLook& other) {
  compared += other.compared;
  answering += other.answering;
  memory += other.memory;
}

std::string BarLook::to_text() const {
  return fmt::format("{} BAR registers as the host has them, {} of {} memory BARs answer", compared,
                     answering, memory);
}

std::uint8_t find_answering_bars(PhysicalDevice& device) {
  const auto bars = memory_bars(device);
  if (!bars || bars->empty()) {
    return 0;
  }
  std::uint8_t answering = 0;
  const Status done = with_memory_decode(device, [&] {
    answering = read_bars(device, *bars);
    return Status();
  });
  return done ? answering : std::uint8_t{0};
}

BarFindings check_bars(PhysicalDevice& device, const FunctionState& known,
                       const ResetPolicy& policy, const ResetClock& clock, bool may_read) {
  BarFindings found;
  if (!may_read) {
    compare_places(device, found);
    return found;
  }
  const auto bars = memory_bars(device);
  if (!bars) {
    found.faults.push_back(bars.error().to_string());
    return found;
  }
  const Status done = with_memory_decode(device, [&] {
    compare_places(device, found);
    if (found.faults.empty()) {
      await_answers(device, known, policy, clock, *bars, found);
    }
    return Status();
  });
  if (!done) {
    found.faults.push_back(done.error().to_string());
  }
  return found;
}

}  // namespace gpuvm
