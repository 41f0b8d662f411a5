// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/driver_binding.hpp"

#include <array>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/device_use.hpp"
#include "vmm/host/pci_device.hpp"

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

/// The driver and override that the function had before any gpuvm touched it.
BindingRecord original_state(const HostSystem& host, const Bdf& bdf,
                             const std::optional<BindingRecord>& left_behind) {
  const std::string driver = current_driver(host, bdf);
  if (!left_behind) {
    return {driver, current_override(host, bdf)};
  }
  // An earlier run died: its override is still set, and its driver may be gone already.
  BindingRecord record = *left_behind;
  if (!driver.empty() && !is_vfio_driver(driver)) {
    record.driver = driver;
  }
  return record;
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

Status give_back(const HostSystem& host, const Bdf& bdf, const BindingRecord& record) {
  TRY(set_override(host, bdf, record.driver_override));
  const std::string driver = current_driver(host, bdf);
  if (is_vfio_driver(driver)) {
    TRY(host.write(pci_sysfs_path(bdf, "driver/unbind"), bdf.to_string()));
  }
  if (record.driver.empty()) {
    stop_decoding(host, bdf);
    return {};
  }
  if (driver == record.driver) {
    return {};
  }
  TRY(host.write(kProbePath, bdf.to_string()));
  if (current_driver(host, bdf).empty()) {
    // A driver that matches nothing by itself (bound by hand through new_id) wants to be named.
    const Status bound =
        host.write("/sys/bus/pci/drivers/" + record.driver + "/bind", bdf.to_string());
    if (!bound) {
      log::debug("{}", bound.error().to_string());
    }
  }
  if (current_driver(host, bdf) != record.driver) {
    return fail(ErrorKind::kHost,
                "{} was not taken back by its driver {}: load that driver, then "
                "`echo {} > /sys/bus/pci/drivers_probe`",
                bdf.to_string(), record.driver, bdf.to_string());
  }
  return {};
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

// sysfs ignores a write of no bytes; a newline clears the attribute.
Status set_override(const HostSystem& host, const Bdf& bdf, const std::string& driver) {
  return host.write(pci_sysfs_path(bdf, "driver_override"), driver.empty() ? "\n" : driver);
}

Status bind_to_vfio(const HostSystem& host, const Bdf& bdf, const std::string& driver) {
  TRY(set_override(host, bdf, driver));
  if (const std::string now = current_driver(host, bdf); now == driver) {
    return {};
  } else if (!now.empty()) {
    TRY(host.write(pci_sysfs_path(bdf, "driver/unbind"), bdf.to_string()));
  }
  TRY(host.write(kProbePath, bdf.to_string()));
  if (current_driver(host, bdf) != driver) {
    return fail(ErrorKind::kHost,
                "{} did not bind to {}: `dmesg | tail` says why (often the IOMMU is off or "
                "another driver holds its memory)",
                bdf.to_string(), driver);
  }
  return {};
}

bool is_vfio_driver(std::string_view driver) {
  return driver == kVfioDriver || driver.ends_with("-vfio-pci") || driver.ends_with("_vfio_pci");
}

Result<DriverBinding> DriverBinding::create(const HostSystem& host,
                                            std::span<const Bdf> functions) {
  DriverBinding binding(host);
  for (const Bdf& bdf : functions) {
    TRY_CONTEXT(binding.bind(bdf), "Binding " + bdf.to_string() + " to vfio-pci");
  }
  return binding;
}

Status DriverBinding::bind(const Bdf& bdf) {
  const HostPciDevice device = TRY(HostPciDevice::open(*host_, bdf));
  if (device.is_bridge()) {
    return fail(ErrorKind::kConfig,
                "{} is a PCI bridge, which stays with the host: name the function behind it",
                bdf.to_string());
  }
  const std::string driver = device.driver().value_or("");
  if (is_vfio_driver(driver) && !host_->exists(record_path(bdf))) {
    return {};  // the user's own binding
  }
  BindingFile file = TRY(BindingFile::claim(*host_, bdf));
  if (is_vfio_driver(driver) && !file.record()) {
    file.remove();  // a run died before it changed anything, the binding is the user's after all
    return {};
  }
  if (!is_vfio_driver(driver)) {
    const Status is_free = check_not_in_use(*host_, bdf);
    Status has_driver = is_free ? ensure_vfio_driver(*host_) : is_free;
    if (!has_driver) {
      if (!file.record()) {
        file.remove();
      }
      return has_driver;
    }
  }
  TRY(file.save(original_state(*host_, bdf, file.record())));
  // From here on release() undoes what is done below, also when that fails half-way.
  managed_.push_back({bdf, std::move(file)});
  return is_vfio_driver(driver) ? Status() : bind_to_vfio(*host_, bdf, std::string(kVfioDriver));
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
