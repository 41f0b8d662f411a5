// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/save_host.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <sstream>

#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/host/bar_claims.hpp"
#include "vmm/host/device_claim.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host_map/host_map.hpp"
#include "vmm/machine/report/private_text.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostLines = 65536;
constexpr std::size_t kMostListed = 4096;

/// Texts of a line or a few, as they are.
constexpr std::array kTexts = {
    "/proc/sys/kernel/osrelease",
    "/sys/class/dmi/id/bios_date",
    "/sys/class/dmi/id/bios_version",
    "/sys/class/dmi/id/board_name",
    "/sys/class/dmi/id/board_vendor",
    "/sys/devices/system/node/online",
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/mm/transparent_hugepage/shmem_enabled",
    "/sys/module/kvm/parameters/ignore_msrs",
    "/sys/module/kvm_amd/parameters/nested",
    "/sys/module/kvm_intel/parameters/nested",
    "/sys/module/nvidia_drm/parameters/fbdev",
    "/sys/module/nvidia_drm/parameters/modeset",
    "/sys/module/vfio_iommu_type1/parameters/allow_unsafe_interrupts",
    "/sys/module/vfio_pci/parameters/disable_idle_d3",
    "/sys/module/vfio_pci/parameters/ids",
};
/// That they are there is what they tell.
constexpr std::array kPresent = {
    "/dev/kvm",
    "/dev/vfio/vfio",
    "/sys/firmware/acpi/tables/DMAR",
    "/sys/firmware/acpi/tables/IVRS",
    "/sys/module/kvm",
    "/sys/module/kvm_amd",
    "/sys/module/kvm_intel",
    "/sys/module/nouveau",
    "/sys/module/nvidia",
    "/sys/module/nvidia_drm",
    "/sys/module/vfio",
    "/sys/module/vfio_iommu_type1",
    "/sys/module/vfio_pci",
    "/sys/firmware/efi",
};
/// Words of the kernel's command line that say something of devices, by how they begin; the rest
/// names disks and machines.
constexpr std::array<std::string_view, 26> kBootWords = {
    "amd_iommu",
    "amdgpu.",
    "default_hugepagesz",
    "efifb",
    "hugepages",
    "hugepagesz",
    "i915.",
    "initcall_blacklist",
    "intel_iommu",
    "intremap",
    "iommu",
    "isolcpus",
    "kvm",
    "mem_encrypt",
    "modprobe.blacklist",
    "module_blacklist",
    "nomodeset",
    "nouveau.",
    "nvidia",
    "pci",
    "pcie",
    "rd.driver",
    "transparent_hugepage",
    "vfio",
    "video",
    "xe.",
};
constexpr std::array<std::string_view, 6> kCpuKeys = {"vendor_id",  "cpu family", "model",
                                                      "model name", "flags",      "address sizes"};
constexpr std::array<std::string_view, 3> kCpuFlags = {"hypervisor", "svm", "vmx"};

class Saver {
 public:
  explicit Saver(const HostSystem& host) : host_(host), clean_(PrivateText::of_this_host(host)) {}

  Result<HostCopy> save() {
    TRY(save_functions());
    save_names();
    for (const char* const path : kTexts) {
      if (const auto text = host_.read(path)) {
        put(path, clean_.clean(*text));
      }
    }
    for (const char* const path : kPresent) {
      if (host_.exists(path)) {
        copy_.make(path);
      }
    }
    save_kernel();
    save_processor();
    save_interrupts();
    save_memory();
    save_claims();
    save_disks();
    save_owners();
    save_groups();
    if (hides_capabilities()) {
      copy_.add_remark(
          "Saved without root: capabilities of the functions, and so much of their resets, are "
          "not in it");
    }
    return std::move(copy_);
  }

 private:
  void put(std::string_view path, std::string text) { copy_.make(path).text = std::move(text); }

  /// Lines of a file, each as `keep` wants it; nothing: not at all.
  void put_lines(std::string_view path,
                 const std::function<std::optional<std::string>(const std::string&)>& keep) {
    const auto text = host_.read(path);
    if (!text) {
      return;
    }
    std::istringstream stream(*text);
    std::string kept;
    std::size_t count = 0;
    for (std::string line; count < kMostLines && std::getline(stream, line);) {
      if (const auto what = keep(line)) {
        kept += *what + "\n";
        ++count;
      }
    }
    put(path, std::move(kept));
  }

