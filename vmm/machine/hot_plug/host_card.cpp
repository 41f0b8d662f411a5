// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/hot_plug/host_card.hpp"

#include <algorithm>

#include "vmm/base/log.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_check.hpp"

namespace gpuvm {

Result<std::vector<AttachableCard>> find_attachable(const HostSystem& host,
                                                    const std::vector<Bdf>& cards, PciScrub scrub) {
  std::vector<AttachableCard> found;
  for (const Bdf& bdf : cards) {
    PciConfig entry = entry_of_card(bdf, scrub);
    entry.place.text = "machine.attachable";
    AttachableCard card;
    card.bdf = bdf;
    card.functions = TRY(resolve_functions(host, {entry}));
    for (HostFunction& function : card.functions) {
      function.view.rom.fallback = nullptr;  // the guest's life is no time to read the host's files
    }
    found.push_back(std::move(card));
  }
  return found;
}

bool HostCard::has(std::string_view function) const {
  return name_ == function ||
         std::any_of(functions_.begin(), functions_.end(),
                     [function](const HostFunction& each) { return each.name() == function; });
}

Status HostCard::check_memory() const {
  const bool is_remote =
      std::any_of(functions_.begin(), functions_.end(),
                  [](const HostFunction& function) { return function.is_remote(); });
  if (is_remote && !machine_.memory_is_shared) {
    return fail(ErrorKind::kConfig,
                "{}: A server cannot have this guest's memory, which no other process was to have "
                "from the start: name one server in [[pci]], too",
                name_);
  }
  return {};
}

/// What a start looks at of functions; the guest's memory is there already.
Status HostCard::check_host() const {
  HostNeeds needs;
  for (const HostFunction& function : functions_) {
    if (!function.is_remote()) {
      needs.devices.push_back(function.host);
      if (!function.managed) {
        needs.unmanaged.push_back(function.host);
      }
    }
  }
  return needs.devices.empty() ? Status() : require_host(machine_.host, needs);
}

Status HostCard::take() {
  TRY(check_memory());
  const auto pointers = pointers_to(functions_);
  auto claims = TRY(DeviceClaims::take(machine_.host, addresses_of(pointers), machine_.owner,
                                       sockets_of(pointers)));
  TRY(check_host());
  hold(TRY(HostDevices::create(machine_.host, functions_, std::move(claims), openers())));
  return {};
}

HostOpeners HostCard::openers() const {
  return machine_.openers ? *machine_.openers : HostOpeners::real(machine_.host);
}

void HostCard::hold(std::unique_ptr<HostDevices> devices) {
  auto reset = std::make_unique<MachineReset>(*devices, machine_.on_reset, machine_.on_scrub);
  machine_.exclusively([&] {
    devices_ = std::move(devices);
    reset_ = std::move(reset);
  });
}

/// With closed functions where that is what helps: neither KVM nor the guest has them yet.
Status HostCard::verify() {
  Status outcome = reset_->run(ResetReason::kStart);
  if (!outcome) {
    // Its plan names devices that are closed meanwhile: who inspects goes without.
    machine_.exclusively([this] { shows_reset_ = false; });
    outcome = reset_->recover(ResetReason::kStart, std::move(outcome));
    machine_.exclusively([this] { shows_reset_ = true; });
  }
  return outcome;
}

Status HostCard::join(const IsUnwanted& is_unwanted) {
  for (const int group : devices_->group_fds()) {
    TRY(machine_.hold_group(group));
    held_groups_.push_back(group);
  }
  TRY(machine_.prepare_memory(is_unwanted));
  return devices_->map_memory(machine_.memory,
                              [&is_unwanted](std::uint64_t) { return is_unwanted(); });
}

Status HostCard::show() {
  return machine_.pci.plug(port_, *devices_, machine_.exclusively);
}

Result<bool> HostCard::ask() {
  const bool is_released = !TRY(machine_.pci.slot(port_)).is_powered();
  if (!is_released) {
    TRY(machine_.pci.ask_for(port_));
  }
  return is_released;
}

void HostCard::hide() {
  if (const auto hidden = machine_.pci.unplug(port_, machine_.exclusively); !hidden) {
    log::error("{}", hidden.error().to_string());
  }
}

Status HostCard::leave() {
  for (const int group : held_groups_) {
    machine_.release_group(group);
  }
  held_groups_.clear();
  std::unique_ptr<HostDevices> devices;
  std::unique_ptr<MachineReset> reset;
  machine_.exclusively([&] {
    reset = std::move(reset_);
    devices = std::move(devices_);
  });
  reset.reset();
  devices.reset();  // takes its time, and nobody waits for it to inspect
  return {};
}

void HostCard::inspect(InspectNode& node) const {
  if (devices_) {
    devices_->inspect(node.child("functions"));
    if (shows_reset_) {
      reset_->inspect(node.child("reset"));
    }
  }
}

}  // namespace gpuvm
