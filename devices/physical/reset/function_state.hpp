// SPDX-License-Identifier: Apache-2.0
// FunctionState: what one PCI function looks like while it is well, and the steps around a reset
// that concern one function: quiesce it, wait for it (PCI Express Base 6.0, 2.3.1.1,
// 6.6, 7.5.1, 7.5.2 and 7.5.3; PCI Power Management 1.2, 3.2.4; PCI Advanced Features ECN).
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/physical_device.hpp"

namespace gpuvm {

/// Time as the sequence sees it; tests give it a made-up clock.
struct ResetClock {
  std::function<std::chrono::milliseconds()> now;
  std::function<void(std::chrono::milliseconds)> sleep;
  /// Whether independent sets of functions are reset at once or, for a clock that is no clock, one
  /// after the other.
  std::launch policy = std::launch::deferred;
  static ResetClock real();
};

struct FunctionState {
  std::uint16_t vendor = 0;
  std::uint16_t device = 0;
  std::uint32_t class_code = 0;  ///< 24 bits
  std::uint8_t header_type = 0;
  std::uint8_t first_capability = 0;
  // Offsets of capabilities; 0: absent.
  std::uint8_t power_management = 0;
  std::uint8_t msi = 0;
  std::uint8_t msix = 0;
  std::uint8_t express = 0;
  std::uint8_t link_speed = 0;  ///< code of the Link Status register; 0: no link
  std::uint8_t link_width = 0;
  /// BARs, which are compared after a reset, and the ROM, which is not: the host says 0 of it
  /// whenever its contents make no sense at that moment.
  std::array<std::uint64_t, 7> region_sizes{};
  std::uint64_t bar_size_codes = 0;  ///< see read_bar_size_codes()

  bool has_flr = false;        ///< offers a function level reset (Express or Advanced Features)
  bool no_soft_reset = false;  ///< keeps its state from D3hot to D0: no power management reset
  bool shows_audio = false;    ///< NVIDIA's bit that shows the audio function behind it is set
  /// Bit n: memory BAR n answered while it was well; see find_answering_bars().
  std::uint8_t answering_bars = 0;

  bool is_display() const { return class_code >> 16 == pci::kBaseClassDisplay; }
  /// A display controller or a processing accelerator.
  bool is_gpu() const { return is_display() || class_code >> 16 == pci::kBaseClassAccelerator; }
  bool operator==(const FunctionState&) const = default;
};

/// One line of hexadecimal numbers, to be kept where a crash does not reach it.
std::string to_text(const FunctionState& state);
/// Nothing if it is not such a line.
std::optional<FunctionState> parse_function_state(std::string_view text);

/// Reads a function's configuration space; answering_bars stays 0. Errors: kUnsafeDevice if it does
/// not answer.
Result<FunctionState> read_function_state(PhysicalDevice& device);

/// Interrupts off (MSI-X, MSI, then INTx), power state D0, decode and bus mastering off. Goes on
/// where a step fails, since the reset may be what cures it; yields what failed.
std::vector<std::string> quiesce(PhysicalDevice& device, const FunctionState& known,
                                 const ResetClock& clock);

/// Polls until the function answers: its vendor id is neither all ones nor 0001, which a bridge
/// returns for a device that is not ready (PCI Express Base 6.0, 2.3.1.1), and its class is not all
/// ones, which the kernel's VFIO reads from the hardware where it makes the ids up. At least one
/// look, also where `timeout` after `since` (nothing: now) has passed: so several functions share
/// one deadline. Pauses are an eighth of what was waited, 10 to 250 ms. Errors: kUnsafeDevice after
/// that.
Status wait_until_ready(PhysicalDevice& device, const ResetClock& clock,
                        std::chrono::milliseconds timeout,
                        std::optional<std::chrono::milliseconds> since = {});

/// Where a GPU showed the audio function behind it by a bit that a reset clears, sets that bit
/// again: until then the function behind it does not answer. The GPU must answer. Errors: kHost.
Status show_audio_again(PhysicalDevice& device, const FunctionState& known);

/// Decode and bus mastering off. Errors: kHost.
Status stop_decoding(PhysicalDevice& device);

}  // namespace gpuvm