  Status save_functions() {
    for (const std::string& name : host_.list("/sys/bus/pci/devices")) {
      const auto bdf = Bdf::parse(name);
      if (!bdf || bdf->to_string() != name) {
        continue;
      }
      if (functions_.size() == kMostMapFunctions) {
        return fail(ErrorKind::kConfig, "The host has more than {} PCI functions",
                    kMostMapFunctions);
      }
      save_function(host_, name, clean_, copy_);
      functions_.push_back(*bdf);
    }
    return {};
  }

  /// The host's list of PCI ids, as far as it is about its functions.
  void save_names() {
    std::vector<PciIds> ids;
    for (const Bdf& bdf : functions_) {
      if (const auto device = HostPciDevice::open(host_, bdf)) {
        ids.push_back(device->ids());
      }
    }
    const auto excerpt = PciNames::of_host(host_).excerpt(ids);
    if (!excerpt.empty()) {
      put(kPciIdPaths[0], excerpt);
    }
  }

  /// /proc/version names who built the kernel, and the command line disks.
  void save_kernel() {
    const auto release = host_.read("/proc/sys/kernel/osrelease");
    const auto package = kernel_release(host_);
    if (release && package != *release) {
      put("/proc/version",
          clean_.clean(fmt::format("Linux version {} Debian {}", *release, package)));
    }
    const auto line = host_.read("/proc/cmdline");
    std::istringstream words(line ? *line : std::string());
    std::string kept;
    for (std::string word; words >> word;) {
      if (std::any_of(kBootWords.begin(), kBootWords.end(),
                      [&word](std::string_view begin) { return word.starts_with(begin); })) {
        kept += fmt::format("{}{}", kept.empty() ? "" : " ", word);
      }
    }
    put("/proc/cmdline", clean_.clean(kept));
  }

