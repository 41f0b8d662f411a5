// SPDX-License-Identifier: Apache-2.0
// Linux: drivers/iommu/intel/iommu.c, intel_iommu_attach_device() (EPERM), and from 6.6 on
// drivers/iommu/iommu.c, __iommu_device_set_domain() (EINVAL) refuse a device for which the
// firmware wants a fixed mapping; Documentation/ABI/testing/sysfs-kernel-iommu_groups lists the
// mappings. drivers/vfio/pci/vfio_pci_intrs.c, vfio_intx_set_signal(): the interrupt of a function
// that cannot mask INTx by itself is asked for as unshared.
#include "devices/physical/vfio/vfio_errors.hpp"

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "vmm/host/pci_device.hpp"

namespace gpuvm::vfio {
namespace {

/// The first mapping that a guest's device must keep, as "0x… to 0x…". "direct-relaxable" ones, of
/// graphics and USB controllers, do not stand in the way.
std::optional<std::string> fixed_mapping(const HostSystem& host, std::uint32_t group) {
  const auto text = host.read(fmt::format("/sys/kernel/iommu_groups/{}/reserved_regions", group));
  std::istringstream lines(text ? *text : std::string());
  for (std::string begin, end, type; lines >> begin >> end >> type;) {
    if (type == "direct") {
      return fmt::format("{} to {}", begin, end);
    }
  }
  return std::nullopt;
}

std::vector<std::string> words_of(const std::string& line) {
  std::istringstream words(line);
  return {std::istream_iterator<std::string>(words), {}};
}

/// Who has a line of the host: the names in /proc/interrupts behind a count for each CPU, the
/// interrupt controller and its pin ("IO-APIC 16-fasteoi"). Empty: nobody, or it is not told.
std::string users_of_line(const HostSystem& host, std::uint64_t irq) {
  const auto text = host.read("/proc/interrupts");
  std::istringstream lines(text ? *text : std::string());
  std::string line;
  std::getline(lines, line);
  const std::size_t before_names = 1 + words_of(line).size() + 2;
  const std::string label = fmt::format("{}:", irq);
  while (std::getline(lines, line)) {
    const auto words = words_of(line);
    if (words.empty() || words.front() != label) {
      continue;
    }
    std::string users;
    for (std::size_t i = before_names; i < words.size(); ++i) {
      users += (users.empty() ? "" : " ") + words[i];
    }
    return users;
  }
  return {};
}

}  // namespace

Error connect_intx_error(const HostSystem& host, const Bdf& bdf, int error) {
  if (error != EBUSY) {
    return fail_errno(ErrorKind::kHost, "Cannot connect INTx of " + bdf.to_string(), error);
  }
  const auto irq = host.read_number(pci_sysfs_path(bdf, "irq"));
  const auto users = irq ? users_of_line(host, *irq) : std::string();
  return fail(ErrorKind::kHost,
              "{} cannot mask its INTx (no DisINTx), so it needs an interrupt line of the host for "
              "itself, but line {} is also used by {}: take those devices from their drivers "
              "(echo BDF >/sys/bus/pci/devices/BDF/driver/unbind), or try another slot",
              bdf.to_string(), irq ? fmt::format("{}", *irq) : "of /proc/interrupts",
              users.empty() ? "another device" : users);
}

Error set_iommu_error(const HostSystem& host, std::span<const std::uint32_t> groups, int error) {
  for (const auto group : groups) {
    const auto mapping =
        error == EPERM || error == EINVAL ? fixed_mapping(host, group) : std::nullopt;
    if (mapping) {
      return fail(
          ErrorKind::kHost,
          "The firmware keeps memory at {} for a device of IOMMU group {} (an RMRR; `dmesg` "
          "says \"platform RMRR requirement\" or \"1:1 IOMMU mapping\"), so the kernel gives it "
          "to no guest: switch off in the BIOS what uses it (on HPE servers \"shared memory "
          "features\" of the slot), or take another slot or device",
          *mapping, group);
    }
  }
  if (error == EPERM) {
    return fail(ErrorKind::kHost,
                "The host's IOMMU cannot isolate interrupts, so the kernel refuses passthrough: "
                "switch on interrupt remapping (x2APIC) in the BIOS, or, accepting that a guest "
                "can disturb the host, set allow_unsafe_interrupts=1 of vfio_iommu_type1");
  }
  return fail_errno(ErrorKind::kHost,
                    "Cannot set up the IOMMU for the guest (`dmesg | tail` may say why)", error);
}

std::string device_name(const VfioFunction& function) {
  const auto name = function.bdf.to_string();
  return function.vf_token.empty() ? name : name + " vf_token=" + function.vf_token;
}

Error open_device_error(const VfioFunction& function, std::uint32_t group, int error) {
  const auto name = function.bdf.to_string();
  const bool has_token = !function.vf_token.empty();
  switch (error) {
    case ENODEV:
      return fail(ErrorKind::kHost,
                  "VFIO does not know {} in IOMMU group {}: bind it to vfio-pci first; a virtual "
                  "function is gone once its parent loses its driver or gets other sriov_numvfs",
                  name, group);
    case EBUSY:
      return fail(ErrorKind::kHost, "{} is in use by another process: stop that guest first", name);
    case EACCES:
      return has_token
                 ? fail(ErrorKind::kConfig,
                        "VFIO does not accept the vf_token of {}: give the one that whoever opened "
                        "its physical function gave; who opens that first sets it",
                        name)
                 : fail(ErrorKind::kConfig,
                        "VFIO wants a token for {}, since it has both a physical function and its "
                        "virtual ones: set vf_token",
                        name);
    case EINVAL:
      if (has_token) {
        return fail(ErrorKind::kConfig,
                    "VFIO wants no token for {}, whose physical function it does not have: remove "
                    "vf_token",
                    name);
      }
      break;
    default:
      break;
  }
  return fail_errno(ErrorKind::kHost, "Cannot open " + name + " (`dmesg | tail` may say why)",
                    error);
}

}  // namespace gpuvm::vfio
