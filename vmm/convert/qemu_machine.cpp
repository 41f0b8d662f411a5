// SPDX-License-Identifier: Apache-2.0
// What QEMU's options say of processors, memory and the machine.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

struct MachineAdvice {
  std::string_view name;
  std::string_view value;  ///< with which there is something to say; "": with any
  std::string_view advice;
};

constexpr std::string_view kEncrypted =
    "guests with encrypted memory (SEV, TDX) cannot be run: gpuvm sees all memory";

/// Properties of -machine to which there is something to say; others need no key.
constexpr MachineAdvice kMachine[] = {
    {"acpi", "off", "the guest always has ACPI"},
    {"confidential-guest-support", "", kEncrypted},
    {"memory-encryption", "", kEncrypted},
    {"smm", "on", advice::kSecureBoot},
    {"hmat", "on", "the guest's firmware does not say how fast its memories are"},
    {"kernel", "", "name it as boot.kernel"},
    {"initrd", "", "name it as boot.initrd"},
    {"append", "", "name it as boot.cmdline"},
    {"firmware", "", "name OVMF's two files, boot.firmware and boot.vars"},
    {"dtb", "", advice::kUnknown},
    {"phandle-start", "", advice::kUnknown},
};

bool is_known_of_machine(std::string_view name) {
  static constexpr std::string_view kNames[] = {"usb",
                                                "dump-guest-core",
                                                "mem-merge",
                                                "vmport",
                                                "pcspk-audiodev",
                                                "hpet",
                                                "graphics",
                                                "smm",
                                                "suppress-vmdesc",
                                                "nvdimm",
                                                "i8042",
                                                "acpi",
                                                "hmat",
                                                "igd-passthru",
                                                "aux-ram-share",
                                                "smbus",
                                                "sata",
                                                "pit",
                                                "pic",
                                                "rtc",
                                                "fd-bootchk",
                                                "x-option-roms",
                                                "kernel-irqchip",
                                                "isa-serial",
                                                "pcie",
                                                "ioapic2",
                                                "auto-kernel-cmdline",
                                                "default-bus-bypass-iommu",
                                                "max-ram-below-4g",
                                                "max-fw-size",
                                                "smbios-entry-point-type",
                                                "vmcoreinfo",
                                                "usb-xhci"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

void read_accelerator(QemuParts& parts, const std::string& name, std::size_t line) {
  if (name.empty()) {
    return;
  }
  if (name.starts_with("kvm")) {
    parts.guest.needs_no_key("accel=" + name);
  } else {
    parts.guest.hinder("accel=" + name, line, advice::kOnlyKvm);
  }
}

bool is_automatic_of_cpu(std::string_view name) {
  static constexpr std::string_view kNames[] = {
      "migratable",     "host-cache-info",      "l3-cache",  "check",  "enforce", "topoext",
      "host-phys-bits", "host-phys-bits-limit", "phys-bits", "x2apic", "pmu",     "kvm-pv-eoi",
      "kvm-pv-unhalt",  "kvm-pv-enforce-cpuid", "level",     "xlevel", "stepping"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

/// Models of QEMU for other architectures than x86-64.
bool is_foreign_processor(std::string_view model) {
  static constexpr std::string_view kStarts[] = {"cortex-", "neoverse-", "a64fx", "arm",   "power",
                                                 "rv32",    "rv64",      "la464", "la132", "z1",
                                                 "g4",      "970",       "mips",  "loong", "sa11"};
  const std::string name = lower(model);
  return std::any_of(std::begin(kStarts), std::end(kStarts),
                     [&](std::string_view start) { return name.starts_with(start); });
}

}  // namespace

bool is_pc(std::string_view type) {
  type = type.substr(0, type.find('+'));  // what is behind it is Proxmox's
  return type == "pc" || type == "q35" || type == "microvm" || type == "none" || type == "ubuntu" ||
         type == "xenfv" || type.starts_with("pc-") || type.starts_with("ubuntu-q35") ||
         type.starts_with("isapc") || type.starts_with('$');
}

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

namespace {

/// Of options that are there twice QEMU takes the last; the one before is told.
void set_last(ForeignGuest& guest, std::optional<std::uint64_t>& kept, std::uint64_t value,
              std::string_view option, std::size_t line) {
  if (kept.value_or(value) != value) {
    guest.note("machine", fmt::format("{} that meant {}", option, *kept), line,
               "it is there more than once: the last one counts");
  }
  kept = value;
}

}  // namespace

void set_cpus(QemuParts& parts, OptionList options) {
  ForeignGuest& guest = parts.guest;
  const auto count = options.take("cpus");
  const auto cpus = count ? number_of(*count) : std::nullopt;
  const auto most = options.number("maxcpus");
  std::uint64_t product = 1;
  for (const auto* const level :
       {"drawers", "books", "sockets", "dies", "clusters", "modules", "cores", "threads"}) {
    const auto number = options.number(level);
    if (!number) {
      continue;
    }
    if (level == std::string_view("threads") && *number > 1) {
      guest.note("machine", fmt::format("-smp threads={}", *number), options.line(),
                 advice::kTopology);
    } else {
      guest.needs_no_key(fmt::format("-smp {}={}", level, *number));
    }
    product = *number == 0 || product > 100000 / *number ? product : product * *number;
  }
  if (count && !cpus) {
    guest.note("machine", "-smp " + *count, options.line(), advice::kUnknownValue);
  } else {
    set_last(guest, guest.cpus, cpus ? *cpus : product, "-smp", options.line());
  }
  if (most && *most > guest.cpus.value_or(0)) {
    guest.note("machine", fmt::format("-smp maxcpus={}", *most), options.line(), advice::kHotPlug);
  } else if (most) {
    guest.needs_no_key(fmt::format("-smp maxcpus={}", *most));
  }
  options.tell_rest("-smp", guest.notes["machine"]);
}

void set_memory(QemuParts& parts, OptionList options) {
  const std::string size = options.text("size");
  const auto bytes = qemu_size(size, 20);
  if (bytes) {
    set_last(parts.guest, parts.guest.memory, *bytes, "-m", options.line());
  } else if (!size.empty()) {
    parts.guest.note("machine", "-m " + size, options.line(), advice::kUnknownValue);
  }
  for (const auto* const name : {"maxmem", "slots"}) {
    if (const auto value = options.take(name)) {
      parts.guest.note("machine", fmt::format("-m {}={}", name, *value), options.line(),
                       advice::kHotPlug);
    }
  }
  options.tell_rest("-m", parts.guest.notes["machine"]);
}

namespace {

/// A property of -cpu.
void read_cpu_property(ForeignGuest& guest, const std::string& name, const std::string& value,
                       std::size_t line) {
  const auto state = switch_of(value);
  const bool is_off = state == false;
  const std::string shown = fmt::format("-cpu {}={}", name, value);
  if (name == "kvm" || name == "hypervisor") {
    guest.hide_hypervisor = guest.hide_hypervisor || is_off;
    if (!is_off) {
      guest.needs_no_key(shown);
    }
  } else if (name == "hv-vendor-id") {
    guest.hyperv_vendor_id = value;
  } else if (name == "hv-passthrough") {
    guest.note("cpu", shown, line, "name what the guest needs in cpu.hyperv");
  } else if (name.starts_with("hv-")) {
    if (!is_off) {
      add_enlightenment(guest, std::string_view(name).substr(3), line);
    }
    if (state != true) {  // "hv-spinlocks=8191": gpuvm's own number
      guest.needs_no_key(shown);
    }
  } else if (state == true || is_automatic_of_cpu(name)) {
    guest.needs_no_key(shown);  // the guest has what the host has
  } else if (is_off) {
    guest.hide.push_back(feature_name(name));
  } else {
    guest.note("cpu", shown, line, advice::kHostCpu);
  }
}

}  // namespace

void set_cpu(QemuParts& parts, OptionList options) {
  ForeignGuest& guest = parts.guest;
  const std::string model = options.text("model");
  if (model == "host" || model == "max" || model.empty()) {
    guest.needs_no_key("-cpu " + model);
  } else if (is_foreign_processor(model)) {
    guest.hinder("-cpu " + model, options.line(), advice::kOnlyX86);
  } else {
    guest.note("cpu", "-cpu " + model, options.line(), advice::kHostCpu);
  }
  for (const auto& [name, value] : options.take_rest()) {
    read_cpu_property(guest, name, value, options.line());
  }
  options.tell_rest("-cpu", guest.notes["cpu"]);
}

void set_machine(QemuParts& parts, OptionList options) {
  ForeignGuest& guest = parts.guest;
  const std::size_t line = options.line();
  if (const auto type = options.take("type")) {
    if (is_pc(*type)) {
      guest.needs_no_key("-machine " + *type);
    } else {
      guest.hinder("-machine " + *type, line, advice::kOnlyX86);
    }
  }
  read_accelerator(parts, options.text("accel"), line);
  for (std::size_t number = 0; number < 2; ++number) {
    if (const auto node = options.take(fmt::format("pflash{}", number))) {
      use_flash(parts, *node, number, line);
    }
  }
  if (const auto id = options.take("memory-backend")) {
    const auto found = parts.memories.find(*id);
    if (found == parts.memories.end()) {
      guest.note("machine", "-machine memory-backend=" + *id, line,
                 "its -object is not in this text: look at machine.memory and machine.hugepages");
    } else {
      use_memory(parts, found->second);
      guest.memory = guest.memory ? guest.memory : std::optional(found->second.size);
    }
  }
  for (const auto& one : kMachine) {
    if (options.has(one.name)) {
      const std::string value = options.text(one.name);
      const std::string shown = fmt::format("-machine {}={}", one.name, value);
      const bool is_told = one.value.empty() || switch_of(value) == switch_of(one.value);
      if (is_told) {
        guest.note(one.advice == advice::kSecureBoot ? "boot" : "machine", shown, line, one.advice);
      } else {
        guest.needs_no_key(shown);
      }
    }
  }
  std::vector<std::string> known;
  for (const auto& [name, value] : options.rest()) {
    if (is_known_of_machine(name)) {
      known.push_back(name);
    }
  }
  for (const auto& name : known) {
    options.needs_no_key("-machine", guest, {name});
  }
  options.tell_rest("-machine", guest.notes["machine"]);
}

void set_accelerator(QemuParts& parts, OptionList options) {
  read_accelerator(parts, options.text("accel"), options.line());
  options.rest_needs_no_key("-accel", parts.guest);  // how KVM is used
  options.tell_rest("-accel", parts.guest.notes["machine"]);
}

void set_global(QemuParts& parts, const Word& word) {
  OptionList options(word, "");
  std::string driver = options.text("driver");
  std::string property = options.text("property");
  std::string value = options.text("value");
  const auto equal = word.text.find('=');
  const auto dot = word.text.substr(0, equal).rfind('.');
  if (driver.empty() && dot != std::string::npos && equal != std::string::npos) {
    driver = word.text.substr(0, dot);
    property = word.text.substr(dot + 1, equal - dot - 1);
    value = word.text.substr(equal + 1);
    std::replace(property.begin(), property.end(), '_', '-');
  }
  const std::string shown = "-global " + word.text;
  static constexpr std::string_view kOwnOfPc[] = {"ICH9-LPC",    "PIIX4_PM", "PIIX4-PM",
                                                  "kvm-pit",     "isa-fdc",  "mc146818rtc",
                                                  "q35-pcihost", "mch",      "i440FX-pcihost"};
  if (driver == "cfi.pflash01") {
    parts.guest.note(
        "boot", shown, word.line,
        property == "secure" && switch_of(value) == true ? advice::kSecureBoot : advice::kGlobal);
  } else if (driver == "vfio-pci" && !property.empty()) {
    for (auto& function : parts.guest.functions) {
      function.properties.emplace(property, value);  // what a device says itself goes before
    }
    if (parts.guest.functions.empty()) {
      parts.guest.note("", shown, word.line, advice::kGlobal);
    }
  } else if (std::find(std::begin(kOwnOfPc), std::end(kOwnOfPc), driver) != std::end(kOwnOfPc)) {
    parts.guest.needs_no_key(shown);
  } else {
    parts.guest.note("", shown, word.line, advice::kGlobal);
  }
}

}  // namespace gpuvm::convert
