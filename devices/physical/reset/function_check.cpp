// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/reset/function_check.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;
using Faults = std::vector<std::string>;

constexpr std::uint16_t kDecodeBits =
    pci::kCommandIo | pci::kCommandMemory | pci::kCommandBusMaster;
constexpr std::ptrdiff_t kBars = 6;
// The link is up by then; all that is left is the change of speed, which Linux waits for as long
// (drivers/pci/pci.c, PCIE_LINK_RETRAIN_TIMEOUT_MS).
constexpr milliseconds kLinkSpeedTime{1000};
// Looks in a row at capabilities that have once changed.
constexpr unsigned kSteadyLooks = 3;

void note_failure(Faults& faults, const Status& status) {
  if (!status) {
    faults.push_back(status.error().to_string());
  }
}

/// Looks again until a limit; bounded also where the clock stands still.
class Poll {
 public:
  Poll(PhysicalDevice& device, const ResetClock& clock, milliseconds limit)
      : device_(device), clock_(clock), limit_(limit), start_(clock.now()), left_(limit / kPause) {}
  /// Waits a little. False: the limit has passed, or nobody is there any more.
  bool again() {
    if (left_ <= 0 || clock_.now() - start_ >= limit_ || device_.is_gone()) {
      return false;
    }
    --left_;
    clock_.sleep(kPause);
    return true;
  }

 private:
  static constexpr milliseconds kPause{50};
  PhysicalDevice& device_;
  const ResetClock& clock_;
  const milliseconds limit_;
  const milliseconds start_;
  std::int64_t left_;
};

void compare_identity(const FunctionState& now, const FunctionState& known, Faults& faults) {
  if (now.vendor != known.vendor || now.device != known.device ||
      now.class_code != known.class_code) {
    faults.push_back(
        fmt::format("is {:04x}:{:04x} class {:06x}, but was {:04x}:{:04x} class {:06x}", now.vendor,
                    now.device, now.class_code, known.vendor, known.device, known.class_code));
  }
  // Not the bit that says whether there are other functions, which some GPUs lose in a reset.
  if (((now.header_type ^ known.header_type) & ~pci::kHeaderTypeMultiFunction) != 0) {
    faults.push_back(
        fmt::format("header type is {:#x}, but was {:#x}", now.header_type, known.header_type));
  }
  const bool has_same_bars = std::equal(now.region_sizes.begin(), now.region_sizes.begin() + kBars,
                                        known.region_sizes.begin()) &&
                             now.bar_size_codes == known.bar_size_codes;
  if (!has_same_bars) {
    faults.emplace_back("sizes of its BARs are not what they were");
  }
}

bool has_same_capabilities(const FunctionState& now, const FunctionState& known) {
  return now.first_capability == known.first_capability &&
         now.power_management == known.power_management && now.msi == known.msi &&
         now.msix == known.msix && now.express == known.express;
}

struct SteadyState {
  FunctionState state;
  bool has_known_capabilities = false;  ///< in several looks
};

/// Some cards answer while their firmware still boots, with an MSI-X capability that comes and goes
/// (NVIDIA open-gpu-kernel-modules, gpu_mgr.c, of Ampere and Ada).
Result<SteadyState> read_steady_state(PhysicalDevice& device, const FunctionState& known,
                                      const ResetPolicy& policy, const ResetClock& clock) {
  FunctionState state = TRY(read_function_state(device));
  const FunctionState second = TRY(read_function_state(device));
  if (has_same_capabilities(state, known) && has_same_capabilities(second, known)) {
    return SteadyState{state, true};
  }
  Poll poll(device, clock, policy.boot_time);
  unsigned in_a_row = 0;
  while (in_a_row < kSteadyLooks && poll.again()) {
    state = TRY(read_function_state(device));
    in_a_row = has_same_capabilities(state, known) ? in_a_row + 1 : 0;
  }
  return SteadyState{state, in_a_row == kSteadyLooks};
}

void compare_link_width(const FunctionState& now, const FunctionState& known, Faults& faults) {
  if (now.link_width < known.link_width) {
    faults.push_back(
        fmt::format("link width is x{}, but was x{}", now.link_width, known.link_width));
  }
}

