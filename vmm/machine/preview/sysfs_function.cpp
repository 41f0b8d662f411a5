// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/preview/sysfs_function.hpp"

#include <algorithm>

#include "vmm/host/upstream_port.hpp"
#include "vmm/machine/devices/sysfs_facts.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kConfigSize = 4096;
constexpr std::size_t kHeaderSize = 64;

/// All functions of the bus; empty where the bus hangs on the host bridge, which has no reset.
std::vector<Bdf> functions_of_bus(const HostSystem& host, const Bdf& bdf) {
  // "../../../devices/pci0000:00/0000:00:02.0/0000:01:00.0"; on a root bus the function follows
  // "pci0000:00".
  const auto link = host.link_text(pci_sysfs_path(bdf)).value_or("");
  const auto last = link.find_last_of('/');
  const auto before =
      last == std::string::npos || last == 0 ? last : link.find_last_of('/', last - 1);
  if (before == std::string::npos || link.compare(before + 1, 3, "pci") == 0) {
    return {};
  }
  std::vector<Bdf> functions;
  for (const std::string& name : host.list("/sys/bus/pci/devices")) {
    const auto other = Bdf::parse(name);
    if (other && other->segment == bdf.segment && other->bus == bdf.bus) {
      functions.push_back(*other);
    }
  }
  return functions;
}

}  // namespace

Result<std::unique_ptr<SysfsFunction>> SysfsFunction::open(const HostSystem& host, const Bdf& bdf) {
  auto device = TRY(HostPciDevice::open(host, bdf));
  TRY(host.read_bytes(pci_sysfs_path(bdf, "config"), kHeaderSize));
  auto config = sysfs_config(host, device);
  const auto methods = device.reset_methods();
  std::unique_ptr<SysfsFunction> function(new SysfsFunction(std::move(device), std::move(config)));
  // The kernel refuses the bus reset of one function where another shares the bus.
  const bool is_alone = functions_of_bus(host, bdf).size() == 1;
  function->has_function_reset_ =
      std::any_of(methods.begin(), methods.end(),
                  [is_alone](const std::string& method) { return method != "bus" || is_alone; });
  if (methods.empty() && !host.exists(pci_sysfs_path(bdf, "reset_method"))) {
    // Kernels before 5.15 say only whether there is a way.
    function->has_function_reset_ = host.exists(pci_sysfs_path(bdf, "reset"));
  }
  return function;
}

bool SysfsFunction::shows_capabilities() const {
  return config_.size() > kHeaderSize;
}

const RegionInfo& SysfsFunction::region(RegionIndex) const {
  return none_;
}

Status SysfsFunction::read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) {
  if (index != RegionIndex::kConfig || offset + out.size() > kConfigSize) {
    return refuse();
  }
  for (std::size_t i = 0; i < out.size(); ++i) {
    out[i] = offset + i < config_.size() ? config_[offset + i] : std::byte{0};
  }
  return {};
}

Error SysfsFunction::refuse() const {
  return fail(ErrorKind::kInternal, "{} is only looked at", name_);
}
Status SysfsFunction::write(RegionIndex, std::uint64_t, std::span<const std::byte>) {
  return refuse();
}
Result<MappedRegion> SysfsFunction::map(RegionIndex, RegionArea, std::uint64_t) {
  return refuse();
}
Status SysfsFunction::set_irq_fds(IrqType, std::uint32_t, std::span<const int>) {
  return refuse();
}
Status SysfsFunction::set_intx_unmask_fd(int) {
  return refuse();
}
Status SysfsFunction::set_intx_masked(bool) {
  return refuse();
}
Status SysfsFunction::function_reset() {
  return refuse();
}

Status SysfsHost::map_dma(Iova, const DmaMemory&) {
  return fail(ErrorKind::kInternal, "The host is only looked at");
}
Status SysfsHost::unmap_dma(Iova, std::uint64_t) {
  return fail(ErrorKind::kInternal, "The host is only looked at");
}
Status SysfsHost::hot_reset(PhysicalDevice& device) {
  return fail(ErrorKind::kInternal, "{} is only looked at", device.name());
}

Result<std::vector<HotResetMember>> SysfsHost::hot_reset_set(PhysicalDevice& device) {
  const auto bdf = Bdf::parse(device.name());
  const auto functions = bdf ? functions_of_bus(host_, *bdf) : std::vector<Bdf>();
  if (functions.empty()) {
    return fail(ErrorKind::kHost, "{} is on a root bus, which has no reset", device.name());
  }
  std::vector<HotResetMember> members;
  for (const Bdf& member : functions) {
    const auto function = TRY(HostPciDevice::open(host_, member));
    members.push_back({.bdf = member, .group = function.iommu_group().value_or(0), .device = {}});
  }
  return members;
}

Status SysfsHost::check_link_retrain(PhysicalDevice& device) {
  TRY(UpstreamPort::above(host_, Bdf::parse(device.name()).value_or(Bdf())));
  return {};
}

}  // namespace gpuvm
