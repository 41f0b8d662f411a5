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

constexpr std::size_t kMostRemark = 400;  ///< bytes of a description

using Reader = void (*)(DomainParts&, pugi::xml_node);

struct ElementReader {
  std::string_view name;
  Reader read;  ///< null: needs no key
};

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
  if (trimmed(node.text().get()) != "destroy") {
    tell(parts, "test", node,
         "test.pvpanic = true ends the run with status 34; systemd can start it again (Restart=)");
  }
}

void read_clock(DomainParts& parts, pugi::xml_node node) {
  const std::string_view offset = node.attribute("offset").value();
  if (!offset.empty() && offset != "utc") {
    tell_alone(parts, "machine", node, advice::kClock);
  }
  for (const auto timer : node.children("timer")) {
    if (timer.attribute("name").value() == std::string_view("hypervclock") &&
        is_on(parts, timer, "present")) {
      add_enlightenment(parts.guest, "time", parts.xml.line_of(timer));
    } else {
      parts.guest.needs_no_key(shown_element(timer));  // a guest of KVM keeps its time by itself
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
  for (const auto* const name : {"bios", "system", "baseBoard", "chassis"}) {
    if (const auto table = node.child(name)) {
      tell(parts, "", table, advice::kSmbios);
    }
  }
}

/// What virt-manager and virt-install know of the guest's system: libosinfo's id.
void read_metadata(DomainParts& parts, pugi::xml_node node) {
  constexpr unsigned kMostLooked = 64;
  unsigned looked = 0;
  for (auto info : node.children()) {
    for (auto os = info.first_child(); os && ++looked < kMostLooked; os = os.next_sibling()) {
      const std::string_view id = os.attribute("id").value();
      const bool is_windows = id.find("microsoft.com/win") != std::string_view::npos;
      if (is_windows || id.find("apple.com/") != std::string_view::npos) {
        parts.guest.hinder(shown_element(os), parts.xml.line_of(os),
                           is_windows ? advice::kOnlyLinux : advice::kNoApple);
      }
    }
  }
  parts.guest.needs_no_key("<metadata>");
  parts.told.insert(node.offset_debug());
}

void read_remark(DomainParts& parts, pugi::xml_node node) {
  parts.guest.remarks.push_back(
      fmt::format("{}: {}", node.name(), trimmed(node.text().get()).substr(0, kMostRemark)));
}

constexpr ElementReader kElements[] = {
    {"name", [](DomainParts& p, pugi::xml_node n) { p.guest.name = trimmed(n.text().get()); }},
    {"title", read_remark},
    {"description", read_remark},
    {"metadata", read_metadata},
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

/// <domain type>: "kvm".
void read_kind(DomainParts& parts, pugi::xml_node domain) {
  const auto type = domain.attribute("type");
  const std::string_view kind = type.value();
  const std::string shown = fmt::format("<domain type='{}'>", kind);
  if (kind == "kvm" || !type) {
    parts.guest.needs_no_key(shown);
  } else if (kind == "qemu") {
    parts.guest.note("machine", shown, parts.xml.line_of(domain),
                     "its processor was emulated: here it runs by KVM");
  } else {
    parts.guest.hinder(shown, parts.xml.line_of(domain),
                       "this is a guest of another hypervisor, read as if it were QEMU's: its "
                       "drivers and disks may need another machine");
  }
}

void read_devices(DomainParts& parts, pugi::xml_node devices) {
  for (const auto device : devices.children()) {
    if (device.type() == pugi::node_element) {
      read_device(parts, device);
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
  if (!node) {
    return {};
  }
  std::string text = fmt::format("<{}", node.name());
  for (const auto attribute : node.attributes()) {
    text += fmt::format(" {}='{}'", attribute.name(), attribute.value());
  }
  const std::string_view inside = trimmed(node.text().get());
  return inside.empty() ? text + ">" : fmt::format("{}>{}</{}>", text, inside, node.name());
}

void tell_alone(DomainParts& parts, std::string_view section, pugi::xml_node node,
                std::string_view advice) {
  parts.guest.note(section, shown_element(node), parts.xml.line_of(node), advice);
}

void tell(DomainParts& parts, std::string_view section, pugi::xml_node node,
          std::string_view advice) {
  tell_alone(parts, section, node, advice);
  parts.told.insert(node.offset_debug());
}

void tell_among(DomainParts& parts, Notes& notes, pugi::xml_node node, std::string_view advice) {
  notes.push_back({shown_element(node), parts.xml.line_of(node), std::string(advice)});
  parts.told.insert(node.offset_debug());
}

bool is_on(DomainParts& parts, pugi::xml_node node, const char* attribute) {
  const auto found = node.attribute(attribute);
  const auto state = found ? switch_of(found.value()) : std::optional(false);
  if (!state) {
    tell_alone(parts, "", node, advice::kUnknownValue);
  }
  return state.value_or(false);
}

std::optional<std::uint64_t> number_in(DomainParts& parts, pugi::xml_node node,
                                       const char* attribute) {
  const auto found = node.attribute(attribute);
  const auto number = found ? number_of(found.value()) : std::nullopt;
  if (found && !number) {
    tell_alone(parts, "", node, advice::kUnknownValue);
  }
  return number;
}

void read_domain_element(DomainParts& parts, pugi::xml_node node) {
  const std::string_view name = node.name();
  const auto* const found =
      std::find_if(std::begin(kElements), std::end(kElements),
                   [&](const ElementReader& one) { return one.name == name; });
  if (found != std::end(kElements) && found->read != nullptr) {
    found->read(parts, node);
  }
}

/// The domain of a text: alone, in what libvirt keeps of it, or below other elements.
pugi::xml_node find_domain(const XmlText& xml) {
  for (const auto* const name : {"domstatus", "domainsnapshot", "domainbackup", "domains"}) {
    if (const auto domain = xml.root().child(name).child("domain")) {
      return domain;
    }
  }
  return xml.root().child("domain");
}

/// One domain is converted: others, and what stands beside it, are told.
void tell_others(DomainParts& parts, pugi::xml_node domain) {
  for (const auto node : domain.parent().children()) {
    if (node.type() != pugi::node_element || node == domain) {
      continue;
    }
    const bool is_domain = node.name() == std::string_view("domain");
    parts.guest.note("",
                     is_domain
                         ? fmt::format("another <domain> {}", trimmed(node.child_value("name")))
                         : shown_element(node),
                     parts.xml.line_of(node),
                     is_domain ? "only the first one is converted: put each into a file of its own"
                               : "it is beside the domain, and so not of the guest");
  }
}

Result<ForeignGuest> read_domain(std::string_view text, const std::string& label) {
  const auto xml = TRY(XmlText::parse(text, label));
  ForeignGuest guest;
  DomainParts parts{xml, guest};
  const auto domain = find_domain(xml);
  guest.is_whole = !domain.empty();
  if (domain) {
    read_kind(parts, domain);
    tell_others(parts, domain);
  }
  read_elements(parts, domain ? domain : xml.root());
  order_disks(parts);
  tell_unknown(parts, domain ? domain : xml.root());
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