Result<unsigned> read_link_speed(PhysicalDevice& device, const FunctionState& known) {
  const auto status =
      TRY(read_config<std::uint16_t>(device, known.express + pci::kExpressLinkStatus));
  return static_cast<unsigned>(status & pci::kLinkSpeedMask);
}

// Faster than before is well: links rest at a low speed while a GPU idles.
void await_link_speed(PhysicalDevice& device, const FunctionState& known, const ResetClock& clock,
                      CheckFindings& found) {
  if (known.express == 0) {
    return;
  }
  Poll poll(device, clock, kLinkSpeedTime);
  auto speed = read_link_speed(device, known);
  while (speed && *speed < known.link_speed && poll.again()) {
    speed = read_link_speed(device, known);
  }
  if (!speed) {
    found.faults.push_back(speed.error().to_string());
  } else if (*speed < known.link_speed) {
    found.oddities.push_back(
        fmt::format("link speed is generation {}, but was {}", *speed, known.link_speed));
  }
}

Status expect_clear(PhysicalDevice& device, std::uint64_t offset, std::uint16_t bits,
                    std::string_view what) {
  const auto value = TRY(read_config<std::uint16_t>(device, offset));
  if ((value & bits) != 0) {
    return fail(ErrorKind::kUnsafeDevice, "{} (reads {:#06x})", what, value);
  }
  return {};
}

void check_power_state(PhysicalDevice& device, const FunctionState& known, Faults& faults) {
  if (known.power_management != 0) {
    note_failure(faults, expect_clear(device, known.power_management + pci::kPowerControl,
                                      pci::kPowerStateMask, "power state is not D0"));
  }
}

void check_quiet(PhysicalDevice& device, const FunctionState& known, Faults& faults) {
  note_failure(faults, expect_clear(device, pci::kCommand, kDecodeBits,
                                    "decode or bus mastering is still on"));
  if (known.msi != 0) {
    note_failure(faults, expect_clear(device, known.msi + pci::kMsiControl, pci::kMsiEnable,
                                      "MSI is still on"));
  }
  if (known.msix != 0) {
    note_failure(faults, expect_clear(device, known.msix + pci::kMsixControl, pci::kMsixEnable,
                                      "MSI-X is still on"));
  }
}

Status check_reach(PhysicalDevice& device, const RegisterCheck& check) {
  const RegionInfo& region = device.region(check.region);
  if (!region.readable || region.size < std::uint64_t{check.offset} + sizeof(std::uint32_t)) {
    return fail(ErrorKind::kUnsafeDevice, "register of its {} is out of reach", check.meaning);
  }
  return {};
}

Status check_register(PhysicalDevice& device, const RegisterCheck& check) {
  std::array<std::byte, sizeof(std::uint32_t)> bytes{};
  TRY(device.read(check.region, check.offset, bytes));
  const auto value = static_cast<std::uint32_t>(load_le(bytes));
  if (check.error_prefix != 0 && value >> 16 == check.error_prefix) {
    return fail(ErrorKind::kUnsafeDevice, "{} cannot be read: PRI error {:#010x}", check.meaning,
                value);
  }
  const bool is_equal = (value & check.mask) == check.value;
  if (is_equal != check.must_equal) {
    return fail(ErrorKind::kUnsafeDevice, "{} reads {:#010x}", check.meaning, value);
  }
  return {};
}

/// All registers share the limit.
void await_registers(PhysicalDevice& device, const ResetPolicy& policy, const ResetClock& clock,
                     Faults& faults) {
  Poll poll(device, clock, policy.boot_time);
  for (const RegisterCheck& check : policy.checks) {
    if (const Status reach = check_reach(device, check); !reach) {
      faults.push_back(reach.error().to_string());
      continue;
    }
    Status status = check_register(device, check);
    while (!status && poll.again()) {
      status = check_register(device, check);
    }
    if (!status) {
      faults.push_back(fmt::format("{}, and was not well within {} ms", status.error().to_string(),
                                   policy.boot_time.count()));
    }
  }
}

