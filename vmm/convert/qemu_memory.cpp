// SPDX-License-Identifier: Apache-2.0
// QEMU's objects (-object), of which memory backends count here, and NUMA nodes (-numa).
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostMemoryNodes = 64;

std::string hugepages_of(OptionList& options, ForeignGuest& guest) {
  const std::string path = options.text("mem-path");
  if (!path.empty()) {
    guest.needs_no_key("-object mem-path=" + path);
  }
  const auto page = options.size("hugetlbsize", 0);
  const bool is_huge = options.is_on("hugetlb") || path.find("huge") != std::string::npos;
  if (!is_huge) {
    return "";
  }
  const bool is_large = page.value_or(0) >= kGibibyte || path.find("1G") != std::string::npos ||
                        path.find("1048576") != std::string::npos;
  return is_large ? "1GiB" : "2MiB";
}

void add_memory(QemuParts& parts, const std::string& id, OptionList& options) {
  QemuMemory memory;
  memory.line = options.line();
  memory.argument = options.argument();
  memory.size = options.size("size", 0).value_or(0);
  if (const auto list = options.take("host-nodes")) {
    const auto nodes = cpu_list(*list);
    if (nodes && nodes->size() == 1) {
      memory.host_node = nodes->front();
    } else {
      memory.notes.push_back({"host-nodes=" + *list, memory.line,
                              "a node's memory comes from one node of the host: [[node]] "
                              "host_node"});
    }
  }
  if (const auto policy = options.take("policy"); policy && *policy != "bind") {
    memory.notes.push_back({"policy=" + *policy, memory.line,
                            "[[node]] host_node is a bind: memory comes from there and no other"});
  }
  memory.hugepages = hugepages_of(options, parts.guest);
  options.needs_no_key(
      "-object", parts.guest,
      {"share", "prealloc", "prealloc-threads", "prealloc-context", "merge", "dump", "reserve",
       "discard-data", "align", "seal", "x-use-canonical-path-for-ramblock-id"});
  options.tell_rest("-object", memory.notes);
  parts.memories[id] = std::move(memory);
}

void add_throttle(QemuParts& parts, const std::string& id, OptionList& options) {
  QemuThrottle throttle;
  throttle.line = options.line();
  throttle.argument = options.argument();
  throttle.iops = options.number("limits.iops-total", "x-iops-total").value_or(0);
  throttle.bandwidth = options.number("limits.bps-total", "x-bps-total").value_or(0);
  for (const auto& [name, value] : options.rest()) {
    if (number_of(value) != 0U && !(name == "limits" && value == "{}")) {
      throttle.notes.push_back(
          {fmt::format("{}={}", name, value), throttle.line, std::string(advice::kThrottle)});
    }
  }
  parts.throttles[id] = std::move(throttle);
}

}  // namespace

void use_memory(QemuParts& parts, QemuMemory& memory) {
  memory.is_used = true;
  if (!memory.hugepages.empty()) {
    parts.guest.hugepages = memory.hugepages;
  }
  auto& notes = parts.guest.notes["machine"];
  notes.insert(notes.end(), memory.notes.begin(), memory.notes.end());
  memory.notes.clear();
}

void add_object(QemuParts& parts, OptionList options) {
  const std::string kind = options.text("qom-type");
  const std::string id = options.text("id");
  const std::string shown = "-object " + options.argument();
  ForeignGuest& guest = parts.guest;
  if (kind.starts_with("memory-backend-")) {
    add_memory(parts, id, options);
  } else if (kind == "throttle-group") {
    add_throttle(parts, id, options);
  } else if (kind == "iothread" || kind.starts_with("rng-") || kind == "thread-context") {
    guest.needs_no_key(shown);
  } else if (kind == "iommufd") {
    guest.note("", shown, options.line(), advice::kIommufd);
  } else if (kind.starts_with("input-")) {
    guest.note("", shown, options.line(), advice::kInput);
  } else if (kind.starts_with("sev-") || kind.starts_with("tdx-")) {
    guest.note("", shown, options.line(),
               "guests with encrypted memory (SEV, TDX) cannot be run: gpuvm sees all memory");
  } else if (kind == "acpi-generic-initiator") {
    guest.note("", shown, options.line(),
               "a GPU's own memory becomes a node by pci.coherent_memory");
  } else {
    guest.note("", shown, options.line(), advice::kUnknown);
  }
}

void add_node(QemuParts& parts, OptionList options) {
  ForeignGuest& guest = parts.guest;
  const std::string kind = options.text("type");
  if (kind != "node") {
    guest.note("machine", "-numa " + options.argument(), options.line(),
               kind == "dist" ? advice::kDistances : advice::kUnknown);
    return;
  }
  ForeignNode node;
  node.line = options.line();
  for (const auto& text : options.take_all("cpus")) {
    if (const auto cpus = cpu_list(text)) {
      node.cpus.insert(node.cpus.end(), cpus->begin(), cpus->end());
    } else {
      guest.note("machine", "-numa cpus=" + text, node.line, advice::kUnknownValue);
    }
  }
  node.memory = options.size("mem", 20).value_or(0);
  if (const auto id = options.take("memdev")) {
    const auto found = parts.memories.find(*id);
    if (found == parts.memories.end()) {
      guest.note("machine", "-numa memdev=" + *id, node.line,
                 "its -object is not in this text: write node.memory by hand");
    } else {
      use_memory(parts, found->second);
      node.memory = found->second.size;
      node.host_node = found->second.host_node;
    }
  }
  options.drop_places();
  options.needs_no_key("-numa", guest, {"initiator"});
  options.tell_rest("-numa", guest.notes["machine"]);
  guest.add(guest.nodes, kMostMemoryNodes, std::move(node), "-numa " + options.argument());
}

}  // namespace gpuvm::convert
