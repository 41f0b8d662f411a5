// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/start_check.hpp"

#include <sys/stat.h>

#include <iterator>
#include <optional>

#include "firmware/efi/efi_kernel.hpp"
#include "firmware/linux/initrd_file.hpp"
#include "vmm/channels/guest_words.hpp"
#include "vmm/first_boot/first_boot.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/guests/peer.hpp"
#include "vmm/kvm/cpuid.hpp"
#include "vmm/kvm/kvm_system.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/boot/uefi_boot.hpp"
#include "vmm/machine/boot/vars_place.hpp"
#include "vmm/machine/memory/numa_plan.hpp"
#include "vmm/machine/pci/disks.hpp"
#include "vmm/machine/pci/networks.hpp"
#include "vmm/machine/preview/attachable_cards.hpp"
#include "vmm/machine/services/share.hpp"
#include "vmm/machine/services/vsock.hpp"

namespace gpuvm {
namespace {

std::uint64_t huge_page_size(HugePages pages) {
  switch (pages) {
    case HugePages::kOff:
      return 0;
    case HugePages::k2MiB:
      return 2_MiB;
    case HugePages::k1GiB:
      return 1_GiB;
  }
  return 0;
}

/// Where there is none, that is told as a trouble of its own.
std::optional<KvmSystem> open_kvm() {
  auto kvm = KvmSystem::open();
  return kvm ? std::optional(std::move(kvm).value()) : std::nullopt;
}

/// Names, and what KVM serves of them: whether the CPU has the feature is nobody's trouble.
Status check_cpu_names(const CpuConfig& cpu) {
  std::vector<CpuidEntry> none;
  TRY(hide_features(none, cpu.hide));
  TRY(show_hypervisor(none, {.hidden = cpu.hide_hypervisor,
                             .hyperv_vendor_id = cpu.hyperv_vendor_id,
                             .hyperv = cpu.hyperv}));
  const auto kvm = cpu.hyperv.empty() ? std::nullopt : open_kvm();
  const auto offered = kvm ? TRY(kvm->supported_hyperv()) : std::vector<CpuidEntry>();
  return offered.empty() ? Status() : check_hyperv(none, offered);
}

Status check_boot_files(const Config& config) {
  TRY(check_vars_place(config.boot));
  switch (config.boot.mode) {
    case BootMode::kLinux:
    case BootMode::kEfiHandover:
      return check_kernel_files(config.boot);
    case BootMode::kUefi:
      return UefiBoot::check(config);
  }
  return {};
}

/// Its server is not asked: it serves one monitor, which is not this one.
Status check_socket(const HostFunction& function) {
  struct stat info {};
  if (::stat(function.socket.c_str(), &info) != 0) {
    return fail_errno(ErrorKind::kConfig,
                      "Cannot find the socket " + function.socket + "; start its server first");
  }
  if (!S_ISSOCK(info.st_mode)) {
    return fail(ErrorKind::kConfig, "{} is no socket; name the one of a vfio-user server",
                function.socket);
  }
  return {};
}

/// Where socket = "auto" has no folder for one the guest runs without, so that is no error.
Status check_control(const Config& config) {
  const ControlConfig& control = config.control;
  if (!control.group.empty()) {
    TRY(group_of_socket(control.group));
  }
  if (control.socket == ControlConfig::Socket::kOff) {
    return {};
  }
  if (control.socket == ControlConfig::Socket::kPath) {
    return check_socket_place(control.path);
  }
  const auto path = guest_socket_path(config.name);
  return path && check_socket_folder(*path) ? check_socket_place(*path) : Status();
}

}  // namespace

HostNeeds needs_of(const Config& config, const std::vector<HostFunction>& functions) {
  HostNeeds needs;
  needs.memory = config.machine.memory;
  needs.huge_page_size = huge_page_size(config.machine.huge_pages);
  for (const auto& function : functions) {
    if (!function.is_remote()) {
      needs.devices.push_back(function.host);
      if (!function.managed) {
        needs.unmanaged.push_back(function.host);
      }
    }
  }
  return needs;
}

Status check_names(const HostSystem& host, const Config& config) {
  TRY(check_cpu_names(config.cpu));
  return check_places(host, config);
}

Status check_initrd(const BootConfig& boot) {
  if (boot.initrd) {
    TRY_CONTEXT(InitrdFile::open(*boot.initrd), "boot.initrd");
  }
  return {};
}

namespace {

Status check_kernel(const BootConfig& boot) {
  if (boot.mode == BootMode::kEfiHandover) {
    const auto kernel = TRY_CONTEXT(EfiKernel::load(boot.kernel), "boot.kernel");
    TRY(check_command_line(boot, kernel.header().cmdline_size));
  } else {
    TRY(read_kernel(boot));
  }
  return {};
}

}  // namespace

Status check_kernel_files(const BootConfig& boot) {
  Status kernel = check_kernel(boot);
  Status initrd = check_initrd(boot);
  if (!kernel && !initrd) {  // both at once
    return fail(kernel.error().kind(), "{}; {}", kernel.error().to_string(),
                initrd.error().to_string());
  }
  return kernel ? std::move(initrd) : std::move(kernel);
}

std::vector<Finding> check_start(const HostSystem& host, const Config& config,
                                 const std::vector<HostFunction>& functions) {
  std::vector<Finding> findings;
  findings.push_back({"names", check_names(host, config)});
  findings.push_back({std::string(kControlCheck), check_control(config)});
  const auto disks = open_disks(config.disks, config.machine.cpus, DiskFile::Use::kLook);
  findings.push_back({"disks", disks ? Status() : Status(disks.error())});
  const auto first_boot = open_first_boot(config, SshKeyUse::kLook);
  findings.push_back({"first_boot", first_boot ? Status() : Status(first_boot.error())});
  findings.push_back({"networks", check_networks(host, config.nets)});
  const auto vsock = open_vsock(host, config.vsock, config.name);
  findings.push_back({"vsock", vsock ? Status() : Status(vsock.error())});
  findings.push_back({"shares", check_shares(config.shares)});
  findings.push_back({"words", check_words(config)});
  findings.push_back({"boot_files", check_boot_files(config)});
  auto of_cards = check_attachable(host, config.machine);
  std::move(of_cards.begin(), of_cards.end(), std::back_inserter(findings));
  auto of_host = check_host(host, needs_of(config, functions));
  std::move(of_host.begin(), of_host.end(), std::back_inserter(findings));
  for (const auto& function : functions) {
    if (function.is_remote()) {
      findings.push_back({"server", check_socket(function), function.name()});
    }
  }
  return findings;
}

}  // namespace gpuvm
