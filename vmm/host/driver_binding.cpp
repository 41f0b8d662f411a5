// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/driver_binding.hpp"

#include <algorithm>
#include <array>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/device_use.hpp"
#include "vmm/host/driver_writes.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/vfio_driver.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kVfioDriver = "vfio-pci";
constexpr std::string_view kVfioDriverPath = "/sys/bus/pci/drivers/vfio-pci";
constexpr std::string_view kProbePath = "/sys/bus/pci/drivers_probe";

std::string record_path(const Bdf& bdf) {
  return StateFile::path(bdf, kBindingSuffix);
}

std::string current_driver(const HostSystem& host, const Bdf& bdf) {
  return host.link_name(pci_sysfs_path(bdf, "driver")).value_or("");
}

// sysfs ignores a write of no bytes; a newline clears the attribute.
Status set_override(DriverWrites& writes, const std::string& driver) {
  return writes.write_own("driver_override", driver.empty() ? "\n" : driver);
}

Status ensure_vfio_driver(const HostSystem& host) {
  if (host.exists(kVfioDriverPath)) {
    return {};
  }
  const Status loaded = host.load_module(std::string(kVfioDriver));
  if (host.exists(kVfioDriverPath)) {
    return {};
  }
  return fail(
      ErrorKind::kHost,
      "The kernel module vfio-pci is not loaded and could not be loaded ({}): install the "
      "kernel's modules package, or run `modprobe vfio-pci` as root",
      loaded ? "modprobe succeeded, but the driver is not there" : loaded.error().to_string());
}

/// What the function was before any gpuvm touched it.
BindingRecord original_state(const HostSystem& host, const Bdf& bdf,
                             const std::optional<BindingRecord>& left_behind) {
  const std::string driver = current_driver(host, bdf);
  if (!left_behind) {
    return {driver, current_override(host, bdf), {}};
  }
  // An earlier run died: its override is still set, and its driver may be gone already.
  BindingRecord record = *left_behind;
  if (!driver.empty() && !is_with_vfio(host, bdf)) {
    record.driver = driver;
  }
  return record;
}

struct BindingPlan {
  BindingRecord original;        ///< to go back to
  std::vector<BarResize> sizes;  ///< steps
  bool is_with_vfio = false;     ///< already

  bool is_empty() const { return is_with_vfio && sizes.empty(); }
};

/// BARs get the sizes that the user wants, and otherwise those that a run which died found.
Result<BindingPlan> plan_binding(const HostSystem& host, const BindRequest& request,
                                 const std::optional<BindingRecord>& left_behind) {
  BindingPlan plan{.original = original_state(host, request.bdf, left_behind),
                   .sizes = {},
                   .is_with_vfio = is_with_vfio(host, request.bdf)};
  BarSizes wanted = plan.original.bar_sizes;
  if (request.bar_size) {
    const BarResize choice = TRY(plan_bar_resize(host, request.bdf, *request.bar_size));
    auto& original = plan.original.bar_sizes.at(choice.bar);
    original = original == 0 && choice.from != choice.to ? choice.from : original;
    wanted.at(choice.bar) = choice.to;
  }
  plan.sizes = TRY(steps_to_bar_sizes(host, request.bdf, wanted));
  return plan;
}

Status check_is_no_bridge(const HostSystem& host, const Bdf& bdf) {
  if (TRY(HostPciDevice::open(host, bdf)).is_bridge()) {
    return fail(ErrorKind::kConfig,
                "{} is a PCI bridge, which stays with the host: name the function behind it",
                bdf.to_string());
  }
  return {};
}

/// A function that is to leave the host's driver. Errors: kHost.
Status check_plan(const HostSystem& host, const Bdf& bdf, const BindingPlan& plan) {
  if (plan.is_with_vfio) {
    return {};
  }
  TRY(check_not_in_use(host, bdf));
  return ensure_vfio_driver(host);
}

/// To this driver and no other. BARs change their sizes on the way.
Status move_to(DriverWrites& writes, const std::string& driver,
               const std::vector<BarResize>& sizes) {
  const HostSystem& host = writes.host();
  const Bdf& bdf = writes.bdf();
  TRY(set_override(writes, driver));
  const std::string before = current_driver(host, bdf);
  if (before == driver && sizes.empty()) {
    return {};
  }
  if (!before.empty()) {
    TRY(writes.write_own("driver/unbind", bdf.to_string()));
  }
  for (const BarResize& size : sizes) {
    TRY(resize_bar(host, bdf, size));
  }
  TRY(writes.write(std::string(kProbePath), bdf.to_string()));
  if (current_driver(host, bdf) != driver) {
    return fail(ErrorKind::kHost,
                "{} did not bind to {}: `dmesg | tail` says why (often the IOMMU is off or "
                "another driver holds its memory)",
                bdf.to_string(), driver);
  }
  return {};
}

