// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/vfio_host.hpp"

#include <fcntl.h>
#include <linux/vfio.h>

#include <cerrno>
#include <future>
#include <set>
#include <thread>

#include "devices/physical/vfio/opening_order.hpp"
#include "devices/physical/vfio/vfio_errors.hpp"
#include "devices/physical/vfio/vfio_io.hpp"
#include "devices/physical/vfio/vfio_parse.hpp"
#include "vmm/base/async.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/iommu_group.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/host/vfio_driver.hpp"

namespace gpuvm {
namespace {

Error not_viable_error(std::uint32_t group) {
  return fail(ErrorKind::kHost,
              "IOMMU group {} is not viable: the host drives another function of it; `ls "
              "/sys/kernel/iommu_groups/{}/devices` lists them: add them to the configuration, set "
              "functions = \"all\", or bind them to vfio-pci",
              group, group);
}

Error map_error(int error, Iova at, std::uint64_t size) {
  const std::string what =
      fmt::format("Cannot give devices {:#x} bytes of guest memory at {:#x}", size, at.value());
  switch (error) {
    case ENOMEM:
      return fail(ErrorKind::kHost,
                  "{}: not enough memory may be locked; raise `ulimit -l` or LimitMEMLOCK= of the "
                  "systemd unit to the guest's memory, or run as root",
                  what);
    case ENOSPC:
      return fail(ErrorKind::kHost,
                  "{}: all mappings of the container are used up; raise dma_entry_limit of the "
                  "module vfio_iommu_type1",
                  what);
    case EEXIST:
      return fail(ErrorKind::kInternal, "{}: something is mapped there already", what);
    default:
      return fail_errno(ErrorKind::kHost, what, error);
  }
}

Result<UniqueFd> duplicate(const UniqueFd& file) {
  UniqueFd second(::fcntl(file.get(), F_DUPFD_CLOEXEC, 0));
  return second ? Result<UniqueFd>(std::move(second))
                : fail_errno(ErrorKind::kHost, "Cannot hand VFIO's files on");
}

Result<std::uint32_t> group_of(const HostSystem& host, const Bdf& bdf) {
  const IommuGroup group = TRY(IommuGroup::of(host, bdf));
  const HostPciDevice device = TRY(HostPciDevice::open(host, bdf));
  if (!is_with_vfio(host, bdf)) {
    const auto driver = device.driver();
    return fail(
        ErrorKind::kHost,
        "{} is bound to {} and not to vfio-pci: bind it at boot, or let gpuvm bind it (managed = "
        "true)",
        bdf.to_string(), driver ? *driver : "no driver");
  }
  return group.number();
}

}  // namespace

Result<std::unique_ptr<VfioHost>> VfioHost::open(const std::vector<VfioFunction>& functions,
                                                 const HostSystem& host) {
  std::unique_ptr<VfioHost> self(new VfioHost(host));
  std::vector<std::uint32_t> groups;
  groups.reserve(functions.size());
  for (const VfioFunction& function : functions) {
    groups.push_back(TRY(group_of(host, function.bdf)));
  }
  TRY(self->open_container(host));
  for (const std::uint32_t group : std::set<std::uint32_t>(groups.begin(), groups.end())) {
    TRY(self->add_group(host, group));
  }
  if (!functions.empty()) {
    TRY(self->set_iommu(host));
    TRY(self->load_iommu_info());
  }
  TRY(self->add_devices(functions, groups));
  return self;
}

Result<std::unique_ptr<VfioHost>> VfioHost::adopt(CardFiles files, const HostSystem& host) {
  std::unique_ptr<VfioHost> self(new VfioHost(host));
  self->container_ = std::move(files.container);
  for (auto& group : files.groups) {
    self->groups_.emplace(group.number, std::move(group.file));
  }
  TRY(self->load_iommu_info());
  for (auto& function : files.functions) {
    if (!self->groups_.contains(function.group)) {
      return fail(ErrorKind::kInternal, "{} came without its IOMMU group {}",
                  function.bdf.to_string(), function.group);
    }
    self->devices_.push_back(
        TRY(VfioDevice::adopt(host, function.bdf, function.group, std::move(function.device),
                              std::move(function.config), std::move(function.resource))));
  }
  return self;
}

Result<CardFiles> VfioHost::duplicate_files() const {
  CardFiles files;
  files.container = TRY(duplicate(container_));
  for (const auto& [number, file] : groups_) {
    auto second = TRY(duplicate(file));
    files.groups.push_back({.number = number, .file = std::move(second)});
  }
  for (const auto& device : devices_) {
    auto second = TRY(device->duplicate_files());
    files.functions.push_back({.bdf = device->bdf(),
                               .group = device->group(),
                               .device = std::move(second.device),
                               .config = std::move(second.config),
                               .resource = std::move(second.resource)});
  }
  return files;
}

Status VfioHost::open_container(const HostSystem& host) {
  container_ = UniqueFd(::open(host.path("/dev/vfio/vfio").c_str(), O_RDWR | O_CLOEXEC));
  if (!container_) {
    return fail_errno(ErrorKind::kHost,
                      "Cannot open /dev/vfio/vfio (load the module with `modprobe vfio-pci`, and "
                      "run as root or as the owner of /dev/vfio)");
  }
  const int version = vfio::call_ioctl(container_.get(), VFIO_GET_API_VERSION, 0);
  if (version != VFIO_API_VERSION) {
    return fail(ErrorKind::kHost, "The kernel's VFIO speaks version {}, not {}", version,
                VFIO_API_VERSION);
  }
  if (vfio::call_ioctl(container_.get(), VFIO_CHECK_EXTENSION, VFIO_TYPE1v2_IOMMU) <= 0) {
    return fail(ErrorKind::kHost,
                "The kernel's VFIO has no type1 v2 IOMMU: load the module vfio_iommu_type1");
  }
  return {};
}

Status VfioHost::add_group(const HostSystem& host, std::uint32_t number) {
  const std::string path = host.path(fmt::format("/dev/vfio/{}", number));
  UniqueFd group(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!group && errno == EBUSY) {
    return group_busy_error(host, number);
  }
  if (!group) {
    return fail_errno(ErrorKind::kHost, "Cannot open " + path + " (run as root or as its owner)");
  }
  vfio_group_status status{};
  status.argsz = sizeof status;
  const int asked = vfio::call_ioctl(group.get(), VFIO_GROUP_GET_STATUS, &status);
  if (asked < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot ask about " + path, -asked);
  }
  if ((status.flags & VFIO_GROUP_FLAGS_VIABLE) == 0) {
    return not_viable_error(number);
  }
  const int container = container_.get();
  const int attached = vfio::call_ioctl(group.get(), VFIO_GROUP_SET_CONTAINER, &container);
  if (attached == -EPERM) {
    return not_viable_error(number);
  }
  if (attached < 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot attach IOMMU group {}", number),
                      -attached);
  }
  groups_.emplace(number, std::move(group));
  return {};
}

