// SPDX-License-Identifier: Apache-2.0
// lab_vfio_probe [--die] BDF…: takes functions from the host, opens them through VFIO, prints what
// it finds, resets them as a guest's start would, maps memory for DMA, and gives the functions
// back. With --die it ends by SIGKILL while it has them; `lab_vfio_probe --restore` then gives back
// what a dead run left. A trial of vmm/host, devices/physical/vfio and devices/physical/reset
// against a real kernel, meant for the lab host; it needs root. Exits with 1 if anything is not as
// it should be.

#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "devices/physical/reset/reset_sequence.hpp"
#include "devices/physical/vfio/vfio_host.hpp"
#include "tests/fixtures/run_reset.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/driver_binding.hpp"
#include "vmm/host/host_check.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {
namespace {

template <class... Args>
void say(fmt::format_string<Args...> format, Args&&... args) {
  std::puts(fmt::format(format, std::forward<Args>(args)...).c_str());
  std::fflush(stdout);
}

Status print_host_view(const HostSystem& host, const std::vector<Bdf>& functions) {
  HostNeeds needs;
  needs.devices = functions;
  needs.memory = 64_MiB;
  for (const Finding& finding : check_host(host, needs)) {
    say("check {}{}{}: {}", finding.check, finding.of.empty() ? "" : " of ", finding.of,
        finding.outcome ? "ok" : finding.outcome.error().message());
  }
  for (const Bdf& bdf : functions) {
    InspectNode node(bdf.to_string());
    TRY(HostPciDevice::open(host, bdf)).inspect(node);
    say("{}", node.to_text());
  }
  return {};
}

void print_device(const VfioDevice& device) {
  say("{}: group {}, function reset {}", device.name(), device.group(),
      device.has_function_reset() ? "yes" : "no");
  for (std::size_t i = 0; i < RegionTable::kPciRegions; ++i) {
    const RegionInfo& region = device.region(static_cast<RegionIndex>(i));
    if (region.size != 0) {
      say("  region {}: {:#x} bytes{}{}{}{}, {} sparse areas", i, region.size,
          region.readable ? " read" : "", region.writable ? " write" : "",
          region.mappable ? " map" : "", region.msix_mappable ? " msix-map" : "",
          region.sparse_areas.size());
    }
  }
  for (std::size_t i = 0; i < VfioDevice::kIrqTypeCount; ++i) {
    const IrqInfo irq = device.irq(static_cast<IrqType>(i));
    say("  interrupt type {}: {} vectors{}", i, irq.count, irq.maskable ? ", maskable" : "");
  }
}

// Reads the first word of a BAR through a mapping and through the region file. (The kernel answers
// reads of the MSI-X table through the file with all ones, so BARs that may hold it are left out.)
Status try_mapping(VfioDevice& device) {
  std::array<std::byte, 2> on{std::byte{0x02}, std::byte{0}};
  TRY(device.write(RegionIndex::kConfig, 4, on));
  for (unsigned bar = 0; bar < 6; ++bar) {
    const RegionInfo& region = device.region(bar_region(bar));
    if (!region.mappable || region.msix_mappable || !region.sparse_areas.empty()) {
      continue;
    }
    const MappedRegion mapping = TRY(device.map(bar_region(bar), {0, region.size}, region.size));
    std::array<std::byte, 4> through_file{};
    TRY(device.read(bar_region(bar), 0, through_file));
    const auto through_mapping = static_cast<std::uint32_t>(load_le(mapping.bytes().first(4)));
    say("  BAR {} mapped, first word {:#010x}, through the file {:#010x}", bar, through_mapping,
        load_le(through_file));
    if (through_mapping != load_le(through_file)) {
      return fail(ErrorKind::kInternal, "The two views of BAR {} differ", bar);
    }
    break;
  }
  return {};
}

Status try_interrupts(VfioDevice& device) {
  const EventFd event = TRY(EventFd::create());
  const std::array<int, 1> fds{event.fd()};
  for (const IrqType type : {IrqType::kIntx, IrqType::kMsi, IrqType::kMsix}) {
    TRY(device.disable_irqs(type));
    if (device.irq(type).count == 0) {
      continue;
    }
    TRY(device.set_irq_fds(type, 0, fds));
    if (type == IrqType::kIntx) {
      TRY(device.set_intx_masked(true));
      TRY(device.set_intx_masked(false));
    }
    TRY(device.disable_irqs(type));
    say("  interrupt type {} connected and disconnected", static_cast<unsigned>(type));
  }
  return {};
}

Status try_dma(VfioHost& vfio) {
  MapRequest request;
  request.size = 16_MiB;
  request.shared = false;
  const MappedRegion memory = TRY(MappedRegion::create(request));
  TRY(vfio.map_dma(Iova(0), {.bytes = memory.bytes()}));
  const Status again = vfio.map_dma(Iova(0), {.bytes = memory.bytes()});
  const Status reserved = vfio.map_dma(Iova(0xfee00000), {.bytes = memory.bytes().first(1_MiB)});
  TRY(vfio.unmap_dma(Iova(0), memory.size()));
  say("DMA mapped and unmapped; twice at the same place: {}; in the MSI window: {}",
      again ? "accepted (wrong)" : again.error().message(),
      reserved ? "accepted (wrong)" : reserved.error().message());
  if (again || reserved) {
    return fail(ErrorKind::kInternal, "A mapping that must be refused was accepted");
  }
  return {};
}

Status try_resets(VfioHost& vfio) {
  const std::vector<PhysicalDevice*> devices = vfio.devices();
  const ResetPlan plan = TRY(ResetPlan::create(vfio, devices));
  InspectNode node("reset plan");
  plan.inspect(node);
  say("{}", node.to_text());
  TRY(plan.check());
  for (int round = 0; round < 3; ++round) {
    for (const ResetCertificate& certificate : TRY(run_reset(vfio, plan))) {
      say("{}", certificate.text);
    }
  }
  return {};
}

Status restore() {
  const HostSystem host;
  for (const RestoredBinding& restored : restore_bindings(host)) {
    TRY(restored.outcome);
    say("{} is back with {}", restored.bdf.to_string(),
        TRY(HostPciDevice::open(host, restored.bdf)).driver().value_or("no driver"));
  }
  return {};
}

std::vector<VfioFunction> to_open(const std::vector<Bdf>& functions) {
  std::vector<VfioFunction> all;
  for (const Bdf& bdf : functions) {
    all.push_back({.bdf = bdf});
  }
  return all;
}

Status probe_bound(const HostSystem& host, const std::vector<Bdf>& functions) {
  const auto vfio = TRY(VfioHost::open(to_open(functions), host));
  say("{} group file(s)", vfio->group_fds().size());
  for (std::size_t i = 0; i < vfio->device_count(); ++i) {
    print_device(vfio->device(i));
    TRY(try_interrupts(vfio->device(i)));
    TRY(try_mapping(vfio->device(i)));
  }
  const auto second = VfioHost::open(to_open(functions), host);
  say("opened a second time: {}", second ? "accepted (wrong)" : second.error().to_string());
  TRY(try_dma(*vfio));
  return try_resets(*vfio);
}

Status probe(const std::vector<Bdf>& functions, bool dies) {
  const HostSystem host;
  TRY(print_host_view(host, functions));
  {
    DriverBinding binding = TRY(DriverBinding::create(host, functions));
    say("{} function(s) bound", binding.managed().size());
    const auto another = DriverBinding::create(host, functions);
    say("bound a second time: {}", another ? "accepted (wrong)" : another.error().to_string());
    TRY(probe_bound(host, functions));
    if (dies) {
      std::raise(SIGKILL);
    }
    TRY(binding.release());
  }
  for (const Bdf& bdf : functions) {
    say("{} is back with {}", bdf.to_string(),
        TRY(HostPciDevice::open(host, bdf)).driver().value_or("no driver"));
  }
  return {};
}

}  // namespace
}  // namespace gpuvm

int main(int argument_count, char** arguments) {
  std::vector<gpuvm::Bdf> functions;
  bool dies = false;
  bool restores = false;
  for (int i = 1; i < argument_count; ++i) {
    const std::string_view argument = arguments[i];
    const auto bdf = gpuvm::Bdf::parse(argument);
    dies = dies || argument == "--die";
    restores = restores || argument == "--restore";
    if (bdf) {
      functions.push_back(*bdf);
    } else if (!argument.starts_with("--")) {
      std::fprintf(stderr, "usage: lab_vfio_probe [--die] BDF… | --restore\n");
      return EXIT_FAILURE;
    }
  }
  const gpuvm::Status status = restores ? gpuvm::restore() : gpuvm::probe(functions, dies);
  if (!status) {
    std::fprintf(stderr, "%s\n", status.error().to_string().c_str());
    return EXIT_FAILURE;
  }
  std::puts("all well");
  return EXIT_SUCCESS;
}
