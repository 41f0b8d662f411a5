// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_check.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <sstream>

#include "vmm/base/unique_fd.hpp"
#include "vmm/host/bar_claims.hpp"
#include "vmm/host/device_use.hpp"
#include "vmm/host/iommu_group.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/vfio_driver.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kCapIpcLock = 14;  // capabilities(7), linux/capability.h

constexpr std::uint64_t to_mib(std::uint64_t bytes) {
  return bytes >> 20;
}

/// The word after "key:" in a table such as /proc/meminfo.
std::optional<std::string> table_value(const HostSystem& host, std::string_view table,
                                       std::string_view key) {
  const auto text = host.read(table);
  std::istringstream lines(text ? *text : std::string());
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key) && line.size() > key.size() && line[key.size()] == ':') {
      std::istringstream words(line.substr(key.size() + 1));
      std::string value;
      words >> value;
      return value;
    }
  }
  return std::nullopt;
}

std::optional<std::uint64_t> to_number(const std::string& text, int base) {
  std::uint64_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  return error == std::errc{} && stop == text.data() + text.size() ? std::optional(value)
                                                                   : std::nullopt;
}

Status check_huge_pages(const HostSystem& host, std::uint64_t bytes, std::uint64_t page_size) {
  const std::string pool = fmt::format("/sys/kernel/mm/hugepages/hugepages-{}kB", page_size >> 10);
  const auto free_pages = host.read_number(pool + "/free_hugepages");
  const std::uint64_t needed = (bytes + page_size - 1) / page_size;
  if (!free_pages) {
    return fail(ErrorKind::kHost,
                "This host has no huge pages of {} MiB: choose another size in the configuration",
                to_mib(page_size));
  }
  if (*free_pages < needed) {
    const auto reserved = host.read_number(pool + "/nr_hugepages").value_or(*free_pages);
    return fail(ErrorKind::kHost,
                "The guest's memory needs {} free huge pages of {} MiB, {} are free: `echo {} "
                ">{}/nr_hugepages` (reserve 1 GiB pages at boot)",
                needed, to_mib(page_size), *free_pages, reserved + needed - *free_pages, pool);
  }
  return {};
}

struct FaultyRelease {
  std::string_view release;  ///< with its stable number, and whatever a distribution appends
  std::string_view fault;
  std::string_view source;
};
constexpr std::string_view kSlotResets =
    "cannot reset a GPU together with its other functions (a fault of this release, repaired in "
    "the next)";
// It refused to reset several functions at once unless each had a reset of its own.
constexpr std::string_view kSlotResetsSource =
    "Linux 479380efe162 \"PCI: Avoid reset when disabled via sysfs\", reverted by bc0b828ef6e5; "
    "zen-kernel#380";
constexpr std::array kFaultyReleases = {
    FaultyRelease{"6.12.23", kSlotResets, kSlotResetsSource},
    FaultyRelease{"6.14.2", kSlotResets, kSlotResetsSource},
};

}  // namespace

PinningRights PinningRights::of_this_process(const HostSystem& host) {
  PinningRights rights;
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY) {
    rights.limit = limit.rlim_cur;
  }
  const auto mask = table_value(host, "/proc/self/status", "CapEff");
  const auto bits = mask ? to_number(*mask, 16) : std::nullopt;
  rights.may_exceed = bits && (*bits >> kCapIpcLock & 1) != 0;
  return rights;
}