Status VfioHost::set_iommu(const HostSystem& host) {
  const int result = vfio::call_ioctl(container_.get(), VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU);
  if (result >= 0) {
    return {};
  }
  std::vector<std::uint32_t> numbers;
  for (const auto& [number, fd] : groups_) {
    numbers.push_back(number);
  }
  return vfio::set_iommu_error(host, numbers, -result);
}

Status VfioHost::load_iommu_info() {
  vfio_iommu_type1_info seed{};
  const auto answer = TRY(vfio::call_sized(
      [this](std::span<std::byte> argument) {
        return -vfio::call_ioctl(container_.get(), VFIO_IOMMU_GET_INFO, argument.data());
      },
      std::as_bytes(std::span<const vfio_iommu_type1_info, 1>(&seed, 1)),
      "Cannot ask VFIO about the IOMMU"));
  iova_ranges_ = TRY(vfio::parse_iova_ranges(answer));
  return {};
}

/// Each slot on a thread of its own but the first; all have ended before this returns. Of several
/// errors that of the slot named first.
Status VfioHost::add_devices(const std::vector<VfioFunction>& functions,
                             const std::vector<std::uint32_t>& groups) {
  devices_.resize(functions.size());
  const auto open_slot = [&](const std::vector<std::size_t>& slot) -> Status {
    for (const std::size_t i : slot) {
      devices_[i] = TRY(open_device(functions[i], groups[i]));
    }
    return {};
  };
  const auto slots = vfio::opening_order(functions);
  std::vector<std::future<Status>> others;
  for (std::size_t i = 1; i < slots.size(); ++i) {
    others.push_back(start_async(std::launch::async, [&, i] { return open_slot(slots[i]); }));
  }
  Status outcome = slots.empty() ? Status() : open_slot(slots.front());
  for (auto& other : others) {
    Status opened = other.get();
    if (outcome) {
      outcome = std::move(opened);
    }
  }
  return outcome;
}

/// Any thread.
Result<std::unique_ptr<VfioDevice>> VfioHost::open_device(const VfioFunction& function,
                                                          std::uint32_t group) const {
  const std::string name = vfio::device_name(function);
  const int fd = vfio::call_ioctl(groups_.at(group).get(), VFIO_GROUP_GET_DEVICE_FD, name.c_str());
  if (fd < 0) {
    return vfio::open_device_error(function, group, -fd);
  }
  return VfioDevice::create(host_, function.bdf, group, UniqueFd(fd));
}

std::vector<PhysicalDevice*> VfioHost::devices() const {
  std::vector<PhysicalDevice*> pointers;
  for (const auto& device : devices_) {
    pointers.push_back(device.get());
  }
  return pointers;
}

std::vector<int> VfioHost::group_fds() const {
  std::vector<int> fds;
  for (const auto& [number, fd] : groups_) {
    fds.push_back(fd.get());
  }
  return fds;
}

