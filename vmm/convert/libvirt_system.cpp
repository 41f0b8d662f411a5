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

void read_cells(DomainParts& parts, pugi::xml_node numa) {
  constexpr std::size_t kMostCells = 64;
  for (const auto cell : numa.children("cell")) {
    ForeignNode node;
    node.line = parts.xml.line_of(cell);
    const auto cpus = cpu_list(cell.attribute("cpus").value());
    const auto memory =
        libvirt_size(cell.attribute("memory").value(), cell.attribute("unit").value());
    if ((cell.attribute("cpus") && !cpus) || !memory) {
      tell_alone(parts, "machine", cell, advice::kUnknownValue);
    }
    node.cpus = cpus.value_or(std::vector<unsigned>());
    node.memory = memory.value_or(0);
    parts.guest.add(parts.guest.nodes, kMostCells, std::move(node), shown_element(cell));
    if (const auto distances = cell.child("distances")) {
      tell(parts, "machine", distances, advice::kDistances);
    }
  }
}

void read_hyperv(DomainParts& parts, pugi::xml_node hyperv) {
  if (hyperv.attribute("mode").value() == std::string_view("passthrough")) {
    tell_alone(parts, "cpu", hyperv, "name what the guest needs in cpu.hyperv");
  } else if (hyperv.attribute("mode")) {
    parts.guest.needs_no_key(shown_element(hyperv));
  }
  for (const auto one : hyperv.children()) {
    if (one.type() != pugi::node_element) {
      continue;
    }
    const std::string_view name = one.name();
    if (!is_on(parts, one, "state")) {
      parts.guest.needs_no_key(shown_element(one));
    } else if (name == "vendor_id") {
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
      tell(parts, "", device, "no <hostdev type='pci'> has this alias: it is left out");
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
    tell_alone(parts, "cpu", cpu, advice::kHostCpu);
  }
  if (const auto model = cpu.child("model")) {
    tell(parts, "cpu", model, advice::kHostCpu);
  }
  const auto topology = cpu.child("topology");
  if (number_in(parts, topology, "threads").value_or(1) > 1) {
    tell(parts, "machine", topology, advice::kTopology);
  }
  for (const auto feature : cpu.children("feature")) {
    const std::string_view policy = feature.attribute("policy").value();
    const std::string name = feature_name(feature.attribute("name").value());
    const bool is_hidden = policy == "disable" || policy == "forbid";
    if (is_hidden && name == "hypervisor") {
      parts.guest.hide_hypervisor = true;
    } else if (is_hidden) {
      parts.guest.hide.push_back(name);
    } else {
      parts.guest.needs_no_key(shown_element(feature));  // the guest has it where the host has it
    }
  }
  read_cells(parts, cpu.child("numa"));
}

namespace {

/// <type arch machine>: which guest it is at all.
void read_type(DomainParts& parts, pugi::xml_node type) {
  ForeignGuest& guest = parts.guest;
  const std::string_view arch = type.attribute("arch").value();
  const std::string_view machine = type.attribute("machine").value();
  const std::string_view kind = trimmed(type.text().get());
  const std::size_t line = parts.xml.line_of(type);
  if ((!arch.empty() && arch != "x86_64" && arch != "i686") ||
      (!machine.empty() && !is_pc(machine))) {
    guest.hinder(shown_element(type), line, advice::kOnlyX86);
  } else if (!kind.empty() && kind != "hvm") {
    guest.hinder(shown_element(type), line,
                 "only guests with a machine of their own are run (hvm), no containers and no "
                 "Xen");
  } else if (arch == "i686") {
    guest.note("boot", shown_element(type), line, "the guest's kernel has to be one of 64 bits");
  } else if (type) {
    guest.needs_no_key(shown_element(type));
  }
}

/// firmware='efi': libvirt chooses the files.
void read_firmware_choice(DomainParts& parts, pugi::xml_node os) {
  const std::string_view firmware = os.attribute("firmware").value();
  parts.guest.is_firmware_chosen = firmware == "efi";
  if (!firmware.empty() && firmware != "efi") {
    parts.guest.note("boot", fmt::format("<os firmware='{}'>", firmware), parts.xml.line_of(os),
                     "gpuvm has no BIOS: this is OVMF");
  }
  for (const auto feature : os.child("firmware").children("feature")) {
    const std::string_view name = feature.attribute("name").value();
    if ((name == "secure-boot" || name == "enrolled-keys") &&
        feature.attribute("enabled").value() == std::string_view("yes")) {
      tell(parts, "boot", feature, advice::kSecureBoot);
    } else {
      parts.guest.needs_no_key(shown_element(feature));
    }
  }
}

void read_boot_order(DomainParts& parts, pugi::xml_node os) {
  for (const auto boot : os.children("boot")) {
    const std::string dev = boot.attribute("dev").value();
    if (dev == "network") {
      tell(parts, "boot", boot,
           "there is no network boot: UEFI boots as its own boot manager can, "
           "or name kernel and initrd");
    } else if (dev != "hd" && dev != "cdrom") {
      tell(parts, "boot", boot, dev == "fd" ? advice::kFloppy : advice::kUnknownValue);
    } else {
      parts.guest.needs_no_key(shown_element(boot));
    }
    parts.boot_devices.push_back(dev);
  }
}

}  // namespace

void read_os(DomainParts& parts, pugi::xml_node os) {
  ForeignGuest& guest = parts.guest;
  read_type(parts, os.child("type"));
  read_firmware_choice(parts, os);
  guest.kernel = trimmed(os.child("kernel").text().get());
  guest.initrd = trimmed(os.child("initrd").text().get());
  guest.cmdline = trimmed(os.child("cmdline").text().get());
  const auto loader = os.child("loader");
  const auto nvram = os.child("nvram");
  const std::string_view kind = loader.attribute("type").value();
  if (kind == "pflash" || nvram) {
    guest.firmware = trimmed(loader.text().get());
    if (!kind.empty() && kind != "pflash") {
      tell_alone(parts, "boot", loader, "with variables it is read as flash: OVMF's two files");
    }
  } else if (loader) {
    tell(parts, "boot", loader, "this is a BIOS, which gpuvm has not: this is OVMF");
  }
  guest.vars = trimmed(nvram.text().get());
  if (const auto file = nvram.child("source").attribute("file")) {
    guest.vars = file.value();
  }
  guest.vars_template = nvram.attribute("template").value();
  if (is_on(parts, loader, "secure")) {
    tell_alone(parts, "boot", loader, advice::kSecureBoot);
  }
  read_boot_order(parts, os);
  if (const auto table = os.child("acpi").child("table")) {
    tell(parts, "", table, advice::kAcpiTable);
  }
  if (is_on(parts, os.child("bootmenu"), "enable")) {
    tell(parts, "boot", os.child("bootmenu"), advice::kBootMenu);
  }
}

void read_features(DomainParts& parts, pugi::xml_node features) {
  const auto kvm = features.child("kvm");
  parts.guest.hide_hypervisor =
      is_on(parts, kvm.child("hidden"), "state") || parts.guest.hide_hypervisor;
  read_hyperv(parts, features.child("hyperv"));
  if (const auto smm = features.child("smm"); is_on(parts, smm, "state")) {
    tell(parts, "boot", smm, advice::kSecureBoot);
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
  }
}

}  // namespace gpuvm::convert
