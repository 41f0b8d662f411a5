// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/function_state.hpp"

#include <algorithm>
#include <thread>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "devices/physical/reset/nvidia_spec.hpp"
#include "devices/physical/reset/resizable_bars.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;
using Faults = std::vector<std::string>;

constexpr std::uint16_t kCommandDecode =
    pci::kCommandIo | pci::kCommandMemory | pci::kCommandBusMaster;
// PCI Power Management 1.2, table 5-6: a function needs 10 ms from D3hot to D0.
constexpr milliseconds kPowerUpTime{10};

void note(Faults& faults, const Status& status) {
  if (!status) {
    faults.push_back(status.error().to_string());
  }
}

/// Notes where a capability is; of several with one id the first counts, as for Linux.
void note_capability(const CapabilityHeader& capability, FunctionState& state,
                     std::uint16_t& advanced) {
  const auto at = static_cast<std::uint8_t>(capability.offset);
  const auto take = [at](auto& place) { place = place == 0 ? at : place; };
  switch (static_cast<pci::CapabilityId>(capability.id)) {
    case pci::CapabilityId::kPowerManagement:
      return take(state.power_management);
    case pci::CapabilityId::kMsi:
      return take(state.msi);
    case pci::CapabilityId::kMsix:
      return take(state.msix);
    case pci::CapabilityId::kPciExpress:
      return take(state.express);
    case pci::CapabilityId::kAdvancedFeatures:
      return take(advanced);
    default:
      return;
  }
}

Status find_capabilities(PhysicalDevice& device, FunctionState& state) {
  const auto status = TRY(read_config<std::uint16_t>(device, pci::kStatus));
  if ((status & pci::kStatusCapabilities) == 0) {
    return {};
  }
  state.first_capability = TRY(read_config<std::uint8_t>(device, pci::kCapabilitiesPointer));
  std::uint16_t advanced = 0;
  TRY(for_each_capability(config_dword_reader(device), [&](const CapabilityHeader& capability) {
    note_capability(capability, state, advanced);
    return true;
  }));
  if (advanced != 0) {
    const auto offers =
        TRY(read_config<std::uint8_t>(device, advanced + pci::kAdvancedCapabilities));
    state.has_flr = (offers & pci::kAdvancedResetCapable) != 0;
  }
  return {};
}

Status clear_config_bits(PhysicalDevice& device, std::uint64_t offset, std::uint16_t bits) {
  const auto value = TRY(read_config<std::uint16_t>(device, offset));
  // A function that does not answer reads as all ones: nothing to clear.
  if (value == 0xffff || (value & bits) == 0) {
    return {};
  }
  return write_config(device, offset, static_cast<std::uint16_t>(value & ~bits));
}

// disable_irqs() stops the host's side; the enable bits that a guest wrote are cleared as well.
void stop_interrupts(PhysicalDevice& device, const FunctionState& known, Faults& faults) {
  for (const IrqType type : {IrqType::kMsix, IrqType::kMsi, IrqType::kIntx}) {
    if (device.irq(type).count != 0) {
      note(faults, device.disable_irqs(type));
    }
  }
  if (known.msix != 0) {
    note(faults, clear_config_bits(device, known.msix + pci::kMsixControl, pci::kMsixEnable));
  }
  if (known.msi != 0) {
    note(faults, clear_config_bits(device, known.msi + pci::kMsiControl, pci::kMsiEnable));
  }
}

Status power_up(PhysicalDevice& device, const FunctionState& known, const ResetClock& clock) {
  if (known.power_management == 0) {
    return {};
  }
  const std::uint64_t offset = known.power_management + pci::kPowerControl;
  const auto before = TRY(read_config<std::uint16_t>(device, offset));
  if ((before & pci::kPowerStateMask) == 0) {
    return {};
  }
  TRY(write_config(device, offset, static_cast<std::uint16_t>(before & ~pci::kPowerStateMask)));
  clock.sleep(kPowerUpTime);
  const auto after = TRY(read_config<std::uint16_t>(device, offset));
  if ((after & pci::kPowerStateMask) != 0) {
    return fail(ErrorKind::kUnsafeDevice, "{} is stuck in power state D{}", device.name(),
                after & pci::kPowerStateMask);
  }
  return {};
}

}  // namespace

ResetClock ResetClock::real() {
  return {[] {
            return std::chrono::duration_cast<milliseconds>(
                std::chrono::steady_clock::now().time_since_epoch());
          },
          [](milliseconds time) { std::this_thread::sleep_for(time); }, std::launch::async};
}

