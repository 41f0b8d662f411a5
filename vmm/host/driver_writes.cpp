// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/driver_writes.hpp"

#include "vmm/host/device_use.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

Status DriverWrites::write_own(std::string_view attribute, std::string_view text) {
  return write(pci_sysfs_path(bdf_, attribute), text);
}

Status DriverWrites::write(const std::string& path, std::string_view text) {
  if (is_stuck_) {
    return fail(ErrorKind::kHost, "{} is not written to while a driver holds {}", path,
                bdf_.to_string());
  }
  // The kernel takes the link away before it calls the driver that is to let go.
  const std::string driver = host_->link_name(pci_sysfs_path(bdf_, "driver")).value_or("");
  is_stuck_ = !TRY(host_->write_within(path, text, kLimit));
  return is_stuck_ ? Status(stuck_error(path, driver)) : Status();
}

Error DriverWrites::stuck_error(const std::string& path, const std::string& driver) const {
  std::string holders;
  for (const std::string& holder : find_suspects(*host_, bdf_, driver)) {
    holders += (holders.empty() ? "" : "; ") + holder;
  }
  return fail(
      ErrorKind::kHost,
      "{} does not come back: a write to {} has slept for {} s in {}, and may end by itself "
      "once nothing uses the function ({}; `dmesg | tail` may say why). Then `gpuvm unbind "
      "{}` gives it back to the host",
      bdf_.to_string(), path, kLimit.count(),
      driver.empty() ? "the kernel" : "the driver " + driver,
      holders.empty() ? "nothing was found that does" : holders, bdf_.to_string());
}

}  // namespace gpuvm
