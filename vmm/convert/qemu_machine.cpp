// SPDX-License-Identifier: Apache-2.0
// What QEMU's options say of processors, memory and character devices.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

std::uint64_t count_of(OptionList& options, std::string_view name) {
  return number_of(options.text(name)).value_or(1);
}

}  // namespace

std::string feature_name(std::string_view name) {
  std::string out = lower(name);
  std::replace_if(
      out.begin(), out.end(), [](char c) { return c == '-' || c == '.'; }, '_');
  if (out == "pclmulqdq" || out == "pni") {
    return out;
  }
  return out == "sse3" ? "pni" : out == "cmp_legacy" ? "cmp_legacy" : out;
}

void add_enlightenment(ForeignGuest& guest, std::string_view name, std::size_t line) {
  static constexpr std::string_view kThere[] = {"relaxed",     "vapic",    "spinlocks",
                                                "vpindex",     "runtime",  "time",
                                                "frequencies", "tlbflush", "ipi"};
  if (std::find(std::begin(kThere), std::end(kThere), name) == std::end(kThere)) {
    guest.note("cpu", fmt::format("Hyper-V's {}", name), line, advice::kEnlightenment);
  } else if (std::find(guest.hyperv.begin(), guest.hyperv.end(), name) == guest.hyperv.end()) {
    guest.hyperv.emplace_back(name);
  }
}

void set_cpus(QemuParts& parts, OptionList options) {
  const auto count = options.take("cpus");
  const auto cpus = count ? number_of(*count) : std::nullopt;
  const auto most = number_of(options.text("maxcpus"));
  const std::uint64_t threads = count_of(options, "threads");
  std::uint64_t product = threads;
  for (const auto* const level : {"sockets", "dies", "clusters", "modules", "cores"}) {
    const std::uint64_t number = count_of(options, level);
    product = number == 0 || product > 100000 / number ? product : product * number;
  }
  if (count && !cpus) {
    parts.guest.note("machine", "-smp " + *count, options.line(), advice::kUnknownValue);
    return;
  }
  parts.guest.cpus = cpus ? *cpus : product;
  if (threads > 1) {
    parts.guest.note("machine", fmt::format("-smp threads={}", threads), options.line(),
                     advice::kTopology);
  }
  if (most && *most > *parts.guest.cpus) {
    parts.guest.note("machine", "-smp maxcpus", options.line(), advice::kHotPlug);
  }
  options.tell_rest("-smp", parts.guest.notes["machine"]);
}

void set_memory(QemuParts& parts, OptionList options) {
  const std::string size = options.text("size");
  parts.guest.memory = qemu_size(size, 20);
  if (!parts.guest.memory) {
    parts.guest.note("machine", "-m " + size, options.line(), advice::kUnknownValue);
  }
  if (options.take("maxmem") || options.take("slots")) {
    parts.guest.note("machine", "-m maxmem", options.line(), advice::kHotPlug);
  }
  options.skip({"slots"});
  options.tell_rest("-m", parts.guest.notes["machine"]);
}

void set_cpu(QemuParts& parts, OptionList options) {
  ForeignGuest& guest = parts.guest;
  const std::string model = options.text("model");
  if (!model.empty() && model != "host" && model != "max") {
    guest.note("cpu", "-cpu " + model, options.line(), advice::kHostCpu);
  }
  options.skip({"migratable", "host-cache-info", "l3-cache", "check", "enforce", "topoext",
                "host-phys-bits", "host-phys-bits-limit", "phys-bits", "x2apic", "pmu"});
  for (const auto& [name, value] : options.rest()) {
    const bool is_off = switch_of(value) == false;
    if (name == "kvm" || name == "hypervisor") {
      guest.hide_hypervisor = guest.hide_hypervisor || is_off;
    } else if (name == "hv-vendor-id") {
      guest.hyperv_vendor_id = value;
    } else if (name == "hv-passthrough") {
      guest.note("cpu", name, options.line(), "name what the guest needs in cpu.hyperv");
    } else if (name.starts_with("hv-")) {
      if (!is_off) {
        add_enlightenment(guest, std::string_view(name).substr(3), options.line());
      }
    } else if (is_off) {
      guest.hide.push_back(feature_name(name));
    } else if (switch_of(value) != true) {
      guest.note("cpu", fmt::format("-cpu {}={}", name, value), options.line(), advice::kHostCpu);
    }  // what is on, the guest has where the host has it
  }
}