Result<VfioDevice*> VfioHost::find(const PhysicalDevice& device) const {
  for (const auto& ours : devices_) {
    if (ours.get() == &device) {
      return ours.get();
    }
  }
  return fail(ErrorKind::kInternal, "{} does not belong to this VFIO container", device.name());
}

Status VfioHost::map_dma(Iova at, const DmaMemory& memory) {
  const std::uint64_t size = memory.bytes.size();
  if (size == 0 || !is_aligned(at.value() | size, kPageSize)) {
    return fail(ErrorKind::kInternal, "DMA mapping at {:#x} of {:#x} bytes is not whole pages",
                at.value(), size);
  }
  TRY(vfio::check_iova(iova_ranges_, at, size));
  vfio_iommu_type1_dma_map request{};
  request.argsz = sizeof request;
  request.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE;
  // SAFETY: the kernel pins these pages; the caller keeps the mapping until unmap_dma or our end.
  request.vaddr = reinterpret_cast<std::uintptr_t>(memory.bytes.data());
  request.iova = at.value();
  request.size = size;
  const int result = vfio::call_ioctl(container_.get(), VFIO_IOMMU_MAP_DMA, &request);
  if (result < 0) {
    return map_error(-result, at, size);
  }
  return {};
}

Status VfioHost::unmap_dma(Iova at, std::uint64_t size) {
  vfio_iommu_type1_dma_unmap request{};
  request.argsz = sizeof request;
  request.iova = at.value();
  request.size = size;
  const int result = vfio::call_ioctl(container_.get(), VFIO_IOMMU_UNMAP_DMA, &request);
  if (result < 0) {
    return fail_errno(
        ErrorKind::kHost,
        fmt::format("Cannot take {:#x} bytes of memory at {:#x} from devices", size, at.value()),
        -result);
  }
  // The kernel says how much it unmapped; a part only would leave a device access to the rest.
  if (request.size != size) {
    return fail(ErrorKind::kInternal, "Only {:#x} of {:#x} bytes at {:#x} were unmapped",
                request.size, size, at.value());
  }
  return {};
}

Result<std::vector<HotResetMember>> VfioHost::hot_reset_set(PhysicalDevice& device) {
  const VfioDevice* const ours = TRY(find(device));
  // Room for 256 functions: older kernels do not say how much they need.
  std::vector<std::byte> seed(sizeof(vfio_pci_hot_reset_info) +
                              256 * sizeof(vfio_pci_dependent_device));
  const auto answer = TRY(vfio::call_sized(
      [ours](std::span<std::byte> argument) {
        return -vfio::call_ioctl(ours->fd(), VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, argument.data());
      },
      seed, "The kernel offers no hot reset of " + device.name()));
  return vfio::parse_hot_reset_info(answer);
}

Status VfioHost::hot_reset(PhysicalDevice& device) {
  VfioDevice* const ours = TRY(find(device));
  std::set<std::uint32_t> numbers;
  for (const HotResetMember& member : TRY(hot_reset_set(device))) {
    if (!groups_.contains(member.group)) {
      return fail(ErrorKind::kHost,
                  "A hot reset of {} would also reset {} (IOMMU group {}), which is not ours: add "
                  "it to the configuration or set functions = \"all\"",
                  device.name(), member.bdf.to_string(), member.group);
    }
    numbers.insert(member.group);
  }
  std::vector<int> fds;
  fds.reserve(numbers.size());
  for (const std::uint32_t number : numbers) {
    fds.push_back(groups_.at(number).get());
  }
  const auto argument = vfio::build_hot_reset(fds);
  const int error = vfio::retry_while_busy(
      [&] { return -vfio::call_ioctl(ours->fd(), VFIO_DEVICE_PCI_HOT_RESET, argument.data()); },
      [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); });
  ours->note_reset(error);
  if (error == EINVAL) {
    return fail(ErrorKind::kHost,
                "Hot reset of {} was refused: every function of its slot must be bound to "
                "vfio-pci; set functions = \"all\"",
                device.name());
  }
  if (error != 0) {
    // ENOTTY: the bus has been reset, and its link or a function did not come back (Linux,
    // drivers/pci/pci.c, pci_bridge_wait_for_secondary_bus and pci_dev_wait).
    const auto kind = error == ENOTTY ? ErrorKind::kUnsafeDevice : ErrorKind::kHost;
    return vfio::reset_error(kind, "Hot reset", device.name(), error);
  }
  return {};
}

/// The port belongs to the host, which has no harm of it while all that is below it is ours.
Result<UpstreamPort> VfioHost::owned_port(const PhysicalDevice& device) const {
  std::vector<Bdf> ours;
  for (const auto& each : devices_) {
    ours.push_back(each->bdf());
  }
  auto port = TRY(UpstreamPort::above(host_, TRY(find(device))->bdf()));
  TRY(port.check_owned(ours));
  return port;
}

Status VfioHost::check_link_retrain(PhysicalDevice& device) {
  TRY(owned_port(device));
  return {};
}

Status VfioHost::retrain_link(PhysicalDevice& device) {
  return TRY(owned_port(device)).retrain();
}

}  // namespace gpuvm