// The kernel leaves decode on when VFIO closes a function. Without a driver nobody wants it: a
// quiet function answers to configuration accesses only. The next driver switches it on
// (pci_enable_device()).
void stop_decoding(const HostSystem& host, const Bdf& bdf) {
  constexpr std::uint64_t kCommandOffset = 4;
  constexpr std::byte kDecodeAndMaster{0x7};
  const std::string path = pci_sysfs_path(bdf, "config");
  const auto config = host.read_bytes(path, kCommandOffset + 1);
  if (!config || config->size() <= kCommandOffset) {
    return;
  }
  const std::array<std::byte, 1> quiet{config->at(kCommandOffset) & ~kDecodeAndMaster};
  const Status written = host.write_bytes(path, kCommandOffset, quiet);
  if (!written) {
    log::debug("{}", written.error().to_string());
  }
}

/// Offers the function, which has no driver, to the one that it had.
Status offer_to_driver(DriverWrites& writes, const std::string& driver) {
  const HostSystem& host = writes.host();
  const Bdf& bdf = writes.bdf();
  TRY(writes.write(std::string(kProbePath), bdf.to_string()));
  if (current_driver(host, bdf).empty()) {
    // A driver that matches nothing by itself (bound by hand through new_id) wants to be named.
    Status bound = writes.write("/sys/bus/pci/drivers/" + driver + "/bind", bdf.to_string());
    if (writes.is_stuck()) {
      return bound;
    }
    if (!bound) {
      log::debug("{}", bound.error().to_string());
    }
  }
  if (current_driver(host, bdf) != driver) {
    return fail(ErrorKind::kHost,
                "{} was not taken back by its driver {}: load that driver, then "
                "`echo {} > /sys/bus/pci/drivers_probe`",
                bdf.to_string(), driver, bdf.to_string());
  }
  return {};
}

Status restore_sizes(const HostSystem& host, const Bdf& bdf, const BarSizes& sizes) {
  for (const BarResize& step : TRY(steps_to_bar_sizes(host, bdf, sizes))) {
    TRY(resize_bar(host, bdf, step));
  }
  return {};
}

/// True where the function has a driver of VFIO's that is not to have it any more, or not now.
bool must_leave_vfio(const HostSystem& host, const Bdf& bdf, const BindingRecord& record) {
  const std::string driver = current_driver(host, bdf);
  return is_vfio_driver(driver) || (driver == record.driver && is_with_vfio(host, bdf));
}

// A BAR that cannot have its old size again does not keep the function from its driver.
Status give_back(const HostSystem& host, const Bdf& bdf, const BindingRecord& record) {
  DriverWrites writes(host, bdf);
  TRY(set_override(writes, record.driver_override));
  if (must_leave_vfio(host, bdf, record)) {
    TRY(writes.write_own("driver/unbind", bdf.to_string()));
  }
  WorstError errors;
  const std::string driver = current_driver(host, bdf);
  if (driver.empty()) {
    errors.add(restore_sizes(host, bdf, record.bar_sizes));
  }
  if (record.driver.empty()) {
    stop_decoding(host, bdf);
  } else if (driver != record.driver) {
    errors.add(offer_to_driver(writes, record.driver));
  }
  return errors.take();
}

/// Gives a function back as its record on disk says. False if there is none.
Result<bool> give_back_as_recorded(const HostSystem& host, const Bdf& bdf) {
  if (!host.exists(record_path(bdf))) {
    return false;
  }
  BindingFile file = TRY(BindingFile::claim(host, bdf));
  if (!file.record()) {
    file.remove();
    return false;
  }
  if (host.exists(pci_sysfs_path(bdf))) {
    TRY_CONTEXT(give_back(host, bdf, *file.record()), "Giving back " + bdf.to_string());
  }
  file.remove();
  return true;
}

}  // namespace

std::string current_override(const HostSystem& host, const Bdf& bdf) {
  const auto text = host.read(pci_sysfs_path(bdf, "driver_override"));
  return text && *text != "(null)" ? *text : "";
}

Status set_override(const HostSystem& host, const Bdf& bdf, const std::string& driver) {
  DriverWrites writes(host, bdf);
  return set_override(writes, driver);
}

Status bind_to_vfio(const HostSystem& host, const Bdf& bdf, const std::string& driver,
                    const BarSizes& sizes) {
  const auto steps = TRY(steps_to_bar_sizes(host, bdf, sizes));
  DriverWrites writes(host, bdf);
  return move_to(writes, driver, steps);
}

Result<DriverBinding> DriverBinding::create(const HostSystem& host,
                                            std::span<const BindRequest> functions) {
  DriverBinding binding(host);
  for (const BindRequest& request : functions) {
    TRY_CONTEXT(binding.bind(request), "Binding " + request.bdf.to_string() + " to vfio-pci");
  }
  return binding;
}

Result<DriverBinding> DriverBinding::create(const HostSystem& host,
                                            std::span<const Bdf> functions) {
  std::vector<BindRequest> requests;
  for (const Bdf& bdf : functions) {
    requests.push_back({.bdf = bdf});
  }
  return create(host, requests);
}

