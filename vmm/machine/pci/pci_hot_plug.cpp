// SPDX-License-Identifier: Apache-2.0
// PciComplex: cards that come and go while the guest runs, behind free ports. The rest:
// pci_complex.cpp.
//
// Missing for such cards: an option ROM by ACPI, NUMA nodes, memory of their own that is the
// guest's (coherent_memory), peer-to-peer DMA with functions that were there from the start.
#include <algorithm>

#include "vmm/base/worst_error.hpp"
#include "vmm/machine/pci/pci_complex.hpp"
#include "vmm/machine/pci/port_facts.hpp"

namespace gpuvm {
namespace {

Error no_free_port(std::uint8_t number) {
  return fail(ErrorKind::kInternal, "Root port {} is none that was kept free", number);
}

}  // namespace

HotPlugConfig PciComplex::hot_plug_config(std::uint8_t port) {
  return {.msi = &options_.bus.msi,
          .memory32 = kReservedMemory32,
          .memory64 = options_.reserve,
          .on_power = [this, port](bool is_powered) {
            if (options_.on_slot_power) {
              options_.on_slot_power(port, is_powered);
            }
          }};
}

std::vector<std::uint8_t> PciComplex::free_ports() const {
  std::vector<std::uint8_t> numbers;
  for (const Port& port : ports_) {
    if (port.plan.is_free) {
      numbers.push_back(port.plan.number);
    }
  }
  return numbers;
}

Result<PciComplex::Port*> PciComplex::free_port(std::uint8_t number) {
  const auto found = std::find_if(ports_.begin(), ports_.end(), [number](const Port& port) {
    return port.plan.is_free && port.plan.number == number;
  });
  return found == ports_.end() ? Result<Port*>(no_free_port(number)) : Result<Port*>(&*found);
}

/// Asks the devices, and reads what the guest gets of their ROMs: takes its time.
Result<PciComplex::Shown> PciComplex::make_card(Port& port, HostDevices& devices) {
  Shown shown;
  port.plan.functions.clear();
  std::vector<FunctionFacts> facts;
  for (const auto& owned : devices.functions()) {
    port.plan.functions.push_back(facts.size());
    facts.push_back(TRY_CONTEXT(FunctionFacts::read(owned->device()), owned->name()));
  }
  const auto config = port_config(port.plan, devices, facts);
  port.card = {config.link, config.max_payload_code, config.atomic_completer};
  for (std::size_t i = 0; i < facts.size(); ++i) {
    OwnedFunction& owned = *devices.functions()[i];
    TRY_CONTEXT(show_function(owned, facts[i], {devices, config},
                              port.plan.is_multi_function(owned.host())),
                owned.name());
    shown.add(owned);
    if (owned.guest().coherent_memory() != nullptr) {
      return fail(
          ErrorKind::kConfig,
          "{} has memory that is the guest's, which only a card that is there from the start "
          "can have: name it in [[pci]]",
          owned.name());
    }
  }
  return shown;
}

/// Who inspects sees nothing of the card, or all of it, and does not wait for its devices.
Status PciComplex::plug(std::uint8_t number, HostDevices& devices, const Exclusively& exclusively) {
  Port& port = *TRY(free_port(number));
  auto shown = TRY(make_card(port, devices));
  TRY_CONTEXT(place_card(port, shown), "machine.reserve is too small");
  auto reset = TRY(make_reset(port, shown, devices));
  exclusively([&] {
    port.functions.swap(shown);
    port.reset = std::move(reset);
  });
  TRY(begin_card(port));
  for (auto* function : port.functions) {
    TRY(port.bridge->attach(function->host().function, function->guest()));
  }
  return port.reset ? port.bridge->set_listener(port.reset.get()) : Status();
}

/// For the guest's next reboot, at which a card is there as one of the start is.
Status PciComplex::place_card(const Port& port, const Shown& functions) const {
  PortRequest request{.name = port.plan.name()};
  for (auto* function : functions) {
    append_requests(function->guest().bars(), function->name(), request.bars);
  }
  PciApertures apertures;
  apertures.memory32 = port.reserved.memory;
  apertures.memory64 = port.reserved.prefetchable;
  const auto placements = TRY(place_bars(apertures, {&request, 1}));
  std::size_t next = 0;
  for (auto* function : functions) {
    TRY(place_set(function->guest().bars(), placements.front(), next));
  }
  return {};
}

/// Registers as a card has them that comes: a conventional reset's, not those of a power-on that
/// firmware has been through (PCI Express Base 6.0, 6.6.1).
Status PciComplex::begin_card(const Port& port) {
  for (auto* function : port.functions) {
    PassthroughFunction& guest = function->guest();
    TRY_CONTEXT(guest.start(), function->name());
    guest.bus_reset_begin();
    guest.bus_reset_end(true);
    if (guest.config_read(pci::kVendorId) == pci::kAllOnes) {
      return fail(ErrorKind::kHost, "{} does not answer", function->name());
    }
  }
  return {};
}

Status PciComplex::announce(std::uint8_t number) {
  const Port& port = *TRY(free_port(number));
  port.bridge->insert(port.card);
  return {};
}

Status PciComplex::ask_for(std::uint8_t number) {
  TRY(free_port(number))->bridge->press_attention_button();
  return {};
}

Result<HotPlugSlot> PciComplex::slot(std::uint8_t number) const {
  for (const Port& port : ports_) {
    if (port.plan.is_free && port.plan.number == number) {
      return port.bridge->slot();
    }
  }
  return no_free_port(number);
}

Status PciComplex::withdraw(std::uint8_t number) {
  Port& port = *TRY(free_port(number));
  port.bridge->remove();
  WorstError errors;  // what fails of one keeps the guest's hands on no other
  errors.add(port.bridge->set_listener(nullptr));
  for (auto* function : port.functions) {
    const auto devfn = function->host().function;
    if (port.bridge->has(devfn)) {
      errors.add(port.bridge->detach(devfn));
    }
  }
  for (auto* function : port.functions) {
    function->guest().quiesce();  // BARs out of the buses
  }
  for (auto* function : port.functions) {
    errors.add(function->guest().drain());
  }
  return errors.take();
}

/// Ends threads and waits for accesses once more: not while who inspects has to wait.
Status PciComplex::unplug(std::uint8_t number, const Exclusively& exclusively) {
  Port& port = *TRY(free_port(number));
  Shown shown;
  std::unique_ptr<GuestBusReset> reset;
  exclusively([&] {
    port.functions.swap(shown);
    reset = std::move(port.reset);
  });
  reset.reset();
  shown.hide();
  port.plan.functions.clear();
  return {};
}

}  // namespace gpuvm
