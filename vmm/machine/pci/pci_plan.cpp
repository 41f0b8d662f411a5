// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/pci_plan.hpp"

#include <algorithm>
#include <map>

#include "vmm/base/log.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"

namespace gpuvm {
namespace {

/// Offered even when no BAR needs it, for guests that move BARs up.
constexpr std::uint64_t kLeastAperture64 = 32_GiB;

/// Largest power of two that divides addresses of all requests.
std::uint64_t largest_bar(std::span<const PortRequest> requests) {
  std::uint64_t largest = 1_GiB;
  for (const auto& port : requests) {
    for (const auto& bar : port.bars) {
      largest = std::max(largest, bar.description.size);
    }
  }
  return largest;
}

/// Aligned so that the largest BAR fits, in the uppermost of these gaps that has room.
std::optional<GuestRange> aperture_in(std::span<const GuestRange> free,
                                      std::span<const PortRequest> requests) {
  const std::uint64_t wanted = memory64_wanted(requests);
  const std::uint64_t least = std::max(wanted, 1_GiB);
  for (std::size_t i = free.size(); i-- > 0;) {
    const std::uint64_t base = align_up(free[i].base().value(), largest_bar(requests));
    const std::uint64_t end = free[i].last().value() + 1;
    if (base < end && end - base >= least) {
      return GuestRange::create(GuestAddress(base),
                                std::min(std::max(wanted, kLeastAperture64), end - base));
    }
  }
  return std::nullopt;
}

/// As high as there is room, for guests look for more above; but below 1 TiB where that has room:
/// some devices drive 40 address bits only.
Result<GuestRange> choose_aperture64(std::span<const GuestRange> free,
                                     std::span<const PortRequest> requests) {
  const auto above = std::find_if(free.begin(), free.end(), [](const GuestRange& gap) {
    return gap.base().value() >= kAddressHoleEnd;
  });
  auto aperture = aperture_in({free.begin(), above}, requests);
  if (!aperture) {
    aperture = aperture_in({above, free.end()}, requests);
  }
  if (aperture) {
    return *aperture;
  }
  const std::uint64_t least = std::max(memory64_wanted(requests), 1_GiB);
  return fail(ErrorKind::kConfig,
              "The devices' 64-bit BARs need {} GiB of address space above the guest's memory, but "
              "its CPUs do not address so much; give it less memory or fewer devices",
              least >> 30);
}

}  // namespace

std::string PlannedPort::name() const {
  return fmt::format("root port {}", number);
}

std::vector<PlannedPort> plan_ports(const FunctionPointers& functions, unsigned free_ports) {
  std::map<std::uint8_t, PlannedPort> ports;
  ports[0] = {};
  for (std::size_t i = 0; i < functions.size(); ++i) {
    ports[functions[i]->port].functions.push_back(i);
  }
  for (std::size_t number = 0; number < kRootPorts && free_ports > 0; ++number) {
    PlannedPort& port = ports[static_cast<std::uint8_t>(number)];
    if (port.functions.empty()) {
      port.is_free = true;
      --free_ports;
    }
  }
  for (std::size_t number = kFirstSharedPort; number < kRootPorts; ++number) {
    const auto leader = static_cast<std::uint8_t>(number - (number - kFirstSharedPort) % 8);
    if (leader != number && ports.contains(static_cast<std::uint8_t>(number))) {
      ports[leader].shares_device = true;
      ports[static_cast<std::uint8_t>(number)].shares_device = true;
    }
  }
  std::vector<PlannedPort> planned;
  for (auto& [number, port] : ports) {
    std::stable_sort(port.functions.begin(), port.functions.end(),
                     [&functions](std::size_t a, std::size_t b) {
                       return functions[a]->function < functions[b]->function;
                     });
    port.number = number;
    port.bus = static_cast<std::uint8_t>(planned.size() + 1);
    planned.push_back(std::move(port));
  }
  return planned;
}

std::vector<BarRequest> reservation_of(std::uint64_t memory64) {
  const auto request = [](unsigned bar, BarDescription description) {
    return BarRequest{.function = "machine.reserve", .bar = bar, .description = description};
  };
  return {request(0, {.kind = BarKind::kMemory64, .size = memory64, .prefetchable = true}),
          request(2, {.kind = BarKind::kMemory32, .size = kReservedMemory32})};
}

unsigned bus_count(std::span<const PlannedPort> ports) {
  return static_cast<unsigned>(ports.size()) + 1;
}

Status place_set(BarSet& bars, const PortPlacement& placement, std::size_t& next) {
  std::vector<BarRequest> requests;
  append_requests(bars, {}, requests);
  for (const auto& request : requests) {
    TRY(bars.set_power_on_address(request.bar, placement.addresses.at(next++)));
  }
  return {};
}

Result<PciPlan> plan_pci(std::span<const GuestRange> free, std::span<const PortRequest> ports) {
  const auto aperture64 = TRY(choose_aperture64(free, ports));
  PciApertures apertures;
  apertures.memory32 = GuestRange::create(layout::kMmio32Base, layout::kMmio32Size);
  apertures.memory64 = aperture64;
  apertures.io = PortRange::create(layout::kIoWindowBase, layout::kIoWindowSize);
  return PciPlan{.aperture64 = aperture64, .placements = TRY(place_bars(apertures, ports))};
}

Result<PciPlan> plan_pci(std::span<const GuestRange> free, std::span<const IovaRange> dma_ranges,
                         std::span<const PortRequest> ports) {
  if (dma_ranges.empty()) {
    return plan_pci(free, ports);
  }
  if (auto plan = plan_pci(reachable(free, dma_ranges), ports)) {
    return plan;
  }
  log::info(
      "The devices' 64-bit BARs lie where the host's IOMMU maps nothing, for lack of room: they do "
      "not reach each other's");
  return plan_pci(free, ports);
}

TreePci tree_without_functions(const GuestRange& aperture64, unsigned buses) {
  return {
      .ecam = *GuestRange::create(layout::kEcamBase, layout::kEcamSize),
      .buses = buses,
      .memory_windows = {*GuestRange::create(layout::kMmio32Base, layout::kMmio32Size), aperture64},
      .functions = {}};
}

}  // namespace gpuvm
