// SPDX-License-Identifier: Apache-2.0
// [[pci]] of the functions that a guest has. A domain lists functions, gpuvm slots: those of one
// slot become one section, whose other keys are for the function that host names.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/option_list.hpp"
#include "vmm/convert/values.hpp"
#include "vmm/convert/writers.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kPorts = 32;

/// A property that says nothing that gpuvm does not do by itself: "off" mostly.
bool needs_no_key(std::string_view name, std::string_view value) {
  static constexpr std::string_view kAutomatic[] = {"multifunction",
                                                    "x-no-geforce-quirks",
                                                    "x-no-vfio-ioeventfd",
                                                    "x-balloon-allowed",
                                                    "driver",
                                                    "x-pcie-lnksta-dllla",
                                                    "x-intx-mmap-timeout-ms",
                                                    "guestreset",
                                                    "enable-migration",
                                                    "x-pre-copy-dirty-page-tracking",
                                                    "x-device-dirty-page-tracking"};
  static constexpr std::string_view kWithKeys[] = {"rombar", "x-nv-gpudirect-clique", "bootindex",
                                                   "romfile", "vf-token"};
  const auto is_one_of = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (is_place(name) || is_one_of(kAutomatic) || (name == "romfile" && value.empty())) {
    return true;
  }
  if (name.starts_with("x-pci-")) {
    return number_of(value) == 0xffffffffU;  // as it is
  }
  return name == "rombar" ? switch_of(value) == true
                          : !is_one_of(kWithKeys) && switch_of(value) == false;
}

/// What the section says of one function only.
bool has_own_keys(const ForeignFunction& function) {
  return !function.properties.empty();
}

/// Takes the properties of a function one after the other; what is left over has no counterpart.
class PropertyWriter {
 public:
  PropertyWriter(const ForeignFunction& function, bool hides_hypervisor, TomlSection& section)
      : line_(function.line),
        properties_(function.properties),
        hides_hypervisor_(hides_hypervisor),
        section_(section) {}

  void write_rom() {
    const auto bar = take("rombar");
    const auto file = take("romfile");
    if (bar && switch_of(*bar) == false) {
      section_.set("rom", "\"off\"");
      if (file) {
        section_.note("romfile=" + *file, line_, "the ROM is off: this file is left out");
      }
      return;
    }
    if (bar) {  // that it is on was taken out before
      section_.note("rombar=" + *bar, line_, advice::kUnknownValue);
    }
    if (file && !file->empty()) {
      const bool is_word = *file == "auto" || *file == "off";
      section_.set_text("rom", (is_word ? "./" : "") + path_text(*file));
    }
  }

  void write_ids() {
    id("x-pci-vendor-id", "vendor_id", 0xfffe, 4);
    id("x-pci-device-id", "device_id", 0xffff, 4);
    id("x-pci-sub-vendor-id", "sub_vendor_id", 0xffff, 4);
    id("x-pci-sub-device-id", "sub_device_id", 0xffff, 4);
    id("x-pci-class-code", "class", 0xffffff, 6);
    const auto clique = take("x-nv-gpudirect-clique");
    const auto number = clique ? number_of(*clique) : std::nullopt;
    if (number && *number <= 15) {
      section_.set("gpudirect_clique", fmt::format("{}", *number));
      section_.set("p2p", "true");  // always in QEMU, and of no use without
      if (hides_hypervisor_) {
        section_.note("x-nv-gpudirect-clique", line_,
                      "it has no effect with cpu.hide_hypervisor: remove one of both");
      }
    } else if (clique) {
      section_.note(fmt::format("x-nv-gpudirect-clique={}", *clique), line_, advice::kUnknownValue);
    }
  }

  void write_rest() {
    if (const auto place = take("x-msix-relocation"); place && *place != "off") {
      const bool is_known = *place == "auto" || (place->size() == 4 && place->starts_with("bar") &&
                                                 (*place)[3] >= '0' && (*place)[3] <= '5');
      if (is_known) {
        section_.set_text("msix_relocation", *place);
      } else {
        section_.note("x-msix-relocation=" + *place, line_, advice::kUnknownValue);
      }
    }
    if (const auto token = take("vf-token")) {
      section_.set_text("vf_token", lower(*token));
    }
    for (const auto& [name, value] : properties_) {
      tell(name, value);
    }
  }

 private:
  std::optional<std::string> take(const std::string& name) {
    const auto found = properties_.find(name);
    if (found == properties_.end()) {
      return std::nullopt;
    }
    std::string value = std::move(found->second);
    properties_.erase(found);
    return value;
  }

  void id(const std::string& name, std::string_view key, std::uint64_t most, int digits) {
    const auto value = take(name);
    const auto number = value ? number_of(*value) : std::nullopt;
    if (number && *number <= most) {
      section_.set(key, fmt::format("0x{:0{}x}", *number, digits));
    } else if (value) {
      section_.note(name + "=" + *value, line_, advice::kUnknownValue);
    }
  }

  void tell(const std::string& name, const std::string& value) {
    const std::string_view advice = advice_on(name);
    section_.note(value.empty() ? name : name + "=" + value, line_, advice);
  }