// Memory decode is on for these reads only.
void check_registers(PhysicalDevice& device, const ResetPolicy& policy, const ResetClock& clock,
                     Faults& faults) {
  const auto command = read_config<std::uint16_t>(device, pci::kCommand);
  if (!command) {
    faults.push_back(command.error().to_string());
    return;
  }
  note_failure(faults, write_config(device, pci::kCommand,
                                    static_cast<std::uint16_t>(*command | pci::kCommandMemory)));
  await_registers(device, policy, clock, faults);
  note_failure(faults, write_config(device, pci::kCommand, *command));
}

/// Of a function that looks well by all that VFIO makes up.
void look_at_bars(PhysicalDevice& device, const FunctionState& known, const ResetPolicy& policy,
                  const ResetClock& clock, bool may_read, CheckFindings& found) {
  BarFindings bars = check_bars(device, known, policy, clock, may_read);
  found.has_lost_registers = bars.has_lost_registers;
  found.bars = bars.look;
  std::move(bars.faults.begin(), bars.faults.end(), std::back_inserter(found.faults));
  std::move(bars.oddities.begin(), bars.oddities.end(), std::back_inserter(found.oddities));
}

/// The table's registers are those of a GPU's physical function. A virtual one has the same ids and
/// a register file of its own: NVIDIA's has no GFW_BOOT.
bool has_checks(const PhysicalDevice& device, const FunctionState& state,
                const ResetPolicy& policy) {
  return state.is_display() && !policy.checks.empty() && !device.is_virtual_function();
}

void add_name(const PhysicalDevice& device, std::vector<std::string>& sentences) {
  for (std::string& sentence : sentences) {
    sentence.insert(0, device.name() + ": ");
  }
}

}  // namespace

std::vector<RegisterValue> read_check_registers(PhysicalDevice& device, const FunctionState& state,
                                                const ResetPolicy& policy) {
  std::vector<RegisterValue> values;
  const auto command = read_config<std::uint16_t>(device, pci::kCommand);
  if (!has_checks(device, state, policy) || !command) {
    return values;
  }
  const Status opened = write_config(device, pci::kCommand,
                                     static_cast<std::uint16_t>(*command | pci::kCommandMemory));
  for (const RegisterCheck& check : policy.checks) {
    std::array<std::byte, sizeof(std::uint32_t)> bytes{};
    const bool is_read =
        opened && check_reach(device, check) && device.read(check.region, check.offset, bytes);
    values.push_back({.check = &check,
                      .value = is_read ? std::optional(static_cast<std::uint32_t>(load_le(bytes)))
                                       : std::nullopt});
  }
  if (const Status closed = write_config(device, pci::kCommand, *command); !closed) {
    values.clear();  // what was read of a function that does not take its own value says nothing
  }
  return values;
}

CheckFindings check_function(PhysicalDevice& device, const FunctionState& known,
                             const ResetPolicy& policy, const ResetClock& clock,
                             const CheckScope& scope) {
  const auto now = read_steady_state(device, known, policy, clock);
  if (!now) {
    return {.faults = {now.error().to_string()}, .oddities = {}};
  }
  CheckFindings found;
  compare_identity(now->state, known, found.faults);
  if (!now->has_known_capabilities) {
    found.faults.emplace_back("capabilities are not where they were");
  }
  if (scope.link_width) {
    compare_link_width(now->state, known, found.faults);
    found.is_link_narrow = now->state.link_width < known.link_width;
  }
  if (scope.link_speed && found.faults.empty()) {
    await_link_speed(device, known, clock, found);
  }
  if (scope.registers && found.faults.empty() && has_checks(device, known, policy)) {
    check_registers(device, policy, clock, found.faults);
  }
  check_power_state(device, known, found.faults);
  if (found.faults.empty()) {
    look_at_bars(device, known, policy, clock, scope.memory, found);
  }
  if (scope.quiet) {
    check_quiet(device, known, found.faults);
  }
  add_name(device, found.faults);
  add_name(device, found.oddities);
  return found;
}

}  // namespace gpuvm
