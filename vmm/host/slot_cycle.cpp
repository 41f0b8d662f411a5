// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/slot_cycle.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/worst_error.hpp"
#include "vmm/host/driver_binding.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/signals_blocked.hpp"
#include "vmm/host/vfio_driver.hpp"

namespace gpuvm {
namespace {

using std::chrono::milliseconds;

/// Attributes that somebody may have set and that a new function has at their defaults.
struct KeptAttribute {
  std::string_view name;
  std::string_view reason;
};
constexpr std::array kKeptAttributes{
    KeptAttribute{"reset_method", "some cards hang by a method that the kernel would choose"},
    KeptAttribute{"d3cold_allowed", "some cards do not wake from D3cold"},
    KeptAttribute{"power/control", "the same"},
};

// The kernel's write returns once it has looked; what is slower than this is not coming.
constexpr milliseconds kFindTime{5000};
constexpr milliseconds kFindPause{100};

}  // namespace

Result<SlotCycle> SlotCycle::of(const HostSystem& host, const Bdf& function,
                                std::span<const Bdf> ours) {
  SlotCycle cycle(host, TRY(UpstreamPort::above(host, function)));
  TRY(cycle.port_.check_owned(ours));
  for (const Bdf& bdf : cycle.port_.functions()) {
    TRY(cycle.remember(bdf));
  }
  return cycle;
}

Status SlotCycle::remember(const Bdf& bdf) {
  const auto device = TRY(HostPciDevice::open(*host_, bdf));
  Function function{.bdf = bdf,
                    .driver = device.driver().value_or(""),
                    .driver_override = current_override(*host_, bdf),
                    .bar_sizes = {},
                    .attributes = {}};
  if (!is_with_vfio(*host_, bdf)) {
    return fail(ErrorKind::kHost, "{} is with {} and not with a VFIO driver", bdf.to_string(),
                function.driver.empty() ? "no driver" : function.driver);
  }
  if (device.physical_function()) {
    return fail(ErrorKind::kHost, "{} is a virtual function, which the kernel would not find again",
                bdf.to_string());
  }
  if (const auto sizes = resizable_bar_sizes(*host_, device)) {
    function.bar_sizes = *sizes;
  }
  for (const KeptAttribute& attribute : kKeptAttributes) {
    if (auto text = host_->read(pci_sysfs_path(bdf, attribute.name))) {
      function.attributes.emplace(attribute.name, *std::move(text));
    }
  }
  functions_.push_back(std::move(function));
  return {};
}

Status SlotCycle::check(SlotMethod method) const {
  if (method == SlotMethod::kPower) {
    TRY(port_.power_switch(functions_.front().bdf));
  }
  return {};
}

Status SlotCycle::write(const std::string& path, const std::string& text) {
  is_stuck_ = !TRY(host_->write_within(path, text, kSlotLimit));
  if (is_stuck_) {
    return fail(ErrorKind::kHost,
                "A write to {} has slept for {} s, and may end by itself: `dmesg | tail` may say "
                "why",
                path, kSlotLimit.count());
  }
  return {};
}

// With pciehp the switch takes the functions out of the kernel, and waits a second before it gives
// the slot power again (Linux, drivers/pci/hotplug/pciehp_ctrl.c, remove_board()).
Status SlotCycle::cycle_power() {
  const std::string power = TRY(port_.power_switch(functions_.front().bdf));
  TRY(write(power, "0"));
  const auto state = host_->read(power);
  Status on = write(power, "1");  // whatever it says: no slot is to stay off
  if (!state || *state != "0") {
    return fail(ErrorKind::kHost, "{} says {} after it was switched off", power,
                state ? *state : "nothing");
  }
  TRY_CONTEXT(std::move(on), "The slot stays off (" + power + ")");
  return {};
}

/// One that cannot be removed keeps none of the others away.
Status SlotCycle::remove_and_rescan() {
  WorstError errors;
  for (const Function& function : functions_) {
    const std::string path = pci_sysfs_path(function.bdf, "remove");
    if (host_->exists(path) && !is_stuck_) {
      errors.add(write(path, "1"));
    }
  }
  if (!is_stuck_) {
    errors.add(port_.rescan());
  }
  return errors.take();
}

Status SlotCycle::await_functions(const HostSleep& sleep) const {
  std::string missing;
  for (milliseconds left = kFindTime; left >= milliseconds(0); left -= kFindPause) {
    missing.clear();
    for (const Function& function : functions_) {
      if (!host_->exists(pci_sysfs_path(function.bdf))) {
        missing += (missing.empty() ? "" : ", ") + function.bdf.to_string();
      }
    }
    if (missing.empty()) {
      return {};
    }
    sleep(kFindPause);
  }
  return fail(ErrorKind::kUnsafeDevice,
              "The kernel does not find {} any more below the port {}: `echo 1 > "
              "/sys/bus/pci/rescan` may, else switch the host off and on again",
              missing, port_.bdf().to_string());
}

/// Before anybody opens the function, which lets the kernel reset it by the methods that it has.
/// What cannot be put back does not leave the function to the host's driver.
Status SlotCycle::restore(const Function& function) const {
  WorstError errors;
  for (const auto& [name, text] : function.attributes) {
    const std::string path = pci_sysfs_path(function.bdf, name);
    if (const auto now = host_->read(path); !now || *now != text) {
      errors.add(host_->write(path, text.empty() ? "\n" : text));
    }
  }
  Status bound = bind_to_vfio(*host_, function.bdf, function.driver, function.bar_sizes);
  if (bound && function.driver_override != function.driver) {
    bound = set_override(*host_, function.bdf, function.driver_override);
  }
  errors.add(std::move(bound));
  return errors.take();
}

Status SlotCycle::run(SlotMethod method, const HostSleep& sleep) {
  const SignalsBlocked until_they_are_back;
  is_stuck_ = false;
  WorstError errors;
  errors.add(method == SlotMethod::kPower ? cycle_power() : remove_and_rescan());
  if (is_stuck_) {
    return errors.take();
  }
  errors.add(await_functions(sleep));
  for (const Function& function : functions_) {
    if (host_->exists(pci_sysfs_path(function.bdf))) {
      errors.add(restore(function));
    }
  }
  return errors.take();
}

}  // namespace gpuvm
