// SPDX-License-Identifier: Apache-2.0
// <hostdev> and <interface> of a domain.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/domain_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostOfThem = 128;

std::string attribute_of(pugi::xml_node node, const char* name) {
  return node.attribute(name).value();
}

/// <address domain bus slot function>: hexadecimal with "0x", as virsh prints it, else decimal.
std::optional<Bdf> address_of(pugi::xml_node address) {
  const auto number = [&](const char* name, std::uint64_t most) {
    const auto text = attribute_of(address, name);
    const auto found = number_of(text);
    return found && *found <= most ? found : std::nullopt;
  };
  const auto domain = attribute_of(address, "domain").empty() ? std::optional<std::uint64_t>(0)
                                                              : number("domain", 0xffff);
  const auto bus = number("bus", 0xff);
  const auto slot = number("slot", 0x1f);
  const auto function = number("function", 7);
  if (!domain || !bus || !slot || !function) {
    return std::nullopt;
  }
  return Bdf{static_cast<std::uint16_t>(*domain), static_cast<std::uint8_t>(*bus),
             static_cast<std::uint8_t>(*slot), static_cast<std::uint8_t>(*function)};
}

void read_rom(DomainParts& parts, pugi::xml_node rom, ForeignFunction& function) {
  if (rom.attribute("bar")) {
    function.properties["rombar"] = is_on(parts, rom, "bar") ? "on" : "off";
  }
  if (rom.attribute("enabled") && !is_on(parts, rom, "enabled")) {
    function.properties["rombar"] = "off";
  }
  if (const auto file = attribute_of(rom, "file"); !file.empty()) {
    function.properties["romfile"] = file;
  }
}

void add_function(DomainParts& parts, pugi::xml_node node) {
  const auto host = address_of(node.child("source").child("address"));
  if (!host) {
    parts.guest.note("", shown_element(node) + shown_element(node.child("source").child("address")),
                     parts.xml.line_of(node),
                     "its <source><address> cannot be read: write a [[pci]] with host = "
                     "\"0000:01:00.0\", as lspci -D prints it");
    return;
  }
  ForeignFunction function;
  function.line = parts.xml.line_of(node);
  function.host = *host;
  function.managed = is_on(parts, node, "managed");
  function.id = attribute_of(node.child("alias"), "name");
  const auto guest = node.child("address");
  const auto bus = number_of(attribute_of(guest, "bus"));
  function.bus = bus && *bus != 0 ? fmt::format("{}", *bus) : "";
  read_rom(parts, node.child("rom"), function);
  if (node.child("boot")) {
    function.properties["bootindex"] = attribute_of(node.child("boot"), "order");
  }
  if (attribute_of(node, "display") == "on" || attribute_of(node, "ramfb") == "on") {
    function.properties["display"] = "on";
  }
  const auto driver = node.child("driver");
  if (is_on(parts, driver, "iommufd") || node.child("iommufd")) {
    function.properties["iommufd"] = "on";
  }
  const auto name = attribute_of(driver, "name");
  if (name == "xen" || name == "kvm") {
    tell_among(parts, function.notes, driver, "functions are passed through by VFIO only");
  }
  if (const auto teaming = node.child("teaming")) {
    tell_among(parts, function.notes, teaming, "cards are not joined: make a bond in the guest");
  }
  parts.guest.add(parts.guest.functions, kMostOfThem, std::move(function), shown_element(node));
}

void add_virtual_function(DomainParts& parts, pugi::xml_node node) {
  const std::size_t before = parts.guest.functions.size();
  add_function(parts, node);
  if (parts.guest.functions.size() == before) {
    return;
  }
  for (const auto* const name : {"mac", "vlan", "virtualport"}) {
    if (const auto child = node.child(name)) {
      tell_among(parts, parts.guest.functions.back().notes, child,
                 "address and VLAN of a virtual function are set on the host before: ip link set "
                 "DEV vf N mac ADDRESS vlan ID");
    }
  }
}

void read_bridge(DomainParts& parts, pugi::xml_node node, ForeignNet& net) {
  const auto source = node.child("source");
  net.bridge = attribute_of(source, "bridge");
  if (!net.bridge.empty() || attribute_of(node, "type") == "bridge") {
    return;
  }
  const auto network = attribute_of(source, "network");
  if (network == "default") {
    net.bridge = "virbr0";
    parts.guest.needs_no_key(shown_element(source));
    return;
  }
  net.is_left_out = true;
  net.notes.push_back({fmt::format("network {}", network), parts.xml.line_of(node),
                       "its bridge is in `virsh net-dumpxml`: name it as bridge, and make this a "
                       "section"});
}

