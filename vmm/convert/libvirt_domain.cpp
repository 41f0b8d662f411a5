// SPDX-License-Identifier: Apache-2.0
// A domain of libvirt (libvirt.org/formatdomain.html): what is not below <devices>.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/domain_parts.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::uint64_t kLargePage = 1ULL << 30;
constexpr std::size_t kMostRemark = 400;  ///< bytes of a description

using Reader = void (*)(DomainParts&, pugi::xml_node);

struct ElementReader {
  std::string_view name;
  Reader read;  ///< null: needs no key
};

void read_memory(DomainParts& parts, pugi::xml_node node) {
  parts.guest.memory = libvirt_size(node.text().get(), node.attribute("unit").value());
  if (!parts.guest.memory) {
    tell(parts, "machine", node, advice::kUnknownValue);
  }
}

void read_vcpu(DomainParts& parts, pugi::xml_node node) {
  parts.guest.cpus = number_of(node.text().get());
  const auto current = number_of(node.attribute("current").value());
  if (current && current != parts.guest.cpus) {
    tell(parts, "machine", node, advice::kHotPlug);
  }
  if (node.attribute("cpuset")) {
    tell(parts, "machine", node, advice::kPinOthers);
  }
}

void read_backing(DomainParts& parts, pugi::xml_node node) {
  const auto pages = node.child("hugepages");
  if (!pages) {
    return;  // locked, shared: always so
  }
  const auto page = pages.child("page");
  const auto size = libvirt_size(page.attribute("size").value(), page.attribute("unit").value());
  parts.guest.hugepages = size.value_or(0) >= kLargePage ? "1GiB" : "2MiB";
}

void read_tuning(DomainParts& parts, pugi::xml_node node) {
  for (const auto pin : node.children()) {
    const std::string_view name = pin.name();
    if (name != "vcpupin") {
      tell(parts, "machine", pin,
           name == "emulatorpin" || name == "iothreadpin" ? advice::kPinOthers : advice::kQuota);
      continue;
    }
    const auto vcpu = number_of(pin.attribute("vcpu").value());
    const auto cpus = cpu_list(pin.attribute("cpuset").value());
    if (!vcpu || *vcpu > 254 || !cpus || cpus->empty()) {
      tell(parts, "machine", pin, advice::kUnknownValue);
      continue;
    }
    parts.guest.pin[static_cast<unsigned>(*vcpu)] = cpus->front();
    if (cpus->size() > 1) {
      tell(parts, "machine", pin, "a vCPU has one CPU of the host: this is the first of them");
    }
  }
}

/// <memory nodeset> for all, <memnode> for one.
void read_numa_tuning(DomainParts& parts, pugi::xml_node node) {
  auto& nodes = parts.guest.nodes;
  const auto one_of = [](pugi::xml_node element) {
    const auto list = cpu_list(element.attribute("nodeset").value());
    return list && list->size() == 1 ? std::optional(list->front()) : std::nullopt;
  };
  const auto all = one_of(node.child("memory"));
  if (nodes.empty() && all) {
    ForeignNode whole;
    whole.line = parts.xml.line_of(node);
    for (unsigned cpu = 0; cpu < std::min<std::uint64_t>(parts.guest.cpus.value_or(1), 255);
         ++cpu) {
      whole.cpus.push_back(cpu);
    }
    whole.memory = parts.guest.memory.value_or(0);
    nodes.push_back(std::move(whole));
  }
  for (auto& guest_node : nodes) {
    guest_node.host_node = all;
  }
  for (const auto one : node.children("memnode")) {
    const auto cell = number_of(one.attribute("cellid").value());
    if (cell && *cell < nodes.size()) {
      nodes[*cell].host_node = one_of(one);
    }
  }
  if (!all && !node.child("memnode")) {
    tell(parts, "machine", node,
         "a node's memory comes from one node of the host: [[node]] host_node");
  }
}

void read_reboot(DomainParts& parts, pugi::xml_node node) {
  const std::string_view action = trimmed(node.text().get());
  parts.guest.exit_on_reboot = action == "destroy";
  if (action != "destroy" && action != "restart") {
    tell(parts, "machine", node, "machine.on_reboot is \"reset\" or \"exit\"");
  }
}

