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

void read_rom(pugi::xml_node rom, ForeignFunction& function) {
  if (attribute_of(rom, "bar") == "off" || attribute_of(rom, "enabled") == "no") {
    function.properties["rombar"] = "off";
  }
  if (const auto file = attribute_of(rom, "file"); !file.empty()) {
    function.properties["romfile"] = file;
  }
}

void add_function(DomainParts& parts, pugi::xml_node node) {
  const auto host = address_of(node.child("source").child("address"));
  if (!host) {
    tell(parts, "", node,
         "its <source><address> cannot be read: write a [[pci]] with host = "
         "\"0000:01:00.0\", as lspci -D prints it");
    return;
  }
  ForeignFunction function;
  function.line = parts.xml.line_of(node);
  function.host = *host;
  function.managed = attribute_of(node, "managed") == "yes";
  function.id = attribute_of(node.child("alias"), "name");
  const auto guest = node.child("address");
  const auto bus = number_of(attribute_of(guest, "bus"));
  function.bus = bus && *bus != 0 ? fmt::format("{}", *bus) : "";
  read_rom(node.child("rom"), function);
  if (node.child("boot")) {
    function.properties["bootindex"] = attribute_of(node.child("boot"), "order");
  }
  if (attribute_of(node, "display") == "on" || attribute_of(node, "ramfb") == "on") {
    function.properties["display"] = "on";
  }
  if (attribute_of(node.child("driver"), "iommufd") == "yes") {
    function.properties["iommufd"] = "on";
  }
  if (parts.guest.functions.size() < kMostOfThem) {
    parts.guest.functions.push_back(std::move(function));
  }
}

void add_virtual_function(DomainParts& parts, pugi::xml_node node) {
  const std::size_t before = parts.guest.functions.size();
  add_function(parts, node);
  const auto mac = attribute_of(node.child("mac"), "address");
  if (parts.guest.functions.size() == before || (mac.empty() && !node.child("vlan"))) {
    return;
  }
  auto& function = parts.guest.functions.back();
  function.notes.push_back({fmt::format("{} with mac {}", shown_element(node), mac), function.line,
                            "address and VLAN of a virtual function are set on the host before: ip "
                            "link set DEV vf N mac "
                            "ADDRESS vlan ID"});
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
    return;
  }
  net.is_left_out = true;
  net.notes.push_back({fmt::format("network {}", network), parts.xml.line_of(node),
                       "its bridge is in `virsh net-dumpxml`: name it as bridge, and make this a "
                       "section"});
}

void read_user(pugi::xml_node node, ForeignNet& net) {
  net.is_user = true;
  for (const auto forward : node.children("portForward")) {
    const std::string kind = attribute_of(forward, "proto");
    const std::string address = attribute_of(forward, "address");
    for (const auto range : forward.children("range")) {
      const auto start = number_of(attribute_of(range, "start"));
      const auto to = number_of(attribute_of(range, "to"));
      const bool is_port = start && *start != 0 && *start <= 65535 && to.value_or(1) <= 65535;
      if (!is_port || !range.attribute("end").empty()) {
        net.notes.push_back({"<portForward>", net.line,
                             "forward has single ports: write each of a range by itself"});
        continue;
      }
      net.forward.push_back(fmt::format("{}:{}{}{}:{}", kind, address, address.empty() ? "" : "/",
                                        *start, to.value_or(*start)));
    }
  }
  if (node.child("ip")) {
    net.notes.push_back({"<ip>", net.line, std::string(advice::kNetAddress)});
  }
}

void read_card(pugi::xml_node node, ForeignNet& net) {
  net.mac = attribute_of(node.child("mac"), "address");
  net.model = attribute_of(node.child("model"), "type");
  net.mtu = number_of(attribute_of(node.child("mtu"), "size"));
  net.queues = number_of(attribute_of(node.child("driver"), "queues"));
  for (const auto* const name : {"vlan", "bandwidth", "filterref", "virtualport", "port"}) {
    if (const auto child = node.child(name)) {
      net.notes.push_back(
          {fmt::format("<{}>", child.name()), net.line, std::string(advice::kHostNet)});
    }
  }
  if (node.child("script")) {
    net.notes.push_back({"<script>", net.line, std::string(advice::kNetScript)});
  }
  const bool is_started = node.child("boot").empty();
  if (!is_started) {
    net.notes.push_back({"<boot>", net.line,
                         "gpuvm puts no network card first: choose it in the "
                         "firmware's own boot manager"});
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
  net.what = shown_element(node);
  read_card(node, net);
  if (type == "bridge" || type == "network") {
    read_bridge(parts, node, net);
  } else if (type == "user") {
    read_user(node, net);
  } else if (type == "ethernet") {
    net.tap = attribute_of(node.child("target"), "dev");
  } else {
    net.is_left_out = true;
    net.notes.push_back(
        {net.what, net.line, std::string(type == "direct" ? advice::kMacvtap : advice::kOtherNet)});
  }
  if (parts.guest.nets.size() < kMostOfThem) {
    parts.guest.nets.push_back(std::move(net));
  }
}

}  // namespace gpuvm::convert
