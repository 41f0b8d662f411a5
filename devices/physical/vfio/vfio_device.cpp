// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/vfio_device.hpp"

#include <fcntl.h>
#include <linux/vfio.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <thread>

#include "devices/pci/pci_spec.hpp"
#include "devices/physical/vfio/bar_places.hpp"
#include "devices/physical/vfio/card_link.hpp"
#include "devices/physical/vfio/vfio_errors.hpp"
#include "devices/physical/vfio/vfio_io.hpp"
#include "devices/physical/vfio/vfio_parse.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

// The numbers of PhysicalDevice are VFIO's own.
static_assert(static_cast<std::uint32_t>(RegionIndex::kBar5) == VFIO_PCI_BAR5_REGION_INDEX);
static_assert(static_cast<std::uint32_t>(RegionIndex::kRom) == VFIO_PCI_ROM_REGION_INDEX);
static_assert(static_cast<std::uint32_t>(RegionIndex::kConfig) == VFIO_PCI_CONFIG_REGION_INDEX);
static_assert(static_cast<std::uint32_t>(RegionIndex::kVga) == VFIO_PCI_VGA_REGION_INDEX);
static_assert(RegionTable::kPciRegions == VFIO_PCI_NUM_REGIONS);
static_assert(static_cast<std::uint32_t>(IrqType::kIntx) == VFIO_PCI_INTX_IRQ_INDEX);
static_assert(static_cast<std::uint32_t>(IrqType::kMsix) == VFIO_PCI_MSIX_IRQ_INDEX);
static_assert(static_cast<std::uint32_t>(IrqType::kRequest) == VFIO_PCI_REQ_IRQ_INDEX);
static_assert(VfioDevice::kIrqTypeCount == VFIO_PCI_NUM_IRQS);

namespace {

template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace

VfioDevice::VfioDevice(const HostSystem& host, const Bdf& bdf, std::uint32_t group, UniqueFd fd)
    : host_(host),
      bdf_(bdf),
      group_(group),
      fd_(std::move(fd)),
      name_(bdf.to_string()),
      regions_(name_, fd_.get()) {}

Result<std::unique_ptr<VfioDevice>> VfioDevice::create(const HostSystem& host, const Bdf& bdf,
                                                       std::uint32_t group, UniqueFd fd) {
  std::unique_ptr<VfioDevice> device(new VfioDevice(host, bdf, group, std::move(fd)));
  TRY_CONTEXT(device->load_info(), "Opening " + device->name());
  TRY_CONTEXT(device->load_host_view(host), "Opening " + device->name());
  return device;
}

Result<std::unique_ptr<VfioDevice>> VfioDevice::adopt(const HostSystem& host, const Bdf& bdf,
                                                      std::uint32_t group, UniqueFd fd,
                                                      UniqueFd config, UniqueFd resource) {
  std::unique_ptr<VfioDevice> device(new VfioDevice(host, bdf, group, std::move(fd)));
  TRY_CONTEXT(device->load_info(), "Opening " + device->name());
  device->bar_places_.emplace(
      TRY(vfio::BarPlaceReader::adopt(bdf, std::move(config), std::move(resource))));
  return device;
}

Result<VfioDevice::Files> VfioDevice::duplicate_files() const {
  if (is_virtual_function_) {
    return fail(ErrorKind::kHost, "{} is a virtual function, which cannot be handed on", name_);
  }
  Files files;
  files.device.reset(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!files.device) {
    return fail_errno(ErrorKind::kHost, "Cannot hand " + name_ + " on");
  }
  files.config = TRY(bar_places_->config().duplicate());
  files.resource = TRY(bar_places_->resource().duplicate());
  return files;
}

Status VfioDevice::load_info() {
  const vfio_device_info seed{};
  const auto answer = TRY(vfio::call_sized(
      [&](std::span<std::byte> argument) {
        return -vfio::call_ioctl(fd_.get(), VFIO_DEVICE_GET_INFO, argument.data());
      },
      bytes_of(seed), "Cannot ask VFIO about " + name_));
  const auto info = TRY(vfio::parse_device_info(answer));
  if ((info.flags & VFIO_DEVICE_FLAGS_PCI) == 0) {
    return fail(ErrorKind::kHost, "VFIO says that {} is not a PCI function", name_);
  }
  has_function_reset_ = (info.flags & VFIO_DEVICE_FLAGS_RESET) != 0;
  atomic_completers_ = info.atomic_completers;
  answer_ = {.flags = info.flags, .capabilities = info.capabilities};
  const std::uint32_t regions = RegionTable::bounded(info.regions);
  for (std::uint32_t i = 0; i < regions; ++i) {
    auto loaded = load_region(i);
    if (!loaded && i < RegionTable::kPciRegions) {
      return loaded;
    }
    if (!loaded) {  // one of a vendor's own, which most guests need none of
      log::debug("{}", loaded.error().to_string());
    }
  }
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(info.irqs, kIrqTypeCount); ++i) {
    TRY(load_irq(i));
  }
  return {};
}

