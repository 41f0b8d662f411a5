// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/machine_description.hpp"

#include <libfdt.h>

#include <cstring>

namespace gpuvm::efi {
namespace {

std::uint64_t load_cells(const void* at, unsigned cells) {
  const auto* bytes = static_cast<const std::uint8_t*>(at);
  std::uint64_t value = 0;
  for (unsigned i = 0; i < cells * 4; ++i) {
    value = value << 8 | bytes[i];
  }
  return value;
}

/// A node of the tree; negative offsets (absent nodes) have no properties.
class Node {
 public:
  Node(const void* tree, int offset) : tree_(tree), offset_(offset) {}
  Node(const void* tree, const char* path) : Node(tree, fdt_path_offset(tree, path)) {}

  bool exists() const { return offset_ >= 0; }
  const void* property(const char* name, std::uint32_t& size) const {
    int length = 0;
    const void* data = exists() ? fdt_getprop(tree_, offset_, name, &length) : nullptr;
    size = data != nullptr && length > 0 ? static_cast<std::uint32_t>(length) : 0;
    return size != 0 ? data : nullptr;
  }
  bool has(const char* name) const {
    int length = 0;
    return exists() && fdt_getprop(tree_, offset_, name, &length) != nullptr;
  }
  /// An integer of one or two cells; 0 when absent or of another size.
  std::uint64_t integer(const char* name) const {
    std::uint32_t size = 0;
    const void* data = property(name, size);
    return size == 4 || size == 8 ? load_cells(data, size / 4) : 0;
  }
  /// A pair of two-cell numbers.
  Region region(const char* name, std::size_t index = 0) const {
    std::uint32_t size = 0;
    const void* data = property(name, size);
    if (data == nullptr || size < (index + 1) * 16) {
      return {};
    }
    const auto* at = static_cast<const std::uint8_t*>(data) + index * 16;
    return {load_cells(at, 2), load_cells(at + 8, 2)};
  }
  /// The I/O port of a node below the ISA bus: <space port length>.
  std::uint16_t port() const {
    std::uint32_t size = 0;
    const void* data = property("reg", size);
    return size == 12 ? static_cast<std::uint16_t>(
                            load_cells(static_cast<const std::uint8_t*>(data) + 4, 1))
                      : std::uint16_t{0};
  }
  const void* tree() const { return tree_; }
  int offset() const { return offset_; }

