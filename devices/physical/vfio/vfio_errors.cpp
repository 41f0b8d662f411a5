// SPDX-License-Identifier: Apache-2.0
// Linux: drivers/iommu/intel/iommu.c, intel_iommu_attach_device() (EPERM), and from 6.6 on
// drivers/iommu/iommu.c, __iommu_device_set_domain() (EINVAL) refuse a device for which the
// firmware wants a fixed mapping; Documentation/ABI/testing/sysfs-kernel-iommu_groups lists the
// mappings.
#include "devices/physical/vfio/vfio_errors.hpp"

#include <cerrno>
#include <optional>
#include <sstream>
#include <string>

namespace gpuvm::vfio {
namespace {

/// The first mapping that a guest's device must keep, as "0x… to 0x…". "direct-relaxable" ones, of
/// graphics and USB controllers, do not stand in the way.
std::optional<std::string> fixed_mapping(const HostSystem& host, std::uint32_t group) {
  const auto text = host.read(fmt::format("/sys/kernel/iommu_groups/{}/reserved_regions", group));
  std::istringstream lines(text ? *text : std::string());
  for (std::string begin, end, type; lines >> begin >> end >> type;) {
    if (type == "direct") {
      return begin + " to " + end;
    }
  }
  return std::nullopt;
}

}  // namespace

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