void read_power_off(DomainParts& parts, pugi::xml_node node) {
  if (trimmed(node.text().get()) != "destroy") {
    tell(parts, "machine", node,
         "a guest that powers off ends its run: systemd can start it again");
  }
}

void read_crash(DomainParts& parts, pugi::xml_node node) {
  const std::string_view action = trimmed(node.text().get());
  if (action != "destroy") {
    tell(parts, "test", node,
         "test.pvpanic = true ends the run with status 34; systemd can start it again (Restart=)");
  }
}

void read_clock(DomainParts& parts, pugi::xml_node node) {
  const std::string_view offset = node.attribute("offset").value();
  if (!offset.empty() && offset != "utc") {
    tell(parts, "machine", node, advice::kClock);
  }
  for (const auto timer : node.children("timer")) {
    if (timer.attribute("name").value() == std::string_view("hypervclock") &&
        timer.attribute("present").value() == std::string_view("yes")) {
      add_enlightenment(parts.guest, "time", parts.xml.line_of(timer));
    }
  }
}

void read_system_info(DomainParts& parts, pugi::xml_node node) {
  for (const auto entry : node.child("oemStrings").children("entry")) {
    const std::string_view text = trimmed(entry.text().get());
    constexpr std::string_view kCredential = "io.systemd.credential:";
    const auto equal = text.find('=');
    if (text.starts_with(kCredential) && equal != std::string_view::npos) {
      parts.guest.credentials.emplace_back(
          text.substr(kCredential.size(), equal - kCredential.size()), text.substr(equal + 1));
    } else {
      tell(parts, "", entry, advice::kSmbios);
    }
  }
  for (const auto entry : node.children("entry")) {  // type='fwcfg'
    const std::string file = entry.attribute("file").value();
    parts.guest.fw_cfg.emplace_back(
        entry.attribute("name").value(),
        file.empty() ? fmt::format("string:{}", entry.text().get()) : "file:" + file);
  }
  if (node.child("bios") || node.child("system") || node.child("baseBoard") ||
      node.child("chassis")) {
    tell(parts, "", node, advice::kSmbios);
  }
}

void read_remark(DomainParts& parts, pugi::xml_node node) {
  parts.guest.remarks.push_back(
      fmt::format("{}: {}", node.name(), trimmed(node.text().get()).substr(0, kMostRemark)));
}

constexpr ElementReader kElements[] = {
    {"name", [](DomainParts& p, pugi::xml_node n) { p.guest.name = trimmed(n.text().get()); }},
    {"title", read_remark},
    {"description", read_remark},
    {"metadata", nullptr},
    {"genid", nullptr},
    {"memory", read_memory},
    {"currentMemory", nullptr},
    {"vcpu", read_vcpu},
    {"vcpus", nullptr},
    {"memoryBacking", read_backing},
    {"cputune", read_tuning},
    {"numatune", read_numa_tuning},
    {"cpu", read_cpu},
    {"os", read_os},
    {"features", read_features},
    {"on_reboot", read_reboot},
    {"on_poweroff", read_power_off},
    {"on_crash", read_crash},
    {"on_lockfailure", nullptr},
    {"pm", nullptr},
    {"clock", read_clock},
    {"sysinfo", read_system_info},
    {"iothreads", nullptr},
    {"iothreadids", nullptr},
    {"uuid", [](DomainParts& p, pugi::xml_node n) { tell(p, "", n, advice::kSmbios); }},
    {"maxMemory",
     [](DomainParts& p, pugi::xml_node n) { tell(p, "machine", n, advice::kHotPlug); }},
    {"memtune", [](DomainParts& p, pugi::xml_node n) { tell(p, "", n, advice::kQuota); }},
    {"blkiotune", [](DomainParts& p, pugi::xml_node n) { tell(p, "", n, advice::kQuota); }},
    {"resource", [](DomainParts& p, pugi::xml_node n) { tell(p, "", n, advice::kQuota); }},
    {"seclabel", [](DomainParts& p, pugi::xml_node n) { tell(p, "", n, advice::kSeclabel); }},
    {"launchSecurity",
     [](DomainParts& p, pugi::xml_node n) {
       tell(p, "", n,
            "guests with encrypted memory (SEV, TDX) cannot be run: gpuvm sees all memory");
     }},
    {"bootloader",
     [](DomainParts& p, pugi::xml_node n) {
       tell(p, "boot", n, "this is Xen's: name kernel and initrd, or take UEFI");
     }},
};

