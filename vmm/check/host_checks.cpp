// SPDX-License-Identifier: Apache-2.0
// The host's preconditions, as a table of checks in the order in which they are best cured.
#include <unistd.h>

#include <array>

#include "vmm/check/check.hpp"
#include "vmm/check/host_facts.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/iommu_group.hpp"
#include "vmm/kvm/kvm_system.hpp"

namespace gpuvm {
namespace {

constexpr const char* kBiosVtd = "switch on VT-d in the BIOS (often beside \"Virtualization\")";
constexpr const char* kBiosAmdVi = "switch on IOMMU or AMD-Vi in the BIOS (AMD CBS, NBIO)";

constexpr const char* kGuestIommu =
    "this host is itself a guest: have its hypervisor give it an IOMMU (QEMU: -machine "
    "q35,kernel-irqchip=split -device intel-iommu,intremap=on,caching-mode=on; libvirt: <iommu "
    "model='intel'>), or run gpuvm on the machine below";
constexpr const char* kGuestVirtualisation =
    "this host is itself a guest: have its hypervisor allow nested virtualisation (QEMU: -cpu "
    "host, and nested=1 of its kvm_intel or kvm_amd), or run gpuvm on the machine below";

CheckLine passed(std::string text) {
  CheckLine line;
  line.text = std::move(text);
  return line;
}

CheckLine warned(std::string text, std::string why, std::string cure) {
  CheckLine line;
  line.level = CheckLevel::kWarn;
  line.text = std::move(text);
  line.why = std::move(why);
  line.cure = std::move(cure);
  return line;
}

CheckLine failed(std::string text, std::string why, std::string cure) {
  auto line = warned(std::move(text), std::move(why), std::move(cure));
  line.level = CheckLevel::kFail;
  return line;
}

/// A failure of a check that a run makes.
CheckLine refused(const Error& error, std::string why, std::string cure) {
  auto line = failed(error.to_string(), std::move(why), std::move(cure));
  line.kind = error.kind();
  return line;
}

bool has_groups(const CheckSubject& subject) {
  return subject.map.has_iommu;
}

std::optional<CheckLine> look_at_processor(const CheckSubject& subject) {
  if (!cpu_facts_of(subject.host).is_foreign) {
    return std::nullopt;
  }
  return failed(
      fmt::format("its processor is no x86-64 one (Linux {})", kernel_release(subject.host)),
      "gpuvm's guests are x86-64 machines, and KVM runs them on such processors alone",
      "a host with a 64-bit processor of Intel or AMD");
}

/// What makes /dev/kvm be there and open.
std::string kvm_cure(const CheckSubject& subject) {
  if (subject.host.exists("/dev/kvm") && ::geteuid() != 0) {
    return "`usermod -aG kvm USER`, then log in again; or run as root";
  }
  const auto cpu = cpu_facts_of(subject.host);
  if (cpu.has_virtualisation) {
    return cpu.maker == CpuMaker::kAmd ? "`modprobe kvm_amd`" : "`modprobe kvm_intel`";
  }
  return cpu.is_guest ? kGuestVirtualisation
                      : "switch on virtualisation (VT-x, AMD-V or SVM) in the BIOS";
}

std::optional<CheckLine> look_at_kvm(const CheckSubject& subject) {
  constexpr const char* kWhy = "Guests run on KVM";
  if (!subject.is_here) {
    return subject.host.exists("/dev/kvm")
               ? passed("/dev/kvm is there; who may open it a saved host does not tell")
               : failed("/dev/kvm was not there", kWhy,
                        "switch on virtualisation (VT-x, AMD-V or SVM) in the BIOS, then `modprobe "
                        "kvm_intel` or `modprobe kvm_amd`");
  }
  if (const Status kvm = check_kvm(subject.host); !kvm) {
    return refused(kvm.error(), kWhy, kvm_cure(subject));
  }
  const auto system = KvmSystem::open(subject.host.path("/dev/kvm"));
  return system
             ? passed(fmt::format("/dev/kvm can be opened and does what gpuvm needs ({} vCPUs, {} "
                                  "memory slots)",
                                  system->max_vcpus(), system->max_memory_slots()))
             : refused(system.error(), kWhy, "a newer kernel of the host, with KVM of its own");
}

std::optional<CheckLine> look_at_iommu_tables(const CheckSubject& subject) {
  const auto cpu = cpu_facts_of(subject.host);
  const auto maker = cpu.maker;
  for (const char* const table : {"DMAR", "IVRS"}) {
    if (subject.host.exists(fmt::format("/sys/firmware/acpi/tables/{}", table))) {
      return passed(fmt::format("the firmware tells of an IOMMU (ACPI's table {})", table));
    }
  }
  if (has_groups(subject) || maker == CpuMaker::kOther) {
    return std::nullopt;  // told to the kernel another way
  }
  return failed(fmt::format("the firmware tells of no IOMMU (no ACPI table {})",
                            maker == CpuMaker::kIntel ? "DMAR" : "IVRS"),
                "An IOMMU keeps a guest's device away from the memory of others",
                cpu.is_guest                ? kGuestIommu
                : maker == CpuMaker::kIntel ? kBiosVtd
                                            : kBiosAmdVi);
}

std::optional<CheckLine> look_at_groups(const CheckSubject& subject) {
  const auto count = subject.host.list("/sys/kernel/iommu_groups").size();
  if (count != 0) {
    return passed(fmt::format("{} IOMMU groups", count));
  }
  const auto cpu = cpu_facts_of(subject.host);
  const bool has_tables = subject.host.exists("/sys/firmware/acpi/tables/DMAR") ||
                          subject.host.exists("/sys/firmware/acpi/tables/IVRS");
  auto line = refused(no_iommu_error(), "Without groups VFIO hands out no device",
                      "switch on the IOMMU in the BIOS");
  for (const char* const off : {"amd_iommu=off", "intel_iommu=off", "iommu=off"}) {
    if (boot_word(subject.host, off)) {
      line.cure = fmt::format(
          "take {} off the kernel's command line (/etc/default/grub, "
          "`update-grub`), and restart",
          off);
      return line;
    }
  }
  if (cpu.is_guest && !has_tables) {
    line.cure = kGuestIommu;
  } else if (cpu.maker == CpuMaker::kIntel) {
    line.cure =
        boot_word(subject.host, "intel_iommu=on") ? kBiosVtd : add_boot_argument("intel_iommu=on");
  } else if (cpu.maker == CpuMaker::kAmd) {
    line.cure = kBiosAmdVi;
  }
  return line;
}

/// Linux names the chips of remapped interrupts "IR-…" (drivers/iommu, irq_chip::name).
std::optional<CheckLine> look_at_remapping(const CheckSubject& subject) {
  const auto interrupts = subject.host.read("/proc/interrupts");
  if (!has_groups(subject) || !interrupts || cpu_facts_of(subject.host).maker == CpuMaker::kOther) {
    return std::nullopt;
  }
  if (interrupts->find(" IR-") != std::string::npos) {
    return passed("interrupts are remapped by the IOMMU");
  }
  const auto unsafe =
      subject.host.read("/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts");
  constexpr const char* kWhy =
      "Without it a guest's device can forge interrupts of the host, so VFIO refuses devices";
  if (unsafe && unsafe->starts_with("Y")) {
    return warned("interrupts are not remapped, and VFIO has been told to bear it", kWhy,
                  "switch on interrupt remapping (x2APIC, Intel VT-d with \"Interrupt Remapping\") "
                  "in the BIOS, and take intremap=off off the kernel's command line");
  }
  return failed(
      "interrupts are not remapped by the IOMMU", kWhy,
      "switch on interrupt remapping (x2APIC) in the BIOS, and take intremap=off and "
      "nox2apic off the kernel's command line; where the machine has none and you trust "
      "the guest: `echo Y >/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts`");
}

std::optional<CheckLine> look_at_vfio(const CheckSubject& subject) {
  constexpr const char* kWhy = "Devices are handed to guests by vfio-pci";
  switch (module_state(subject.host, "vfio_pci")) {
    case ModuleState::kLoaded:
      return passed("vfio-pci is loaded");
    case ModuleState::kAvailable:
      return ::geteuid() == 0 ? passed("vfio-pci is not loaded; gpuvm does that")
                              : warned("vfio-pci is not loaded", kWhy,
                                       "`modprobe vfio-pci` as root; at every boot: `echo vfio-pci "
                                       ">/etc/modules-load.d/vfio-pci.conf`");
    case ModuleState::kMissing:
      return failed("this kernel has no vfio-pci", kWhy,
                    "install a kernel of your distribution with CONFIG_VFIO_PCI (Debian: `apt "
                    "install linux-image-amd64`, not the cloud one)");
    case ModuleState::kUnknown:
      break;
  }
  return subject.is_here ? std::optional(warned("whether this kernel has vfio-pci is not known (no "
                                                "lists in /lib/modules)",
                                                kWhy, "`modprobe vfio-pci`"))
                         : std::nullopt;
}

std::optional<CheckLine> look_at_rights(const CheckSubject& subject) {
  if (!subject.is_here) {
    return std::nullopt;
  }
  if (::geteuid() == 0) {
    return passed("gpuvm runs as root, and may take devices from their drivers");
  }
  return warned(
      "gpuvm does not run as root: it can pass what VFIO has already and this user may "
      "open, and read no more than 64 bytes of configuration spaces",
      "Only root takes devices from their drivers",
      "run as root; or bind the devices at boot and give /dev/vfio/GROUP to a group of "
      "users (udev: `SUBSYSTEM==\"vfio\", GROUP=\"kvm\", MODE=\"0660\"`)");
}

std::optional<CheckLine> look_at_lock(const CheckSubject& subject) {
  if (!subject.is_here) {
    return std::nullopt;
  }
  constexpr const char* kWhy =
      "Devices reach a guest's memory at any time, so that all of it stays";
  const auto rights = PinningRights::of_this_process(subject.host);
  const Config* const config = subject.config;
  if (config != nullptr && !config->pci.empty()) {
    if (const Status pinning = check_pinning(rights, config->machine.memory); !pinning) {
      return refused(pinning.error(), kWhy,
                     "`ulimit -l unlimited` as root, or LimitMEMLOCK=infinity in a systemd unit");
    }
  }
  if (rights.may_exceed || !rights.limit) {
    return passed("memory may be locked without a limit");
  }
  const auto mib = *rights.limit >> 20;
  return config != nullptr
             ? passed(fmt::format("{} MiB may be locked in memory", mib))
             : warned(fmt::format("only {} MiB may be locked in memory", mib), kWhy,
                      "`ulimit -l unlimited` as root, LimitMEMLOCK=infinity in a systemd unit, or "
                      "`USER - memlock unlimited` in /etc/security/limits.conf");
}

std::optional<CheckLine> look_at_huge_pages(const CheckSubject& subject) {
  constexpr const char* kShared = "/sys/kernel/mm/transparent_hugepage/shmem_enabled";
  constexpr const char* kWhy =
      "Memory in pages of 4 KiB takes some 0.25 s a GiB longer until devices have it, and costs "
      "the "
      "guest nested page faults";
  if (subject.config != nullptr && subject.config->machine.huge_pages != HugePages::kOff) {
    return std::nullopt;  // "memory" counts them
  }
  const auto mode = subject.host.read(kShared);
  if (!mode) {
    return warned("this kernel has no transparent huge pages for shared memory", kWhy,
                  "machine.hugepages = \"2MiB\", with pages reserved: `echo N "
                  ">/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages`");
  }
  if (is_kernel_at_least(subject.host, 6, 1)) {
    return passed("guests' memory becomes transparent huge pages (gpuvm asks for each one)");
  }
  if (mode->find("[always]") != std::string::npos ||
      mode->find("[within_size]") != std::string::npos) {
    return passed("guests' memory becomes transparent huge pages");
  }
  return warned(fmt::format("transparent huge pages are off for shared memory, and this kernel "
                            "(before 6.1) makes none by request: {}",
                            *mode),
                kWhy, fmt::format("`echo within_size >{}`", kShared));
}

std::optional<CheckLine> look_at_kernel(const CheckSubject& subject) {
  const auto release = kernel_release(subject.host);
  if (release.empty()) {
    return std::nullopt;
  }
  const Status known = check_kernel_release(release);
  const bool is_number = is_kernel_at_least(subject.host, 0, 0);
  if (known && is_number && !is_kernel_at_least(subject.host, 5, 15)) {
    return warned(
        fmt::format("Linux {} is older than 5.15, where gpuvm has not been tried", release),
        "VFIO, KVM and io_uring of older kernels lack what gpuvm uses, or do it otherwise",
        "boot a kernel from 5.15 on, better from 6.1 on");
  }
  return known ? passed(fmt::format("Linux {} has no fault in resets that is known here", release))
               : refused(known.error(), "A GPU that cannot be reset serves one guest",
                         "update the host's kernel, or boot the one before");
}

struct HostCheck {
  const char* name;
  /// Nothing: it does not concern this host.
  std::optional<CheckLine> (*look)(const CheckSubject&);
  bool for_devices_only;  ///< a guest without devices does not ask
};

constexpr std::array kHostChecks = {
    HostCheck{"processor", look_at_processor, false},
    HostCheck{"kvm", look_at_kvm, false},
    HostCheck{"iommu_tables", look_at_iommu_tables, true},
    HostCheck{"iommu_groups", look_at_groups, true},
    HostCheck{"interrupt_remapping", look_at_remapping, true},
    HostCheck{"vfio_module", look_at_vfio, true},
    HostCheck{"rights", look_at_rights, true},
    HostCheck{"memory_lock", look_at_lock, true},
    HostCheck{"huge_pages", look_at_huge_pages, false},
    HostCheck{"kernel", look_at_kernel, true},
};

}  // namespace

void add_host_lines(const CheckSubject& subject, CheckLines& lines) {
  const bool has_devices = subject.config == nullptr || !subject.config->pci.empty();
  for (const HostCheck& check : kHostChecks) {
    auto line = check.for_devices_only && !has_devices ? std::nullopt : check.look(subject);
    if (line) {
      line->check = check.name;
      lines.push_back(*std::move(line));
    }
  }
}

}  // namespace gpuvm