  static std::string_view advice_on(std::string_view name) {
    if (name.starts_with("x-igd-")) {
      return advice::kIgd;
    }
    if (name == "x-vga") {
      return advice::kVga;
    }
    if (name == "display" || name == "ramfb" || name == "xres" || name == "yres") {
      return advice::kScreen;
    }
    if (name == "x-no-mmap" || name.starts_with("x-no-kvm")) {
      return advice::kMmap;
    }
    if (name == "bootindex") {
      return advice::kFunctionBoot;
    }
    return name == "iommufd" ? advice::kIommufd : advice::kUnknown;
  }

  std::size_t line_;
  std::map<std::string, std::string> properties_;
  bool hides_hypervisor_;
  TomlSection& section_;
};

using Functions = std::vector<const ForeignFunction*>;

/// `main` is one of `functions`, which are all in its slot.
TomlSection section_of(const ForeignFunction& main, const Functions& functions,
                       std::optional<std::size_t> port, bool hides_hypervisor) {
  constexpr Bdf kIntegratedGraphics{.bus = 0, .device = 2, .function = 0};
  TomlSection section("[[pci]]");
  if (!main.socket.empty()) {
    section.set_text("socket", path_text(main.socket));
  } else {
    std::set<unsigned> numbers;
    for (const auto* function : functions) {
      numbers.insert(function->host.function);
    }
    section.set_text("host", main.host.to_string());
    section.set("functions", fmt::format("[{}]", fmt::join(numbers, ", ")));
    if (std::any_of(functions.begin(), functions.end(),
                    [](const auto* function) { return !function->managed; })) {
      section.set("managed", "false");
    }
  }
  if (port) {
    section.set("port", fmt::format("{}", *port));
  }
  PropertyWriter properties(main, hides_hypervisor, section);
  properties.write_rom();
  properties.write_ids();
  properties.write_rest();
  for (const auto* function : functions) {
    section.add_notes(function->notes);
  }
  const bool is_told = std::any_of(main.properties.begin(), main.properties.end(),
                                   [](const auto& one) { return one.first.starts_with("x-igd-"); });
  if (main.socket.empty() && main.host == kIntegratedGraphics && !is_told) {
    section.note(main.host.to_string(), main.line, advice::kIgd);
  }
  return section;
}

/// The guest's root port of each of its buses with passed-through functions, by the order of their
/// first mention; none where all are on one.
std::map<std::string, std::size_t> ports_of(const ForeignGuest& guest) {
  std::map<std::string, std::size_t> ports;
  for (const auto& function : guest.functions) {
    if (!function.bus.empty() && ports.size() < kPorts) {
      ports.emplace(function.bus, ports.size());
    }
  }
  return ports.size() > 1 ? ports : std::map<std::string, std::size_t>();
}

/// By slot, in the order of their first mention; a function that is named twice is there once.
std::vector<Functions> slots_of(const ForeignGuest& guest) {
  std::vector<Functions> slots;
  for (const auto& function : guest.functions) {
    const auto same = [&](const Functions& slot) {
      return function.socket.empty()
                 ? slot[0]->socket.empty() && slot[0]->host.same_slot(function.host)
                 : slot[0]->socket == function.socket;
    };
    auto slot = std::find_if(slots.begin(), slots.end(), same);
    slot = slot == slots.end() ? slots.insert(slots.end(), Functions()) : slot;
    const bool is_twice = std::any_of(slot->begin(), slot->end(), [&](const auto* other) {
      return other->host == function.host;
    });
    if (!is_twice) {
      slot->push_back(&function);
    }
  }
  for (auto& slot : slots) {
    std::sort(slot.begin(), slot.end(),
              [](const auto* one, const auto* other) { return one->host < other->host; });
  }
  return slots;
}

}  // namespace

void settle_functions(ForeignGuest& guest) {
  for (auto& function : guest.functions) {
    const std::string what = function.socket.empty() ? function.host.to_string() : function.socket;
    std::erase_if(function.properties, [&](const auto& property) {
      const bool is_keyless = needs_no_key(property.first, property.second);
      if (is_keyless && !is_place(property.first)) {
        guest.needs_no_key(fmt::format("{} {}={}", what, property.first, property.second));
      }
      return is_keyless;
    });
    const auto first = std::find_if(
        guest.functions.begin(), guest.functions.end(), [&](const ForeignFunction& other) {
          return other.host == function.host && other.socket == function.socket;
        });
    if (&*first != &function) {
      guest.note("", what, function.line,
                 fmt::format("it is there already (line {}): this one is left out", first->line));
    }
  }
}

std::vector<TomlSection> pci_sections(const ForeignGuest& guest) {
  std::vector<TomlSection> sections;
  const auto ports = ports_of(guest);
  for (Functions& slot : slots_of(guest)) {
    const auto special = std::find_if(slot.begin(), slot.end(),
                                      [](const auto* function) { return has_own_keys(*function); });
    const ForeignFunction& main = special == slot.end() ? *slot.front() : **special;
    const auto found = ports.find(main.bus);
    std::optional<std::size_t> port;
    if (found != ports.end()) {
      port = found->second;
    }
    // Further functions with keys of their own get sections of their own.
    const auto others =
        std::stable_partition(slot.begin(), slot.end(), [&](const ForeignFunction* function) {
          return function == &main || !has_own_keys(*function);
        });
    const Functions rest(others, slot.end());
    slot.erase(others, slot.end());
    sections.push_back(section_of(main, slot, port, guest.hide_hypervisor));
    for (const auto* function : rest) {
      sections.push_back(section_of(*function, {function}, port, guest.hide_hypervisor));
    }
  }
  return sections;
}

}  // namespace gpuvm::convert