  /// Of the first processor.
  void save_processor() {
    bool is_first = true;
    put_lines("/proc/cpuinfo", [&](const std::string& line) -> std::optional<std::string> {
      is_first = is_first && !line.empty();
      const auto colon = line.find(':');
      if (!is_first || colon == std::string::npos) {
        return std::nullopt;
      }
      const std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1);
      if (std::find(kCpuKeys.begin(), kCpuKeys.end(), key) == kCpuKeys.end()) {
        return std::nullopt;
      }
      std::string value = line.substr(colon + 1);
      if (key == "flags") {
        std::istringstream flags(std::exchange(value, ""));
        for (std::string flag; flags >> flag;) {
          value += std::find(kCpuFlags.begin(), kCpuFlags.end(), flag) == kCpuFlags.end()
                       ? ""
                       : " " + flag;
        }
      }
      return fmt::format("{}\t:{}", key, clean_.clean(value));
    });
  }

  /// Only whether interrupts are remapped: one line of them.
  void save_interrupts() {
    bool is_told = false;
    put_lines("/proc/interrupts", [&](const std::string& line) -> std::optional<std::string> {
      const auto at = line.find(" IR-");
      if (is_told || at == std::string::npos) {
        return std::nullopt;
      }
      is_told = true;
      return "  0:  0 " + clean_.clean(line.substr(at + 1, line.find(' ', at + 1) - at - 1));
    });
  }

  void save_memory() {
    put_lines("/proc/meminfo", [](const std::string& line) {
      return line.starts_with("MemTotal:") || line.starts_with("MemAvailable:")
                 ? std::optional(line)
                 : std::nullopt;
    });
    for (const std::string& size : list("/sys/kernel/mm/hugepages")) {
      for (const char* const count : {"nr_hugepages", "free_hugepages"}) {
        const auto path = fmt::format("/sys/kernel/mm/hugepages/{}/{}", size, count);
        if (const auto text = host_.read(path)) {
          put(path, clean_.clean(*text));
        }
      }
    }
    for (const std::string& node : list("/sys/devices/system/node")) {
      for (const char* const file : {"distance", "cpulist"}) {
        const auto path = fmt::format("/sys/devices/system/node/{}/{}", node, file);
        if (const auto text = node.starts_with("node") ? host_.read(path) : std::string()) {
          if (!text->empty()) {
            put(path, clean_.clean(*text));
          }
        }
      }
    }
  }

  /// What of /proc/iomem is in a BAR: the rest tells where the kernel is.
  void save_claims() {
    std::vector<PciBar> bars;
    for (const Bdf& bdf : functions_) {
      const auto device = HostPciDevice::open(host_, bdf);
      const auto of_device = device ? device->bars() : Result<std::vector<PciBar>>(device.error());
      for (const PciBar& bar : of_device ? *of_device : std::vector<PciBar>()) {
        if (!bar.io && device->is_display()) {
          bars.push_back(bar);
        }
      }
    }
    put_lines("/proc/iomem", [&](const std::string& line) -> std::optional<std::string> {
      const auto claims = parse_iomem(line);
      const bool is_near =
          !claims.empty() && std::any_of(bars.begin(), bars.end(), [&](const PciBar& bar) {
            return claims[0].first < bar.address + bar.size && claims[0].last >= bar.address;
          });
      return is_near ? std::optional(clean_.clean(line)) : std::nullopt;
    });
  }

  /// Which disks of PCI functions are in use, not by what.
  void save_disks() {
    for (const std::string& name : list("/sys/class/block")) {
      const auto base = "/sys/class/block/" + name;
      const auto place = host_.link_text(base);
      if (!place || place->find("/pci") == std::string::npos) {
        continue;
      }
      copy_.make(base).link = clean_.clean(*place);
      for (std::size_t i = 0; i < list(base + "/holders").size(); ++i) {
        copy_.make(fmt::format("{}/holders/holder{}", base, i));
      }
    }
    for (const char* const table : {"/proc/self/mounts", "/proc/swaps"}) {
      put_lines(table, [](const std::string& line) {
        const auto device = line.substr(0, line.find_first_of(" \t"));
        return device.starts_with("/dev/") ? std::optional(device + " (hidden)") : std::nullopt;
      });
    }
  }

  /// Guests' names are their owners' business.
  void save_owners() {
    for (const Bdf& bdf : recorded_devices(host_)) {
      if (auto record = read_device_record(host_, bdf)) {
        record->owner = "a guest";
        const bool is_gone = host_.exists("/proc/self/status") &&
                             !host_.exists(fmt::format("/proc/{}", record->pid));
        record->pid = !record->dirty.empty() && is_gone ? 0 : record->pid;
        record->looks.clear();
        record->dirty = clean_.clean(record->dirty);
        put(StateFile::path(bdf, kClaimSuffix), record->to_text());
      }
    }
  }

  void save_groups() {
    for (const std::string& group : list("/sys/kernel/iommu_groups")) {
      const auto base = "/sys/kernel/iommu_groups/" + group;
      copy_.make(base);
      if (const auto type = host_.read(base + "/type")) {
        put(base + "/type", clean_.clean(*type));
      }
      for (const std::string& name : host_.list(base + "/devices")) {
        if (Bdf::parse(name)) {
          copy_.make(fmt::format("{}/devices/{}", base, name));
        }
      }
    }
    for (const std::string& iommu : list("/sys/class/iommu")) {
      copy_.make("/sys/class/iommu/" + clean_.clean(iommu));
    }
    for (const std::string& console : list("/sys/class/vtconsole")) {
      for (const char* const file : {"name", "bind"}) {
        const auto path = fmt::format("/sys/class/vtconsole/{}/{}", console, file);
        if (const auto text = host_.read(path)) {
          put(path, clean_.clean(*text));
        }
      }
    }
  }

  /// As the kernel does without root: it shows 64 bytes of each configuration space.
  bool hides_capabilities() const {
    return std::any_of(functions_.begin(), functions_.end(), [this](const Bdf& bdf) {
      const auto config = copy_.read_bytes(pci_sysfs_path(bdf, "config"), pci::kConfigSize);
      return !config || config->size() <= pci::kHeaderSize;
    });
  }

  std::vector<std::string> list(std::string_view path) const {
    auto names = host_.list(path);
    names.resize(std::min(names.size(), kMostListed));
    return names;
  }

  const HostSystem& host_;
  const PrivateText clean_;
  HostCopy copy_;
  std::vector<Bdf> functions_;
};

}  // namespace

Result<HostCopy> save_host(const HostSystem& host) {
  return Saver(host).save();
}

}  // namespace gpuvm
