// SPDX-License-Identifier: Apache-2.0
#include "vmm/config/port_assignment.hpp"

#include <algorithm>
#include <array>
#include <bitset>
#include <numeric>
#include <string>
#include <utility>

#include "vmm/config/config.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kFunctionsPerPort = 8;

struct SlotRule {
  std::optional<std::uint16_t> vendor;
  std::uint32_t class_code;  ///< base class, or with the sub-class
  unsigned shift;            ///< of 24 bits, to compare with it
  SlotKind kind;
  const char* reason;
  const char* source;
};
constexpr const char* kCodes = "PCI Code and ID Assignment 1.16, section 1";
/// The first row that fits.
constexpr std::array<SlotRule, 5> kSlotRules = {{
    {{},
     0x03,
     16,
     SlotKind::kGpu,
     "NVIDIA's driver names a GPU by its slot alone and addresses function 0",
     "open-gpu-kernel-modules 595.45.04, nv_generate_id_from_pci_info, kern_gpu_gm107.c"},
    {{}, 0x12, 16, SlotKind::kGpu, "accelerators: as GPUs", kCodes},
    {{}, 0x0b40, 8, SlotKind::kGpu, "co-processors: as GPUs", kCodes},
    {{},
     0x02,
     16,
     SlotKind::kOwn,
     "a guest that resets a GPU's bus must not lose its network",
     kCodes},
    {0x10de, 0x0680, 8, SlotKind::kOwn, "NVSwitch: its driver resets it by the bus, too",
     "open-gpu-kernel-modules 595.45.04, nvswitch"},
}};

class Assignment {
 public:
  explicit Assignment(std::span<const SlotRequest> slots) : slots_(slots), places_(slots.size()) {
    for (const auto& slot : slots) {
      if (slot.port) {
        wanted_.set(*slot.port);
        wanted_by_large_.set(*slot.port, wanted_by_large_[*slot.port] || is_large(slot));
      }
    }
  }

  Result<std::vector<SlotPlace>> run() {
    for (const std::size_t index : order()) {
      const auto& slot = slots_[index];
      const auto port = slot.port ? slot.port : choose(index);
      if (!port || !has_room(*port, slot)) {
        misfit_ = {index, port};
        return fail(ErrorKind::kConfig, "{} has no place", slot.name);
      }
      place(index, *port);
    }
    return std::move(places_);
  }

  struct Misfit {
    std::size_t index = 0;
    std::optional<std::uint8_t> port = {};  ///< that is full; nothing: none is free
  };
  /// After a run that failed: whom it failed with.
  const Misfit& misfit() const { return misfit_; }

 private:
  static bool is_large(const SlotRequest& slot) { return slot.kind != SlotKind::kSmall; }

  /// The neediest first, then those that say where; else as in the file.
  std::vector<std::size_t> order() const {
    std::vector<std::size_t> indices(slots_.size());
    std::iota(indices.begin(), indices.end(), std::size_t{0});
    std::stable_sort(indices.begin(), indices.end(), [this](std::size_t a, std::size_t b) {
      const auto& first = slots_[a];
      const auto& second = slots_[b];
      return first.kind != second.kind ? first.kind < second.kind
                                       : first.port.has_value() > second.port.has_value();
    });
    return indices;
  }

  bool has_room(std::size_t port, const SlotRequest& slot) const {
    return taken_.at(port).count() + slot.functions.size() <= kFunctionsPerPort;
  }

  std::optional<std::uint8_t> choose(std::size_t index) const {
    const auto& slot = slots_[index];
    for (std::size_t other = 0; other < slots_.size(); ++other) {
      if (slot.card && slots_[other].card == slot.card && !places_[other].functions.empty() &&
          has_room(places_[other].port, slot)) {
        return places_[other].port;
      }
    }
    if (!is_large(slot) && has_room(0, slot)) {
      return std::uint8_t{0};
    }
    for (std::size_t port = 0; port < kRootPorts; ++port) {
      // Small functions that want port 0 by name can be behind it too: the large one comes first.
      const bool is_wanted = port == 0 && is_large(slot) ? wanted_by_large_[0] : wanted_[port];
      if (!is_wanted && taken_.at(port).none()) {
        return static_cast<std::uint8_t>(port);
      }
    }
    return std::nullopt;
  }