Result<std::optional<vfio::ParsedRegion>> VfioDevice::ask_region(std::uint32_t index) const {
  vfio_region_info seed{};
  seed.index = index;
  int error = 0;
  const auto answer = vfio::call_sized(
      [&](std::span<std::byte> argument) {
        error = -vfio::call_ioctl(fd_.get(), VFIO_DEVICE_GET_REGION_INFO, argument.data());
        return error;
      },
      bytes_of(seed), fmt::format("Cannot ask VFIO about region {} of {}", index, name_));
  // A function without legacy VGA has no VGA region, and says so by EINVAL.
  if (!answer && error == EINVAL) {
    return std::optional<vfio::ParsedRegion>();
  }
  if (!answer) {
    return answer.error();
  }
  return std::optional(TRY(vfio::parse_region_info(*answer)));
}

/// What sysfs is asked for while the guest runs stays open: then no file can be opened any more.
Status VfioDevice::load_host_view(const HostSystem& host) {
  const auto function = TRY(HostPciDevice::open(host, bdf_));
  is_virtual_function_ = function.physical_function().has_value();
  card_link_ = vfio::CardLinkReader::open(host, function);
  bar_places_.emplace(TRY(vfio::BarPlaceReader::open(host, function)));
  return {};
}

std::optional<CardLink> VfioDevice::card_link() const {
  return card_link_ ? card_link_->read() : std::nullopt;
}

Result<std::optional<std::vector<BarPlace>>> VfioDevice::bar_places() {
  return bar_places_->read();
}

/// The kernel waits with the device locked until it is let go of, and tries the lock only for a
/// reset (Linux, drivers/pci/pci.c, pci_try_reset_function() and pci_bus_trylock()).
void VfioDevice::note_reset(int error) {
  is_withheld_ = error == EAGAIN;
}

Result<std::uint64_t> VfioDevice::ask_region_size(RegionIndex index) {
  const auto region = TRY(ask_region(static_cast<std::uint32_t>(index)));
  return region ? region->info.size : std::uint64_t{0};
}

Status VfioDevice::load_region(std::uint32_t index) {
  auto region = TRY(ask_region(index));
  return region ? regions_.set(static_cast<RegionIndex>(index), std::move(region->info),
                               {.file_offset = region->file_offset})
                : Status();
}

Status VfioDevice::load_irq(std::uint32_t index) {
  vfio_irq_info info{};
  info.argsz = sizeof info;
  info.index = index;
  const int result = vfio::call_ioctl(fd_.get(), VFIO_DEVICE_GET_IRQ_INFO, &info);
  if (result == -EINVAL) {
    return {};  // for instance the error interrupt of a conventional PCI function
  }
  if (result < 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot ask VFIO about interrupt type {} of {}", index, name_),
                      -result);
  }
  irqs_[index].info.count = std::min(info.count, pci::kMaxMsixVectors);
  irqs_[index].info.maskable = (info.flags & VFIO_IRQ_INFO_MASKABLE) != 0;
  irqs_[index].info.flags = info.flags;
  return {};
}

IrqInfo VfioDevice::irq(IrqType type) const {
  return irqs_.at(static_cast<std::size_t>(type)).info;
}

Error VfioDevice::access_error(const char* verb, RegionIndex index, std::uint64_t offset,
                               int error) const {
  return fail_errno(ErrorKind::kHost,
                    fmt::format("Cannot {} region {} of {} at offset {:#x} (has the device gone?)",
                                verb, static_cast<std::uint32_t>(index), name_, offset),
                    error);
}

