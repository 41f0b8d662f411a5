// SPDX-License-Identifier: Apache-2.0
#include "firmware/fdt/machine_tree.hpp"

#include <array>

#include "firmware/fdt/tree_writer.hpp"

namespace gpuvm {
namespace {

// PCI Bus Binding, 2.2.1.1: phys.hi is npt000ss bbbbbbbb dddddfff rrrrrrrr.
constexpr std::uint32_t kSpaceIo = 0x0100'0000;
constexpr std::uint32_t kSpaceMemory32 = 0x0200'0000;
constexpr std::uint32_t kSpaceMemory64 = 0x0300'0000;
constexpr std::uint32_t kPrefetchable = 0x4000'0000;
constexpr std::uint32_t kNotRelocatable = 0x8000'0000;
constexpr std::uint8_t kFirstBarRegister = 0x10;

std::uint32_t high(std::uint64_t value) {
  return static_cast<std::uint32_t>(value >> 32);
}
std::uint32_t low(std::uint64_t value) {
  return static_cast<std::uint32_t>(value);
}

void write_region(TreeWriter& out, const char* name, const GuestRange& range) {
  out.wide(name, std::array{range.base().value(), range.size()});
}

std::string node_name(const char* kind, const GuestRange& range) {
  return fmt::format("{}@{:x}", kind, range.base().value());
}

void write_memory(TreeWriter& out, const MachineTree& tree) {
  for (const auto& memory : tree.memory) {
    out.begin(node_name("memory", memory.range));
    out.text("device_type", "memory");
    write_region(out, "reg", memory.range);
    if (memory.node) {
      out.cell("numa-node-id", *memory.node);
    }
    if (memory.specific_purpose) {
      out.empty("gpuvm,specific-purpose");
    }
    out.end();
  }
  out.begin("reserved-memory");
  out.cell("#address-cells", 2);
  out.cell("#size-cells", 2);
  out.empty("ranges");
  for (const auto& entry : tree.reserved) {
    out.begin(node_name(entry.name.c_str(), entry.range));
    write_region(out, "reg", entry.range);
    out.cell("gpuvm,efi-memory-type", entry.efi_type);
    out.end();
  }
  out.end();
}

void write_kernel(TreeWriter& out, const MachineTree& tree) {
  out.begin("chosen");
  out.text("bootargs", tree.command_line);
  if (tree.initrd) {
    out.wide("linux,initrd-start", tree.initrd->base().value());
    out.wide("linux,initrd-end", tree.initrd->base().value() + tree.initrd->size());
  }
  if (!tree.seed.empty()) {
    out.bytes("rng-seed", tree.seed);
  }
  out.end();
  out.begin("firmware");
  out.wide("gpuvm,acpi-rsdp", tree.rsdp.value());
  out.wide("gpuvm,smbios3-entry", tree.smbios3.value());
  out.end();
  out.begin(node_name("efi-kernel", tree.kernel.image));
  out.text("compatible", "gpuvm,efi-kernel");
  write_region(out, "reg", tree.kernel.image);
  out.wide("entry", tree.kernel.entry.value());
  if (tree.kernel.handover) {
    out.empty("handover");
  }
  out.bytes("setup-header", tree.kernel.setup_header);
  out.end();
}

/// A device at I/O ports; ISA/EISA Binding: the address' first cell is 1 for I/O.
void begin_port(TreeWriter& out, const char* name, const char* compatible, std::uint16_t port,
                std::uint32_t count) {
  out.begin(fmt::format("{}@i{:x}", name, port));
  out.text("compatible", compatible);
  out.cells("reg", std::array{std::uint32_t{1}, std::uint32_t{port}, count});
}

void write_ports(TreeWriter& out, const MachineTree& tree) {
  const TreePorts& ports = tree.ports;
  out.begin("isa");
  out.text("compatible", "isa");
  out.text("device_type", "isa");
  out.cell("#address-cells", 2);
  out.cell("#size-cells", 1);
  begin_port(out, "serial", "ns16550a", ports.serial, 8);
  out.end();
  begin_port(out, "rtc", "motorola,mc146818", ports.rtc, 2);
  out.end();
  begin_port(out, "reset", "gpuvm,reset-port", ports.reset, 1);
  out.cell("value", ports.reset_value);
  out.end();
  begin_port(out, "power", "gpuvm,acpi-pm1-control", ports.pm1_control, 2);
  out.cell("soft-off-value", ports.soft_off_value);
  out.end();
  begin_port(out, "efi-monitor", "gpuvm,efi-monitor", ports.monitor, 1);
  if (tree.variables) {
    write_region(out, "variables", *tree.variables);
  }
  out.end();
  out.end();
}

void write_function(TreeWriter& out, const TreeFunction& function) {
  const std::uint32_t address = std::uint32_t{function.bus} << 16 | std::uint32_t{function.devfn}
                                                                        << 8;
  const unsigned device = function.devfn >> 3U;
  const unsigned number = function.devfn & 7U;
  out.begin(number == 0 ? fmt::format("function@{:x}", device)
                        : fmt::format("function@{:x},{:x}", device, number));
  out.text("compatible", "gpuvm,passed-through");
  out.cells("reg", std::array<std::uint32_t, 5>{address, 0, 0, 0, 0});
  out.cell("vendor-id", function.vendor);
  out.cell("device-id", function.device);
  out.cell("class-code", function.class_code);
  std::vector<std::uint32_t> assigned;
  for (const auto& bar : function.bars) {
    const std::uint32_t space = bar.io ? kSpaceIo : bar.wide ? kSpaceMemory64 : kSpaceMemory32;
    const auto bar_register = static_cast<std::uint32_t>(kFirstBarRegister + 4 * bar.index);
    assigned.insert(assigned.end(), {kNotRelocatable | (bar.prefetchable ? kPrefetchable : 0) |
                                         space | address | bar_register,
                                     high(bar.base), low(bar.base), high(bar.size), low(bar.size)});
  }
  if (!assigned.empty()) {
    out.cells("assigned-addresses", assigned);
  }
  if (function.rom) {
    write_region(out, "gpuvm,rom", *function.rom);
  }
  out.end();
}

void write_bus_cells(TreeWriter& out, unsigned first, unsigned last) {
  out.text("device_type", "pci");
  out.cell("#address-cells", 3);
  out.cell("#size-cells", 2);
  out.cells("bus-range", std::array<std::uint32_t, 2>{first, last});
}

void write_pci(TreeWriter& out, const TreePci& pci) {
  out.begin(node_name("pci", pci.ecam));
  out.text("compatible", "pci-host-ecam-generic");
  write_region(out, "reg", pci.ecam);
  write_bus_cells(out, 0, pci.buses - 1);
  std::vector<std::uint32_t> ranges;
  for (const auto& window : pci.memory_windows) {
    const std::uint64_t base = window.base().value();
    ranges.insert(ranges.end(),
                  {high(base) == 0 ? kSpaceMemory32 : kSpaceMemory64 | kPrefetchable, high(base),
                   low(base), high(base), low(base), high(window.size()), low(window.size())});
  }
  out.cells("ranges", ranges);
  for (std::size_t i = 0; i < pci.functions.size();) {
    const std::uint8_t port = pci.functions[i].port_devfn;
    const std::uint8_t bus = pci.functions[i].bus;
    out.begin(fmt::format("pci@{:x}", port >> 3U));
    out.cells("reg", std::array<std::uint32_t, 5>{std::uint32_t{port} << 8, 0, 0, 0, 0});
    write_bus_cells(out, bus, bus);
    out.empty("ranges");
    for (; i < pci.functions.size() && pci.functions[i].port_devfn == port; ++i) {
      write_function(out, pci.functions[i]);
    }
    out.end();
  }
  out.end();
}

}  // namespace

Result<std::vector<std::byte>> build_machine_tree(const MachineTree& tree) {
  TreeWriter out;
  out.cell("#address-cells", 2);
  out.cell("#size-cells", 2);
  out.text("compatible", "gpuvm,machine");
  out.text("model", tree.model);
  write_memory(out, tree);
  write_kernel(out, tree);
  write_ports(out, tree);
  write_pci(out, tree.pci);
  return out.finish();
}

}  // namespace gpuvm