  void place(std::size_t index, std::uint8_t port) {
    const auto& slot = slots_[index];
    auto& numbers = taken_.at(port);
    // A function other than 0 cannot be found without function 0 (PCI Local Bus 3.0, 3.2.2.3.4).
    const bool keep = numbers.none() && slot.functions.front() == 0;
    places_[index].port = port;
    for (const std::uint8_t wanted : slot.functions) {
      std::size_t number = keep ? wanted : 0;
      while (numbers[number]) {
        ++number;
      }
      numbers.set(number);
      places_[index].functions.push_back(static_cast<std::uint8_t>(number));
    }
  }

  std::span<const SlotRequest> slots_;
  std::vector<SlotPlace> places_;  ///< without functions: not placed yet
  std::array<std::bitset<kFunctionsPerPort>, kRootPorts> taken_{};
  std::bitset<kRootPorts> wanted_;  ///< by name
  std::bitset<kRootPorts> wanted_by_large_;
  Misfit misfit_;
};

bool fits(const std::vector<SlotRequest>& slots) {
  return Assignment(slots).run().has_value();
}

/// What to write so that all have a place, found by trying it: alone in the entry that has none, or
/// else in another one, too, that says nothing of a port.
std::string advice(std::span<const SlotRequest> slots, std::size_t index) {
  std::vector<SlotRequest> changed(slots.begin(), slots.end());
  const auto find_port = [&]() -> std::optional<std::size_t> {
    for (std::size_t port = 0; port < kRootPorts; ++port) {
      changed[index].port = static_cast<std::uint8_t>(port);
      if (fits(changed)) {
        return port;
      }
    }
    return std::nullopt;
  };
  if (const auto port = find_port()) {
    return fmt::format("give it another one with \"port = {}\"", *port);
  }
  for (std::size_t other = 0; other < slots.size(); ++other) {
    if (slots[other].port || other == index) {
      continue;
    }
    // Any port will do for both: that of the other one is free without it.
    changed[index].port = changed[other].port = std::uint8_t{0};
    if (fits(changed)) {
      return fmt::format("let it share one with {}: write \"port = 0\" in both entries",
                         slots[other].name);
    }
    changed[other].port = std::nullopt;
  }
  return fmt::format("no port has room for its {} functions: pass fewer through, by \"functions\"",
                     slots[index].functions.size());
}

Error no_place_error(std::span<const SlotRequest> slots, const Assignment::Misfit& misfit) {
  const std::string& name = slots[misfit.index].name;
  const std::string cure = advice(slots, misfit.index);
  if (misfit.port) {
    return fail(ErrorKind::kConfig,
                "{} does not fit behind root port {}: a port has {} functions; {}", name,
                *misfit.port, kFunctionsPerPort, cure);
  }
  return fail(ErrorKind::kConfig, "{} does not fit: all {} root ports are taken; {}", name,
              kRootPorts, cure);
}

}  // namespace

SlotKind slot_kind_of(std::uint16_t vendor, std::uint32_t class_code) {
  const auto rule = std::find_if(kSlotRules.begin(), kSlotRules.end(), [&](const SlotRule& each) {
    return each.vendor.value_or(vendor) == vendor && class_code >> each.shift == each.class_code;
  });
  return rule == kSlotRules.end() ? SlotKind::kSmall : rule->kind;
}

Result<std::vector<SlotPlace>> assign_ports(std::span<const SlotRequest> slots) {
  for (const SlotRequest& slot : slots) {
    if (slot.functions.empty()) {
      return fail(ErrorKind::kConfig, "{} has no functions (any more)", slot.name);
    }
  }
  Assignment assignment(slots);
  auto places = assignment.run();
  return places ? std::move(places)
                : Result<std::vector<SlotPlace>>(no_place_error(slots, assignment.misfit()));
}

}  // namespace gpuvm