/// "tcp:127.0.0.1/2222:22"; ranges and what cannot be read are told.
void read_forward(DomainParts& parts, pugi::xml_node forward, ForeignNet& net) {
  const std::string kind = attribute_of(forward, "proto");
  const std::string address = attribute_of(forward, "address");
  for (const auto range : forward.children("range")) {
    const auto start = number_of(attribute_of(range, "start"));
    const auto to = range.attribute("to") ? number_of(attribute_of(range, "to")) : start;
    const bool is_port = start && to && *start != 0 && *start <= 65535 && *to != 0 && *to <= 65535;
    if (!is_port || !range.attribute("end").empty() || attribute_of(range, "exclude") == "yes") {
      tell_among(parts, net.notes, range,
                 "forward has single ports: write each of a range by "
                 "itself");
      continue;
    }
    net.forward.push_back(
        fmt::format("{}:{}{}{}:{}", kind, address, address.empty() ? "" : "/", *start, *to));
  }
  if (forward.attribute("dev")) {
    tell_among(parts, net.notes, forward,
               "a port is forwarded on all of the host's cards, or on "
               "one address");
  }
}

void read_user(DomainParts& parts, pugi::xml_node node, ForeignNet& net) {
  net.is_user = true;
  for (const auto forward : node.children("portForward")) {
    read_forward(parts, forward, net);
  }
}

void read_card(DomainParts& parts, pugi::xml_node node, ForeignNet& net) {
  struct AtCard {
    const char* name;
    std::string_view advice;
  };
  static constexpr AtCard kAtCard[] = {
      {"vlan", advice::kHostNet},
      {"bandwidth", advice::kHostNet},
      {"filterref", advice::kHostNet},
      {"virtualport", advice::kHostNet},
      {"port", advice::kHostNet},
      {"tune", advice::kHostNet},
      {"coalesce", advice::kHostNet},
      {"guest", "the interface of the host that the guest sees has the name of its tap"},
      {"teaming", "cards are not joined: make a bond in the guest"},
      {"script", advice::kNetScript},
      {"downscript", advice::kNetScript},
      {"ip", advice::kNetAddress},
      {"route", advice::kNetAddress},
      {"boot", "gpuvm puts no network card first: choose it in the firmware's own boot manager"}};
  net.mac = attribute_of(node.child("mac"), "address");
  net.model = attribute_of(node.child("model"), "type");
  net.mtu = number_in(parts, node.child("mtu"), "size");
  net.queues = number_in(parts, node.child("driver"), "queues");
  for (const auto& one : kAtCard) {
    for (const auto child : node.children(one.name)) {
      tell_among(parts, net.notes, child, one.advice);
    }
  }
  if (const auto link = node.child("link"); attribute_of(link, "state") == "down") {
    tell_among(parts, net.notes, link, "a card is always connected: leave this section out");
  }
}

}  // namespace

void read_hostdev(DomainParts& parts, pugi::xml_node node) {
  const std::string type = attribute_of(node, "type");
  if (type == "pci") {
    add_function(parts, node);
  } else if (type == "usb") {
    tell(parts, "", node, advice::kUsbDevice);
  } else if (type == "mdev") {
    tell(parts, "", node, advice::kMdev);
  } else {
    tell(parts, "", node,
         "only PCI functions are passed through: a whole controller as [[pci]], a "
         "host's disk as [[disk]]");
  }
}

void read_interface(DomainParts& parts, pugi::xml_node node) {
  const std::string type = attribute_of(node, "type");
  if (type == "hostdev") {
    add_virtual_function(parts, node);
    return;
  }
  ForeignNet net;
  net.line = parts.xml.line_of(node);
  net.what = fmt::format("<interface type='{}'>", type);
  read_card(parts, node, net);
  if (type == "bridge" || type == "network") {
    read_bridge(parts, node, net);
  } else if (type == "user") {
    read_user(parts, node, net);
  } else if (type == "ethernet") {
    net.tap = attribute_of(node.child("target"), "dev");
  } else {
    net.is_left_out = true;
    tell_among(parts, net.notes, node, type == "direct" ? advice::kMacvtap : advice::kOtherNet);
    if (const auto source = node.child("source")) {
      tell_among(parts, net.notes, source, "this is where the card was");
    }
  }
  parts.guest.add(parts.guest.nets, kMostOfThem, std::move(net), shown_element(node));
}

}  // namespace gpuvm::convert