 private:
  const void* tree_;
  int offset_;
};

Node compatible(const void* tree, const char* name) {
  return Node(tree, fdt_node_offset_by_compatible(tree, -1, name));
}

const char* read_memory(const void* tree, MachineDescription& out) {
  for (int at = fdt_node_offset_by_prop_value(tree, -1, "device_type", "memory", 7); at >= 0;
       at = fdt_node_offset_by_prop_value(tree, at, "device_type", "memory", 7)) {
    const Node node(tree, at);
    const Region region = node.region("reg");
    const bool is_specific = node.has("gpuvm,specific-purpose");
    std::size_t& count = is_specific ? out.specific_count : out.ram_count;
    if (region.size == 0 ||
        count == (is_specific ? MachineDescription::kSpecificMax : MachineDescription::kRamMax)) {
      return "A memory node is empty, or there are too many";
    }
    (is_specific ? out.specific : out.ram)[count++] = region;
  }
  const Node parent(tree, "/reserved-memory");
  for (int at = parent.exists() ? fdt_first_subnode(tree, parent.offset()) : -1; at >= 0;
       at = fdt_next_subnode(tree, at)) {
    const Node node(tree, at);
    if (out.reserved_count == MachineDescription::kReservedMax) {
      return "There are too many reserved ranges";
    }
    out.reserved[out.reserved_count++] = {
        node.region("reg"), static_cast<MemoryType>(node.integer("gpuvm,efi-memory-type"))};
  }
  return out.ram_count != 0 ? nullptr : "There is no memory node";
}

const char* read_kernel(void* tree, MachineDescription& out) {
  const Node kernel = compatible(tree, "gpuvm,efi-kernel");
  out.kernel.image = kernel.region("reg");
  out.kernel.entry = kernel.integer("entry");
  out.kernel.handover = kernel.has("handover");
  out.kernel.setup_header = static_cast<const std::uint8_t*>(
      kernel.property("setup-header", out.kernel.setup_header_size));
  if (out.kernel.image.size == 0 || out.kernel.entry == 0) {
    return "There is no kernel";
  }
  const Node chosen(tree, "/chosen");
  std::uint32_t size = 0;
  const auto* text = static_cast<const char*>(chosen.property("bootargs", size));
  if (text != nullptr && text[size - 1] == '\0') {
    out.command_line = text;
  }
  const std::uint64_t start = chosen.integer("linux,initrd-start");
  const std::uint64_t end = chosen.integer("linux,initrd-end");
  if (end > start) {
    out.initrd = {start, end - start};
  }
  // The property is erased after use, hence not const.
  int length = 0;
  struct fdt_property* seed =
      chosen.exists() ? fdt_get_property_w(tree, chosen.offset(), "rng-seed", &length) : nullptr;
  if (seed != nullptr && length > 0) {
    out.seed = reinterpret_cast<std::uint8_t*>(seed->data);
    out.seed_size = static_cast<std::uint32_t>(length);
  }
  return nullptr;
}

void read_devices(const void* tree, MachineDescription& out) {
  out.rsdp = Node(tree, "/firmware").integer("gpuvm,acpi-rsdp");
  out.smbios3 = Node(tree, "/firmware").integer("gpuvm,smbios3-entry");
  out.serial_port = compatible(tree, "ns16550a").port();
  out.rtc_port = compatible(tree, "motorola,mc146818").port();
  const Node reset = compatible(tree, "gpuvm,reset-port");
  out.reset_port = reset.port();
  out.reset_value = static_cast<std::uint8_t>(reset.integer("value"));
  const Node power = compatible(tree, "gpuvm,acpi-pm1-control");
  out.pm1_control_port = power.port();
  out.soft_off_value = static_cast<std::uint16_t>(power.integer("soft-off-value"));
  const Node monitor = compatible(tree, "gpuvm,efi-monitor");
  out.monitor_port = monitor.port();
  out.variables = monitor.region("variables");
  out.ecam = compatible(tree, "pci-host-ecam-generic").region("reg").base;
}

/// PCI Bus Binding to IEEE 1275, 2.2.1.1: phys.hi has bus, device and function in bits 23 to 8.
const char* read_functions(const void* tree, MachineDescription& out) {
  for (int at = fdt_node_offset_by_compatible(tree, -1, "gpuvm,passed-through"); at >= 0;
       at = fdt_node_offset_by_compatible(tree, at, "gpuvm,passed-through")) {
    const Node node(tree, at);
    std::uint32_t size = 0;
    const void* reg = node.property("reg", size);
    if (size < 20 || out.function_count == MachineDescription::kFunctionsMax) {
      return "A PCI function has no address, or there are too many";
    }
    const auto high = static_cast<std::uint32_t>(load_cells(reg, 1));
    out.functions[out.function_count++] = {.bus = static_cast<std::uint8_t>(high >> 16),
                                           .device = static_cast<std::uint8_t>(high >> 11 & 0x1f),
                                           .function = static_cast<std::uint8_t>(high >> 8 & 7),
                                           .rom = node.region("gpuvm,rom")};
  }
  return nullptr;
}

}  // namespace

const char* read_machine_description(void* tree, MachineDescription& out) {
  out = {};
  if (fdt_check_header(tree) != 0) {
    return "There is no device tree";
  }
  out.tree_size = fdt_totalsize(tree);
  const char* wrong = read_memory(tree, out);
  if (wrong == nullptr) {
    wrong = read_kernel(tree, out);
  }
  if (wrong == nullptr) {
    wrong = read_functions(tree, out);
  }
  read_devices(tree, out);
  return wrong;
}

}  // namespace gpuvm::efi