Status DriverBinding::bind(const BindRequest& request) {
  const Bdf& bdf = request.bdf;
  TRY(check_is_no_bridge(*host_, bdf));
  // The user's own binding; without a record nothing is left to undo.
  if (!host_->exists(record_path(bdf)) && TRY(plan_binding(*host_, request, {})).is_empty()) {
    return {};
  }
  BindingFile file = TRY(BindingFile::claim(*host_, bdf));
  const bool is_new = !file.record();
  const auto plan = plan_binding(*host_, request, file.record());
  const Status may_go = plan ? check_plan(*host_, bdf, *plan) : Status(plan.error());
  // Of an earlier run that died before it changed anything an empty file may be left.
  if (is_new && (!may_go || plan->is_empty())) {
    file.remove();
  }
  if (!may_go || (is_new && plan->is_empty())) {
    return may_go;
  }
  TRY(file.save(plan->original));
  // From here on release() undoes what is done below, also when that fails half-way.
  managed_.push_back({bdf, std::move(file), !plan->sizes.empty()});
  return plan->is_empty() ? Status() : take_last(plan->sizes);
}

Status DriverBinding::take_last(const std::vector<BarResize>& sizes) {
  const Bdf bdf = managed_.back().bdf;
  DriverWrites writes(*host_, bdf);
  // The driver of VFIO that the function has, or else vfio-pci.
  const std::string driver =
      is_with_vfio(*host_, bdf) ? current_driver(*host_, bdf) : std::string(kVfioDriver);
  Status moved = move_to(writes, driver, sizes);
  if (writes.is_stuck()) {
    // Nothing can be undone while the kernel waits; the record stays for when it has.
    managed_.pop_back();
  }
  return moved;
}

DriverBinding::~DriverBinding() {
  const Status status = release();
  if (!status) {
    log::error("{}", status.error().to_string());
  }
}

std::vector<Bdf> DriverBinding::managed() const {
  std::vector<Bdf> functions;
  for (const Managed& entry : managed_) {
    functions.push_back(entry.bdf);
  }
  return functions;
}

bool DriverBinding::has_resized(const Bdf& bdf) const {
  return std::any_of(managed_.begin(), managed_.end(),
                     [&bdf](const Managed& entry) { return entry.bdf == bdf && entry.is_resized; });
}

Status DriverBinding::release() {
  WorstError errors;
  while (!managed_.empty()) {
    Managed& entry = managed_.back();
    const auto record = read_device_record(*host_, entry.bdf);
    if (record && !record->dirty.empty()) {
      log::error(
          "{} is dirty and stays with vfio-pci: `gpuvm reset {}` repairs it and gives it back",
          entry.bdf.to_string(), entry.bdf.to_string());
      managed_.pop_back();
      continue;
    }
    Status status = give_back(*host_, entry.bdf, *entry.file.record());
    if (!host_->exists(pci_sysfs_path(entry.bdf))) {
      // Also while it was given back: the kernel removes it once VFIO has let go of it.
      log::warn("{} is gone: nothing is left to give back", entry.bdf.to_string());
      status = {};
    }
    if (status) {
      entry.file.remove();
    } else {
      errors.add(std::move(status).error().with_context("Giving back " + entry.bdf.to_string()));
    }
    managed_.pop_back();
  }
  return errors.take();
}

Result<bool> restore_binding(const HostSystem& host, const Bdf& bdf, IfDirty if_dirty) {
  if (!host.exists(record_path(bdf)) && !read_device_record(host, bdf)) {
    return false;
  }
  DeviceClaim claim = TRY(DeviceClaim::take(host, bdf, "gpuvm unbind"));
  if (claim.is_dirty() && if_dirty == IfDirty::kRefuse) {
    return fail(ErrorKind::kUnsafeDevice,
                "{} was left dirty ({}) and stays with vfio-pci: `gpuvm reset {}` repairs it and "
                "gives it back",
                bdf.to_string(), claim.left_behind().dirty, bdf.to_string());
  }
  const bool gave_back = TRY(give_back_as_recorded(host, bdf));
  // Last: what could not be given back is as dirty as before.
  TRY(claim.mark_clean());
  return gave_back;
}

std::string_view given_back_text(const HostSystem& host, const Bdf& bdf) {
  return host.exists(pci_sysfs_path(bdf)) ? "is given back"
                                          : "is not there any more, and its record is removed";
}

std::vector<RestoredBinding> restore_bindings(const HostSystem& host) {
  std::vector<RestoredBinding> restored;
  for (const std::string& name : host.list(kStateDirectory)) {
    if (!name.ends_with(kBindingSuffix)) {
      continue;
    }
    const auto bdf = Bdf::parse(name.substr(0, name.size() - kBindingSuffix.size()));
    if (!bdf) {
      continue;
    }
    // A record that cannot be claimed belongs to a gpuvm that is alive.
    {
      const auto file = BindingFile::claim(host, *bdf);
      if (!file) {
        log::debug("{}", file.error().to_string());
        continue;
      }
    }
    auto outcome = restore_binding(host, *bdf);
    if (!outcome) {
      restored.push_back({*bdf, std::move(outcome).error()});
    } else if (*outcome) {
      restored.push_back({*bdf, Status()});
    }
  }
  return restored;
}

}  // namespace gpuvm
