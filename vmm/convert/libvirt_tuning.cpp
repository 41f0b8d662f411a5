// SPDX-License-Identifier: Apache-2.0
// A domain's memory and processors, and where on the host they are.
#include <algorithm>
#include <set>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/domain_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

/// The one node of the host that an element names; several, or none that can be read, are told.
std::optional<unsigned> one_node(DomainParts& parts, pugi::xml_node element) {
  const auto list = cpu_list(element.attribute("nodeset").value());
  if (list && list->size() == 1) {
    return list->front();
  }
  if (element) {
    tell(parts, "machine", element,
         "a node's memory comes from one node of the host: [[node]] host_node");
  }
  return std::nullopt;
}

/// Whether a <memnode> names each cell, so that <memory> is about none.
bool has_each_cell(pugi::xml_node tuning, std::size_t cells) {
  std::set<std::uint64_t> told;
  for (const auto one : tuning.children("memnode")) {
    if (const auto cell = number_of(one.attribute("cellid").value()); cell && *cell < cells) {
      told.insert(*cell);
    }
  }
  return told.size() == cells;
}

}  // namespace

void read_memory(DomainParts& parts, pugi::xml_node node) {
  parts.guest.memory = libvirt_size(node.text().get(), node.attribute("unit").value());
  if (!parts.guest.memory) {
    tell(parts, "machine", node, advice::kUnknownValue);
  }
}

void read_vcpu(DomainParts& parts, pugi::xml_node node) {
  parts.guest.cpus = number_of(node.text().get());
  const auto current = number_of(node.attribute("current").value());
  if (!parts.guest.cpus) {
    tell(parts, "machine", node, advice::kUnknownValue);
  } else if (node.attribute("current") && current != parts.guest.cpus) {
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
  parts.guest.hugepages = size.value_or(0) >= kGibibyte ? "1GiB" : "2MiB";
  if (page && !size) {
    tell(parts, "machine", page, advice::kUnknownValue);
  }
  for (auto other = page.next_sibling("page"); other; other = other.next_sibling("page")) {
    tell(parts, "machine", other, "all memory has pages of one size: machine.hugepages");
  }
}

void read_tuning(DomainParts& parts, pugi::xml_node node) {
  for (const auto pin : node.children()) {
    if (pin.type() != pugi::node_element) {
      continue;
    }
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
  const bool is_all_told = !nodes.empty() && has_each_cell(node, nodes.size());
  const auto memory = node.child("memory");
  const bool is_automatic =
      memory.attribute("placement").value() == std::string_view("auto") || is_all_told;
  const auto all = is_automatic ? std::nullopt : one_node(parts, memory);
  if (is_automatic && memory) {
    parts.guest.needs_no_key(shown_element(memory));
  }
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
      nodes[*cell].host_node = one_node(parts, one);
    } else {
      tell(parts, "machine", one, "there is no such cell in <cpu><numa>");
    }
  }
}

}  // namespace gpuvm::convert