Status VfioDevice::read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) {
  const std::uint64_t at = TRY(regions_.locate_read(index, offset, out.size()));
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t got =
        ::pread(fd_.get(), out.data() + done, out.size() - done, static_cast<off_t>(at + done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return access_error("read", index, offset, got == 0 ? EIO : errno);
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

Status VfioDevice::write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) {
  const std::uint64_t at = TRY(regions_.locate_write(index, offset, in.size()));
  std::size_t done = 0;
  while (done < in.size()) {
    const ssize_t put =
        ::pwrite(fd_.get(), in.data() + done, in.size() - done, static_cast<off_t>(at + done));
    if (put < 0 && errno == EINTR) {
      continue;
    }
    if (put <= 0) {
      return access_error("write", index, offset, put == 0 ? EIO : errno);
    }
    done += static_cast<std::size_t>(put);
  }
  return {};
}

Status VfioDevice::write_on_event(RegionIndex index, std::uint64_t offset, unsigned size,
                                  std::uint64_t value, int event_fd) {
  const std::uint64_t at = TRY(regions_.locate_write(index, offset, size));
  vfio_device_ioeventfd request{};
  request.argsz = sizeof request;
  request.flags = size;  // VFIO_DEVICE_IOEVENTFD_8 to _64 are the numbers of bytes
  request.offset = at;
  request.data = value;
  request.fd = event_fd;
  const int result = vfio::call_ioctl(fd_.get(), VFIO_DEVICE_IOEVENTFD, &request);
  if (result < 0) {
    return fail_errno(
        ErrorKind::kHost,
        fmt::format("Cannot let events write to BAR {} of {}", static_cast<unsigned>(index), name_),
        -result);
  }
  return {};
}

Status VfioDevice::set_irqs(std::span<const std::byte> argument, const char* what) {
  const int result = vfio::call_ioctl(fd_.get(), VFIO_DEVICE_SET_IRQS, argument.data());
  if (result < 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot {} of {}", what, name_), -result);
  }
  if (result > 0) {
    return fail(ErrorKind::kHost, "Cannot {} of {}: the kernel has {} vectors only", what, name_,
                result);
  }
  return {};
}

void VfioDevice::tell_missing_vectors(IrqType type, std::size_t wanted, std::size_t enabled) {
  Irq& irq = irqs_.at(static_cast<std::size_t>(type));
  if (enabled < wanted && !irq.is_short) {
    log::warn(
        "{}: The host has {} interrupt vectors for it in place of {}: those behind them stay "
        "silent",
        name_, enabled, wanted);
    irq.is_short = true;
  }
}

Status VfioDevice::set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) {
  Irq& irq = irqs_.at(static_cast<std::size_t>(type));
  if (fds.empty() || fds.size() > irq.info.count || start > irq.info.count - fds.size()) {
    return fail(ErrorKind::kInternal, "Vectors {} to {} of {} do not exist: it has {}", start,
                start + fds.size(), name_, irq.info.count);
  }
  // The kernel counts from vector 0.
  const int enabled = vfio::enable_as_many(
      [this, type, start, fds](int count) {
        const auto some = fds.first(static_cast<std::size_t>(count) - start);
        return vfio::call_ioctl(
            fd_.get(), VFIO_DEVICE_SET_IRQS,
            vfio::build_irq_set(type, vfio::IrqAction::kTrigger, start, 0, some).data());
      },
      static_cast<int>(start + fds.size()), static_cast<int>(start + 1));
  if (enabled < 0 && type == IrqType::kIntx) {
    return vfio::connect_intx_error(host_, bdf_, -enabled);
  }
  if (enabled < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot connect the interrupts of " + name_, -enabled);
  }
  tell_missing_vectors(type, start + fds.size(), static_cast<std::size_t>(enabled));
  irq.is_enabled = true;
  return {};
}

Status VfioDevice::disable_irqs(IrqType type) {
  Irq& irq = irqs_.at(static_cast<std::size_t>(type));
  // The kernel refuses to disable a type that is not enabled.
  if (!irq.is_enabled) {
    return {};
  }
  TRY(set_irqs(vfio::build_irq_set(type, vfio::IrqAction::kTrigger, 0, 0, {}),
               "disconnect the interrupts"));
  irq.is_enabled = false;
  return {};
}

Status VfioDevice::set_intx_unmask_fd(int fd) {
  return set_irqs(vfio::build_irq_set(IrqType::kIntx, vfio::IrqAction::kUnmask, 0, 1,
                                      std::span<const int>(&fd, 1)),
                  "connect the unmask event of INTx");
}

Status VfioDevice::set_intx_masked(bool masked) {
  const auto action = masked ? vfio::IrqAction::kMask : vfio::IrqAction::kUnmask;
  return set_irqs(vfio::build_irq_set(IrqType::kIntx, action, 0, 1, {}),
                  masked ? "mask INTx" : "unmask INTx");
}

Status VfioDevice::function_reset() {
  const auto pause = [](std::chrono::milliseconds time) { std::this_thread::sleep_for(time); };
  const int error = vfio::retry_while_busy(
      [this] { return -vfio::call_ioctl(fd_.get(), VFIO_DEVICE_RESET, 0); }, pause);
  note_reset(error);
  if (error != 0) {
    return vfio::reset_error(ErrorKind::kHost, "Function reset", name_, error);
  }
  return {};
}

}  // namespace gpuvm