namespace {

Status read_capabilities(PhysicalDevice& device, FunctionState& state) {
  if (state.power_management != 0) {
    const auto control =
        TRY(read_config<std::uint16_t>(device, state.power_management + pci::kPowerControl));
    state.no_soft_reset = (control & pci::kPowerNoSoftReset) != 0;
  }
  if (state.express != 0) {
    const auto link =
        TRY(read_config<std::uint16_t>(device, state.express + pci::kExpressLinkStatus));
    state.link_speed = static_cast<std::uint8_t>(link & pci::kLinkSpeedMask);
    state.link_width =
        static_cast<std::uint8_t>(link >> pci::kLinkWidthShift & pci::kLinkWidthMask);
    const auto offers =
        TRY(read_config<std::uint32_t>(device, state.express + pci::kExpressDeviceCapabilities));
    state.has_flr = state.has_flr || (offers & pci::kDeviceResetCapable) != 0;
  }
  return {};
}

/// Whether it is a GPU whose audio function behind it is shown, where NVIDIA has a bit for that.
Result<bool> shows_audio_function(PhysicalDevice& device, const FunctionState& state) {
  const bool has_bit =
      state.vendor == nvidia::kVendor && state.is_display() &&
      device.region(RegionIndex::kConfig).size >= nvidia::kShowAudioOffset + sizeof(std::uint32_t);
  if (!has_bit) {
    return false;
  }
  const auto value = TRY(read_config<std::uint32_t>(device, nvidia::kShowAudioOffset));
  return value != pci::kAllOnes && (value & nvidia::kShowAudio) != 0;
}

Error no_answer_error(const PhysicalDevice& device, const std::string& sign) {
  return fail(ErrorKind::kUnsafeDevice,
              "{} does not answer ({}): see that its slot or enclosure has power, and let the host "
              "find it anew (`gpuvm reset --first rescan`); else switch the host off and on again",
              device.name(), sign);
}

}  // namespace

Result<FunctionState> read_function_state(PhysicalDevice& device) {
  FunctionState state;
  const auto ids = TRY(read_config<std::uint32_t>(device, pci::kVendorId));
  state.vendor = static_cast<std::uint16_t>(ids);
  state.device = static_cast<std::uint16_t>(ids >> 16);
  if (state.vendor == pci::kNoVendor || state.vendor == pci::kVendorNotReady || state.vendor == 0) {
    return no_answer_error(device, fmt::format("its vendor id reads {:04x}", state.vendor));
  }
  const auto class_dword = TRY(read_config<std::uint32_t>(device, pci::kClassDword));
  if (class_dword == pci::kAllOnes) {
    return no_answer_error(device, fmt::format("its class reads {:08x}", class_dword));
  }
  state.class_code = class_dword >> 8;
  state.header_type = TRY(read_config<std::uint8_t>(device, pci::kHeaderType));
  TRY(find_capabilities(device, state));
  TRY(read_capabilities(device, state));
  for (std::size_t i = 0; i < state.region_sizes.size(); ++i) {
    state.region_sizes.at(i) = TRY(device.ask_region_size(static_cast<RegionIndex>(i)));
  }
  state.bar_size_codes = TRY(read_bar_size_codes(device));
  state.shows_audio = TRY(shows_audio_function(device, state));
  return state;
}

std::vector<std::string> quiesce(PhysicalDevice& device, const FunctionState& known,
                                 const ResetClock& clock) {
  Faults faults;
  stop_interrupts(device, known, faults);
  note(faults, power_up(device, known, clock));
  note(faults, stop_decoding(device));
  return faults;
}

namespace {

/// What says that the function is not ready; empty: it is. vfio-pci answers reads of vendor and
/// device id from its own copy (Linux, drivers/vfio/pci/vfio_pci_config.c, ALL_VIRT), so they are
/// well even where the device is dead; a vfio-user server's may read 0001.
std::string not_ready_sign(PhysicalDevice& device) {
  const auto vendor = read_config<std::uint16_t>(device, pci::kVendorId);
  if (!vendor) {
    return vendor.error().to_string();
  }
  if (*vendor == pci::kNoVendor || *vendor == pci::kVendorNotReady) {
    return fmt::format("its vendor id reads {:04x}", *vendor);
  }
  const auto class_dword = read_config<std::uint32_t>(device, pci::kClassDword);
  if (!class_dword) {
    return class_dword.error().to_string();
  }
  return *class_dword == pci::kAllOnes ? fmt::format("its class reads {:08x}", *class_dword) : "";
}

}  // namespace

Status wait_until_ready(PhysicalDevice& device, const ResetClock& clock, milliseconds timeout,
                        std::optional<milliseconds> since) {
  constexpr milliseconds kFirstPause{10};
  constexpr milliseconds kLongestPause{250};
  constexpr int kShareOfTheWait = 8;  // what may be overslept of it
  const milliseconds start = since.value_or(clock.now());
  std::string last;
  // Bounded also where the clock stands still.
  const auto max_polls = timeout / kFirstPause + 2;
  for (auto poll = max_polls; poll > 0; --poll) {
    last = not_ready_sign(device);
    if (last.empty()) {
      return {};
    }
    if (device.is_gone()) {
      return fail(ErrorKind::kUnsafeDevice, "{} has gone for good", device.name());
    }
    const milliseconds waited = clock.now() - start;
    if (waited >= timeout) {
      break;
    }
    clock.sleep(std::clamp(waited / kShareOfTheWait, kFirstPause, kLongestPause));
  }
  return fail(ErrorKind::kUnsafeDevice, "{} did not answer within {} s ({})", device.name(),
              std::chrono::duration_cast<std::chrono::seconds>(timeout).count(), last);
}

Status show_audio_again(PhysicalDevice& device, const FunctionState& known) {
  if (!known.shows_audio) {
    return {};
  }
  const auto value = TRY(read_config<std::uint32_t>(device, nvidia::kShowAudioOffset));
  if (value == pci::kAllOnes || (value & nvidia::kShowAudio) != 0) {
    return {};
  }
  return write_config(device, nvidia::kShowAudioOffset, value | nvidia::kShowAudio);
}

Status stop_decoding(PhysicalDevice& device) {
  return clear_config_bits(device, pci::kCommand, kCommandDecode | pci::kCommandInterruptDisable);
}

}  // namespace gpuvm