void read_devices(DomainParts& parts, pugi::xml_node devices) {
  for (const auto device : devices.children()) {
    if (device.type() == pugi::node_element && !read_device(parts, device)) {
      tell(parts, "", device, advice::kUnknown);
    }
  }
}

/// All below <domain>, or of a text that has devices only. <numatune> is about the cells of <cpu>,
/// and what is QEMU's about devices: both come last.
void read_elements(DomainParts& parts, pugi::xml_node top) {
  constexpr std::string_view kLate = "numatune";
  std::vector<pugi::xml_node> late;
  for (const auto node : top.children()) {
    const std::string_view name = node.name();
    if (node.type() != pugi::node_element) {
      continue;
    }
    if (name == "devices") {
      read_devices(parts, node);
    } else if (name.starts_with("qemu:") || name == kLate) {
      late.push_back(node);
    } else if (parts.guest.is_whole || !read_device(parts, node)) {
      read_domain_element(parts, node);
    }
  }
  for (const auto node : late) {
    if (node.name() == kLate) {
      read_domain_element(parts, node);
    } else {
      read_qemu_element(parts, node);
    }
  }
}

/// <os><boot dev> where disks have no <boot order>.
void order_disks(DomainParts& parts) {
  constexpr std::uint64_t kBehindOrders = 1000;
  auto kinds = parts.boot_devices;
  if (kinds.empty()) {
    kinds.emplace_back("hd");
  }
  for (auto& disk : parts.guest.disks) {
    const auto kind =
        std::find(kinds.begin(), kinds.end(), disk.cdrom ? std::string("cdrom") : "hd");
    if (!disk.boot_order && kind != kinds.end()) {
      disk.boot_order = kBehindOrders + static_cast<std::uint64_t>(kind - kinds.begin());
    }
  }
}

}  // namespace

std::string shown_element(pugi::xml_node node) {
  std::string text = fmt::format("<{}", node.name());
  for (const auto* const name : {"type", "model", "dev", "name", "mode"}) {
    if (const auto attribute = node.attribute(name)) {
      text += fmt::format(" {}='{}'", name, attribute.value());
    }
  }
  return text + ">";
}

void tell(DomainParts& parts, std::string_view section, pugi::xml_node node,
          std::string_view advice) {
  parts.guest.note(section, shown_element(node), parts.xml.line_of(node), advice);
}

void read_domain_element(DomainParts& parts, pugi::xml_node node) {
  const std::string_view name = node.name();
  const auto* const found =
      std::find_if(std::begin(kElements), std::end(kElements),
                   [&](const ElementReader& one) { return one.name == name; });
  if (found == std::end(kElements)) {
    tell(parts, "", node, advice::kUnknown);
  } else if (found->read != nullptr) {
    found->read(parts, node);
  }
}

Result<ForeignGuest> read_domain(std::string_view text, const std::string& label) {
  const auto xml = TRY(XmlText::parse(text, label));
  ForeignGuest guest;
  DomainParts parts{xml, guest};
  auto domain = xml.root().child("domain");
  if (!domain) {
    domain = xml.root().child("domstatus").child("domain");
  }
  guest.is_whole = !domain.empty();
  read_elements(parts, domain ? domain : xml.root());
  order_disks(parts);
  if (!guest.is_whole && guest.functions.empty() && guest.disks.empty() && guest.nets.empty() &&
      guest.shares.empty()) {
    return fail(ErrorKind::kConfig,
                "{}:1:1: there is no <domain> here, and no device of one: give what virsh dumpxml "
                "prints",
                label);
  }
  return guest;
}

}  // namespace gpuvm::convert
