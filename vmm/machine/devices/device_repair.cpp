// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/device_repair.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/config_reader.hpp"
#include "devices/physical/reset/reset_witness.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/devices/machine_reset.hpp"

namespace gpuvm {
namespace {

Status check_functions(const HostSystem& host, const std::vector<Bdf>& functions) {
  TRY(check_iommu(host));
  for (const Bdf& bdf : functions) {
    TRY(check_device(host, bdf, true));
    TRY(check_group(host, bdf, functions));
    TRY(check_group_free(host, bdf));
  }
  return {};
}

Result<std::unique_ptr<HostDevices>> take_devices(const HostSystem& host,
                                                  const std::vector<Bdf>& addresses,
                                                  const std::string& owner) {
  auto claims = TRY(DeviceClaims::take(host, addresses, owner));
  TRY(check_functions(host, addresses));
  std::vector<HostFunction> functions;
  for (const Bdf& bdf : addresses) {
    HostFunction function;
    function.host = bdf;
    function.reset.link_width = link_width_of(host, bdf);
    functions.push_back(function);
  }
  return HostDevices::create(host, std::move(functions), std::move(claims));
}

/// Interrupts, decode and bus mastering on, as a guest leaves them that is killed.
Status make_busy(PhysicalDevice& device, const EventFd& event) {
  const std::array<int, 1> fds{event.fd()};
  for (const IrqType type : {IrqType::kMsix, IrqType::kMsi}) {
    if (device.irq(type).count != 0) {
      TRY(device.set_irq_fds(type, 0, fds));
      break;
    }
  }
  const auto command = TRY(read_config<std::uint16_t>(device, pci::kCommand));
  return write_config(
      device, pci::kCommand,
      static_cast<std::uint16_t>(command | pci::kCommandMemory | pci::kCommandBusMaster));
}

/// A failure that the certificates tell of; any other, such as a mark that could not be written,
/// says nothing of the devices.
bool is_verdict(const MachineReset& reset, const Status& failure) {
  return failure.error().kind() == ErrorKind::kUnsafeDevice && !reset.certificates().empty();
}

class Trial {
 public:
  explicit Trial(HostDevices& devices) : devices_(devices) {}
  Result<TrialCycle> run(unsigned number);

 private:
  Status prepare();
  Status look(TrialCycle& cycle);
  void note_looks(TrialCycle& cycle) const;

  struct Marked {
    std::string function;
    ResetWitness witness;
    FunctionState state;  ///< of the function while it was well
  };
  HostDevices& devices_;
  std::vector<Marked> marked_;
};

Status Trial::prepare() {
  const EventFd event = TRY(EventFd::create());
  for (PhysicalDevice* const device : devices_.devices()) {
    const FunctionState state = TRY(read_function_state(*device));
    TRY(make_busy(*device, event));
    if (auto witness = ResetWitness::find(*device, state); witness && TRY(witness->mark())) {
      marked_.push_back({device->name(), *witness, state});
    }
  }
  return {};
}

Status Trial::look(TrialCycle& cycle) {
  for (Marked& marked : marked_) {
    const std::string name(marked.witness.name());
    auto is_cleared = marked.witness.is_cleared();
    if (!is_cleared || !*is_cleared) {  // the reset as such was well, and took the mark away
      TRY(devices_.claims().mark_dirty(marked.function, "a reset did not reach its " + name,
                                       to_text(marked.state), DirtCause::kFailedReset));
    }
    cycle.registers.push_back({marked.function, name, TRY(std::move(is_cleared))});
  }
  return {};
}

TrialCycle::Look look_at(PhysicalDevice& device) {
  TrialCycle::Look look{.function = device.name(), .state = {}};
  const auto command = read_config<std::uint32_t>(device, pci::kCommand);  // and status
  const auto state = read_function_state(device);
  if (!command || !state) {
    look.error = command ? state.error().to_string() : command.error().to_string();
    return look;
  }
  look.command = static_cast<std::uint16_t>(*command);
  look.status = static_cast<std::uint16_t>(*command >> 16);
  look.state = to_text(*state);
  look.registers = read_check_registers(
      device, *state, find_reset_policy(state->vendor, state->device, state->class_code));
  return look;
}

void Trial::note_looks(TrialCycle& cycle) const {
  for (PhysicalDevice* const device : devices_.devices()) {
    cycle.looks.push_back(look_at(*device));
  }
}

Result<TrialCycle> Trial::run(unsigned number) {
  TrialCycle cycle;
  cycle.number = number;
  marked_.clear();
  if (number > 1) {
    TRY(devices_.reopen());
  }
  MachineReset reset(devices_);
  TRY(reset.plan());         // while they are well; later cycles compare with the first
  TRY(reset.mark_in_use());  // from here on a crash leaves them dirty
  TRY(prepare());
  const auto status = reset.run(ResetReason::kRepair);
  if (!status && !is_verdict(reset, status)) {
    return status.error();
  }
  note_looks(cycle);  // as the reset left them: what follows switches decode on
  if (status) {
    TRY(look(cycle));
  }
  cycle.certificates = reset.certificates();
  return cycle;
}

}  // namespace

bool TrialCycle::is_safe() const {
  const auto is_safe_reset = [](const ResetCertificate& certificate) {
    return certificate.is_safe();
  };
  const auto is_cleared = [](const Register& entry) { return entry.is_cleared; };
  return std::all_of(certificates.begin(), certificates.end(), is_safe_reset) &&
         std::all_of(registers.begin(), registers.end(), is_cleared);
}

Result<std::vector<Bdf>> slot_functions(const HostSystem& host, const std::vector<Bdf>& addresses) {
  std::set<Bdf> functions;
  for (const Bdf& bdf : addresses) {
    const auto device = TRY(HostPciDevice::open(host, bdf));
    const auto slot = device.slot_functions();
    functions.insert(slot.begin(), slot.end());
  }
  return std::vector<Bdf>(functions.begin(), functions.end());
}

Result<std::vector<ResetCertificate>> repair_devices(const HostSystem& host,
                                                     const std::vector<Bdf>& functions,
                                                     const std::string& owner,
                                                     std::optional<SlotMethod> first) {
  const auto devices = TRY(take_devices(host, functions, owner));
  MachineReset reset(*devices);
  auto status =
      first ? reset.run_closed(*first, ResetReason::kRepair) : reset.run(ResetReason::kRepair);
  if (!first) {
    status = reset.recover(ResetReason::kRepair, std::move(status));
  }
  if (!status && !is_verdict(reset, status)) {
    return std::move(status).error();
  }
  return reset.certificates();
}

Result<bool> run_reset_trial(const HostSystem& host, const std::vector<Bdf>& functions,
                             unsigned cycles, const std::string& owner, const TrialWatch& watch) {
  const auto devices = TRY(take_devices(host, functions, owner));
  if (watch.on_open) {
    watch.on_open(*devices);
  }
  Trial trial(*devices);
  for (unsigned number = 1; number <= cycles; ++number) {
    const TrialCycle cycle = TRY(trial.run(number));
    if (watch.on_cycle) {
      watch.on_cycle(cycle);
    }
    if (!cycle.is_safe()) {
      return false;
    }
  }
  return true;
}

}  // namespace gpuvm