void set_machine(QemuParts& parts, OptionList options) {
  options.skip({"type", "accel", "kernel-irqchip", "usb", "dump-guest-core", "mem-merge", "vmport",
                "pcspk-audiodev", "hpet", "acpi", "graphics", "smm", "suppress-vmdesc", "pflash0",
                "pflash1", "nvdimm", "i8042"});
  const std::string backend = options.text("memory-backend");
  if (const auto found = parts.memories.find(backend);
      found != parts.memories.end() && !parts.guest.memory) {
    parts.guest.memory = found->second;
  }
  options.tell_rest("-machine", parts.guest.notes["machine"]);
}

void add_node(QemuParts& parts, OptionList options) {
  const std::string kind = options.text("type");
  if (kind != "node") {
    parts.guest.note("", "-numa " + kind, options.line(), advice::kUnknown);
    return;
  }
  ForeignNode node;
  node.line = options.line();
  while (const auto cpus = options.take("cpus")) {
    node.cpus = cpu_list(*cpus).value_or(std::vector<unsigned>());
  }
  const std::string backend = options.text("memdev");
  node.memory = qemu_size(options.text("mem"), 20).value_or(0);
  if (const auto found = parts.memories.find(backend); found != parts.memories.end()) {
    node.memory = found->second;
    node.host_node = parts.nodes[backend];
  }
  options.skip({"nodeid", "initiator"});
  options.tell_rest("-numa", parts.guest.notes["machine"]);
  if (parts.guest.nodes.size() < 64) {
    parts.guest.nodes.push_back(std::move(node));
  }
}

void add_object(QemuParts& parts, OptionList options) {
  const std::string kind = options.text("qom-type");
  const std::string id = options.text("id");
  if (kind.starts_with("memory-backend-")) {
    parts.memories[id] = qemu_size(options.text("size"), 0).value_or(0);
    const auto nodes = cpu_list(options.text("host-nodes"));
    parts.nodes[id] = nodes && nodes->size() == 1 ? std::optional((*nodes)[0]) : std::nullopt;
    const std::string path = options.text("mem-path");
    const auto page = qemu_size(options.text("hugetlbsize"), 0);
    if (options.is_on("hugetlb") || path.find("hugepages") != std::string::npos) {
      const bool is_large = page.value_or(0) >= kGibibyte || path.find("1G") != std::string::npos ||
                            path.find("1048576") != std::string::npos;
      parts.guest.hugepages = is_large ? "1GiB" : "2MiB";
    }
  } else if (kind == "iommufd") {
    parts.guest.note("", "-object iommufd", options.line(), advice::kIommufd);
  } else if (kind.starts_with("tls-") || kind == "secret") {
    parts.guest.note("", "-object " + kind, options.line(), advice::kUnknown);
  } else if (kind != "iothread" && !kind.starts_with("rng-") && kind != "thread-context") {
    parts.guest.note("", "-object " + kind, options.line(), advice::kUnknown);
  }
}

std::optional<std::string> place_of_serial(QemuParts& parts, const Word& word) {
  std::string_view text = word.text;
  if (text.starts_with("mon:")) {
    parts.guest.note("console", "-serial mon:", word.line, advice::kMonitor);
    text.remove_prefix(4);
  }
  const auto end = std::min(text.find(','), text.size());
  const std::string place(text.substr(0, end));
  if (place == "stdio" || place == "pty") {
    return place;
  }
  if (place == "none" || place == "null") {
    return "";
  }
  if (place.starts_with("file:") && place.size() > 5) {
    return "file:" + place.substr(5);
  }
  if (place.starts_with("unix:") && place.size() > 5) {
    return "socket:" + place.substr(5);
  }
  if (place.starts_with("chardev:")) {
    const auto found = parts.chardevs.find(place.substr(8));
    return found == parts.chardevs.end() ? std::nullopt : std::optional(found->second);
  }
  parts.guest.note("console", "-serial " + word.text, word.line, advice::kPort);
  return std::nullopt;
}

void add_chardev(QemuParts& parts, OptionList options) {
  const std::string kind = options.text("backend", "backend.type");
  const std::string id = options.text("id");
  const std::string path = options.text("path", "backend.data.addr.data.path");
  const std::string out = options.text("out", "backend.data.out");
  std::string place;
  if (kind == "stdio" || kind == "pty") {
    place = kind;
  } else if (kind == "socket" && !path.empty()) {
    place = "socket:" + path;
  } else if (kind == "file" && !(path + out).empty()) {
    place = "file:" + (path.empty() ? out : path);
  } else if (kind == "socket" || kind == "udp") {
    parts.guest.note("", "-chardev " + kind, options.line(), advice::kPort);
  }
  parts.chardevs[id] = place;
}

}  // namespace gpuvm::convert