Status check_kvm(const HostSystem& host) {
  const std::string path = host.path("/dev/kvm");
  const UniqueFd fd(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (fd) {
    return {};
  }
  if (errno == ENOENT) {
    return fail(ErrorKind::kHost,
                "/dev/kvm is missing: switch on virtualisation (VT-x or AMD-V) in the BIOS and "
                "load the module kvm_intel or kvm_amd");
  }
  if (errno == EACCES || errno == EPERM) {
    return fail(ErrorKind::kHost,
                "/dev/kvm may not be opened: add the user to the group kvm (`usermod -aG kvm "
                "USER`, then log in again) or run as root");
  }
  return fail_errno(ErrorKind::kHost,
                    "/dev/kvm cannot be opened (is virtualisation on in the BIOS?)");
}

Status check_iommu(const HostSystem& host) {
  if (host.list("/sys/kernel/iommu_groups").empty()) {
    return no_iommu_error();
  }
  return {};
}

Status check_device(const HostSystem& host, const Bdf& bdf, bool managed_binding) {
  const HostPciDevice device = TRY(HostPciDevice::open(host, bdf));
  if (device.is_bridge()) {
    return fail(ErrorKind::kConfig,
                "{} is a PCI bridge, which stays with the host: name the function behind it",
                bdf.to_string());
  }
  TRY(check_bars_free(host, bdf));
  const auto driver = device.driver();
  if (is_with_vfio(host, bdf)) {
    return {};
  }
  if (!managed_binding) {
    return fail(ErrorKind::kHost,
                "{} belongs to {} and not to vfio-pci: bind it at boot, or let gpuvm bind it "
                "(managed = true)",
                bdf.to_string(), driver ? "the driver " + *driver : "no driver");
  }
  return check_not_in_use(host, bdf);
}

Status check_group(const HostSystem& host, const Bdf& bdf, std::span<const Bdf> ours) {
  return TRY(IommuGroup::of(host, bdf)).check_viable(host, ours);
}

Error group_busy_error(const HostSystem& host, std::uint32_t group) {
  std::string holders;
  for (const std::string& holder : find_holders(host, fmt::format("/dev/vfio/{}", group))) {
    holders += (holders.empty() ? "" : ", ") + holder;
  }
  if (holders.empty()) {
    holders =
        "another process (`fuser -v /dev/vfio/" + std::to_string(group) + "` as root names it)";
  }
  return fail(ErrorKind::kHost, "IOMMU group {} is in use by {}: stop that guest first", group,
              holders);
}

Status check_group_free(const HostSystem& host, const Bdf& bdf) {
  const IommuGroup group = TRY(IommuGroup::of(host, bdf));
  if (find_holders(host, fmt::format("/dev/vfio/{}", group.number())).empty()) {
    return {};
  }
  return group_busy_error(host, group.number());
}

Status check_memory(const HostSystem& host, std::uint64_t bytes, std::uint64_t huge_page_size) {
  if (huge_page_size != 0) {
    return check_huge_pages(host, bytes, huge_page_size);
  }
  const auto text = table_value(host, "/proc/meminfo", "MemAvailable");
  const auto kib = text ? to_number(*text, 10) : std::nullopt;
  if (kib && *kib < bytes >> 10) {
    return fail(ErrorKind::kHost,
                "The guest's memory of {} MiB is more than the {} MiB that the host has available: "
                "make it smaller or stop other programs",
                to_mib(bytes), *kib >> 10);
  }
  return {};
}

Status check_pinning(const PinningRights& rights, std::uint64_t bytes) {
  if (rights.may_exceed || !rights.limit || *rights.limit >= bytes) {
    return {};
  }
  return fail(ErrorKind::kHost,
              "Devices need all of the guest's {} MiB locked in memory, but this process may lock "
              "only {} MiB: `ulimit -l {}` (KiB), or LimitMEMLOCK= of the systemd unit, or run as "
              "root",
              to_mib(bytes), to_mib(*rights.limit), bytes >> 10);
}

Status check_kernel_release(std::string_view release) {
  for (const auto& [bad, fault, source] : kFaultyReleases) {
    const bool is_longer = release.size() > bad.size();
    const bool is_other_number =
        is_longer && release[bad.size()] >= '0' && release[bad.size()] <= '9';
    if (release.starts_with(bad) && !is_other_number) {
      return fail(ErrorKind::kHost, "Linux {} {}: update the host's kernel (source: {})", release,
                  fault, source);
    }
  }
  return {};
}

/// Debian's release names ("6.1.0-49-amd64") have no stable number; its /proc/version ends with the
/// version of the package ("Debian 6.1.174-1 (2026-06-01)").
std::string kernel_release(const HostSystem& host) {
  constexpr std::string_view kDebian = " Debian ";
  const auto version = host.read("/proc/version");
  if (const auto at = version ? version->rfind(kDebian) : std::string::npos;
      at != std::string::npos) {
    const std::string package = version->substr(at + kDebian.size());
    return package.substr(0, package.find(' '));
  }
  const auto release = host.read("/proc/sys/kernel/osrelease");
  return release ? *release : "";
}

std::vector<Finding> check_host(const HostSystem& host, const HostNeeds& needs) {
  std::vector<Finding> findings;
  findings.push_back({"kvm", check_kvm(host)});
  findings.push_back({"memory", check_memory(host, needs.memory, needs.huge_page_size)});
  if (needs.devices.empty()) {
    return findings;
  }
  findings.push_back({"iommu", check_iommu(host)});
  findings.push_back({"kernel", check_kernel_release(kernel_release(host))});
  findings.push_back(
      {"memory_lock", check_pinning(PinningRights::of_this_process(host), needs.memory)});
  for (const Bdf& bdf : needs.devices) {
    const std::string name = bdf.to_string();
    const bool is_managed =
        std::find(needs.unmanaged.begin(), needs.unmanaged.end(), bdf) == needs.unmanaged.end();
    Status present = check_device(host, bdf, is_managed);
    const bool is_present = present.has_value();
    findings.push_back({"device", std::move(present), name});
    if (is_present) {
      findings.push_back({"group", check_group(host, bdf, needs.devices), name});
      findings.push_back({"users", check_group_free(host, bdf), name});
    }
  }
  return findings;
}

Status require_host(const HostSystem& host, const HostNeeds& needs) {
  for (Finding& finding : check_host(host, needs)) {
    if (!finding.outcome) {
      return std::move(finding.outcome);
    }
  }
  return {};
}

}  // namespace gpuvm
