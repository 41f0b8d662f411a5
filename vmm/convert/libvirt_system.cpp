// SPDX-License-Identifier: Apache-2.0
// A domain's <cpu>, <os> and <features>, and what it says to QEMU past libvirt.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/domain_parts.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

bool is_on(pugi::xml_node node) {
  return node.attribute("state").value() == std::string_view("on");
}

void read_cells(DomainParts& parts, pugi::xml_node numa) {
  for (const auto cell : numa.children("cell")) {
    ForeignNode node;
    node.line = parts.xml.line_of(cell);
    node.cpus = cpu_list(cell.attribute("cpus").value()).value_or(std::vector<unsigned>());
    node.memory =
        libvirt_size(cell.attribute("memory").value(), cell.attribute("unit").value()).value_or(0);
    if (parts.guest.nodes.size() < 64) {
      parts.guest.nodes.push_back(std::move(node));
    }
    if (cell.child("distances")) {
      tell(parts, "machine", cell, "distances of NUMA nodes are gpuvm's own");
    }
  }
}

void read_hyperv(DomainParts& parts, pugi::xml_node hyperv) {
  if (hyperv.attribute("mode").value() == std::string_view("passthrough")) {
    tell(parts, "cpu", hyperv, "name what the guest needs in cpu.hyperv");
  }
  for (const auto one : hyperv.children()) {
    if (one.type() != pugi::node_element || !is_on(one)) {
      continue;
    }
    const std::string_view name = one.name();
    if (name == "vendor_id") {
      parts.guest.hyperv_vendor_id = one.attribute("value").value();
    } else {
      add_enlightenment(parts.guest, name, parts.xml.line_of(one));
    }
  }
}

/// An alias that libvirt makes itself: "hostdev0".
void name_functions(ForeignGuest& guest) {
  std::size_t number = 0;
  for (auto& function : guest.functions) {
    if (function.id.empty()) {
      function.id = fmt::format("hostdev{}", number);
    }
    ++number;
  }
}

void read_override(DomainParts& parts, pugi::xml_node override) {
  for (const auto device : override.children("qemu:device")) {
    const std::string alias = device.attribute("alias").value();
    auto& functions = parts.guest.functions;
    const auto function =
        std::find_if(functions.begin(), functions.end(),
                     [&](const ForeignFunction& other) { return other.id == alias; });
    if (function == functions.end()) {
      parts.guest.note("", fmt::format("<qemu:device alias='{}'>", alias),
                       parts.xml.line_of(device), advice::kUnknown);
      continue;
    }
    for (const auto property : device.child("qemu:frontend").children("qemu:property")) {
      std::string name = property.attribute("name").value();
      std::replace(name.begin(), name.end(), '_', '-');
      const auto value = property.attribute("value").value();
      function->properties[name] =
          switch_of(value) == true && number_of(value) != 1U ? "on" : value;
    }
  }
}

}  // namespace

void read_cpu(DomainParts& parts, pugi::xml_node cpu) {
  const std::string_view mode = cpu.attribute("mode").value();
  if (!mode.empty() && mode != "host-passthrough" && mode != "maximum") {
    tell(parts, "cpu", cpu, advice::kHostCpu);
  } else if (mode.empty() && cpu.child("model")) {
    tell(parts, "cpu", cpu.child("model"), advice::kHostCpu);
  }
  const auto topology = cpu.child("topology");
  if (number_of(topology.attribute("threads").value()).value_or(1) > 1) {
    parts.guest.note("machine",
                     fmt::format("<topology threads='{}'>", topology.attribute("threads").value()),
                     parts.xml.line_of(topology), advice::kTopology);
  }
  for (const auto feature : cpu.children("feature")) {
    const std::string_view policy = feature.attribute("policy").value();
    const std::string name = feature_name(feature.attribute("name").value());
    const bool is_hidden = policy == "disable" || policy == "forbid";
    if (is_hidden && name == "hypervisor") {
      parts.guest.hide_hypervisor = true;
    } else if (is_hidden) {
      parts.guest.hide.push_back(name);
    }
  }
  read_cells(parts, cpu.child("numa"));
}

void read_os(DomainParts& parts, pugi::xml_node os) {
  ForeignGuest& guest = parts.guest;
  guest.kernel = trimmed(os.child("kernel").text().get());
  guest.initrd = trimmed(os.child("initrd").text().get());
  guest.cmdline = trimmed(os.child("cmdline").text().get());
  const auto loader = os.child("loader");
  const auto nvram = os.child("nvram");
  if (loader.attribute("type").value() == std::string_view("pflash") || nvram) {
    guest.firmware = trimmed(loader.text().get());
  }
  guest.vars = trimmed(nvram.text().get());
  if (const auto file = nvram.child("source").attribute("file")) {
    guest.vars = file.value();
  }
  guest.vars_template = nvram.attribute("template").value();
  if (loader.attribute("secure").value() == std::string_view("yes")) {
    tell(parts, "boot", loader, advice::kSecureBoot);
  }
  for (const auto boot : os.children("boot")) {
    parts.boot_devices.emplace_back(boot.attribute("dev").value());
    if (parts.boot_devices.back() == "network") {
      tell(parts, "boot", boot,
           "there is no network boot: UEFI boots as its own boot manager can, "
           "or name kernel and initrd");
    }
  }
  if (os.child("acpi").child("table")) {
    tell(parts, "", os.child("acpi").child("table"), advice::kAcpiTable);
  }
  if (os.child("bootmenu").attribute("enable").value() == std::string_view("yes")) {
    tell(parts, "boot", os.child("bootmenu"), "a menu is the boot loader's own");
  }
  for (const auto* const name : {"init", "initarg", "dtb", "shim"}) {
    if (os.child(name)) {
      tell(parts, "boot", os.child(name), advice::kUnknown);
    }
  }
}

void read_features(DomainParts& parts, pugi::xml_node features) {
  static constexpr std::string_view kAutomatic[] = {
      "acpi", "apic", "pae",    "vmport",  "smm",        "ioapic", "pmu",
      "hap",  "kvm",  "hyperv", "privnet", "vmcoreinfo", "ps2"};
  const auto kvm = features.child("kvm");
  parts.guest.hide_hypervisor = parts.guest.hide_hypervisor || is_on(kvm.child("hidden"));
  read_hyperv(parts, features.child("hyperv"));
  for (const auto feature : features.children()) {
    const std::string_view name = feature.name();
    if (feature.type() == pugi::node_element &&
        std::find(std::begin(kAutomatic), std::end(kAutomatic), name) == std::end(kAutomatic)) {
      tell(parts, "machine", feature, advice::kUnknown);
    }
  }
}

void read_qemu_element(DomainParts& parts, pugi::xml_node node) {
  const std::string_view name = node.name();
  name_functions(parts.guest);
  if (name == "qemu:override") {
    read_override(parts, node);
  } else if (name == "qemu:commandline") {
    std::vector<Word> words;
    for (const auto argument : node.children("qemu:arg")) {
      words.push_back({argument.attribute("value").value(), parts.xml.line_of(argument)});
    }
    for (const auto variable : node.children("qemu:env")) {
      tell(parts, "", variable, "gpuvm passes no variables on: they are its own environment");
    }
    apply_options(words, parts.guest);
  } else {
    tell(parts, "", node, advice::kUnknown);
  }
}

}  // namespace gpuvm::convert
