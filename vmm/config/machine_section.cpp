// SPDX-License-Identifier: Apache-2.0
// [machine]: processors, memory, and what a reboot does.
#include <algorithm>
#include <bit>
#include <charconv>

#include "vmm/base/duration.hpp"
#include "vmm/config/foreign_names.hpp"
#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

/// Local APIC ids up to 254, which interrupts of a guest without interrupt remapping can name
/// (Intel SDM volume 3, 11.11.1, "Message Address Register Format"); 255 is everybody.
constexpr std::int64_t kMostCpus = 255;
constexpr std::uint64_t kLeastMemory = 128_MiB;
constexpr std::uint64_t kMostMemory = 16384_GiB;
constexpr std::string_view kMemoryRule =
    "a size from \"128MiB\" to \"16TiB\" such as \"512MiB\" or \"4GiB\"";

/// Shift of a unit of memory; "G" is short for "GiB". Decimal units are refused: RAM has none.
std::optional<unsigned> unit_shift(std::string_view unit) {
  if (unit == "MiB" || unit == "M") {
    return 20;
  }
  if (unit == "GiB" || unit == "G") {
    return 30;
  }
  if (unit == "TiB" || unit == "T") {
    return 40;
  }
  return std::nullopt;
}

/// Follows the message on what is no size. A bare number counts MiB, unless those were too few.
std::string guess(std::string_view text) {
  auto size = size_guess(text);
  constexpr std::string_view kMiB = "MiB";
  const bool is_bare = text.find_first_not_of("0123456789") == std::string_view::npos;
  if (is_bare && size.ends_with(kMiB) && parse_size(size).value_or(0) < kLeastMemory) {
    size.replace(size.size() - kMiB.size(), kMiB.size(), "GiB");
  }
  return size.empty() ? size : fmt::format("; did you mean \"{}\"?", size);
}

/// The host's CPU for each vCPU.
Result<std::vector<unsigned>> read_pin(TableReader& table, unsigned cpus) {
  constexpr std::int64_t kMostHostCpu = 8191;
  const auto list = TRY(table.optional_integers("pin", {0, kMostHostCpu},
                                                "a list of the host's CPUs, one for each vCPU"));
  std::vector<unsigned> pin;
  for (const std::int64_t cpu : list.value_or(std::vector<std::int64_t>())) {
    pin.push_back(static_cast<unsigned>(cpu));
  }
  if (!pin.empty() && pin.size() != cpus) {
    return table.wrong(
        "pin", fmt::format("has {} numbers for {} vCPUs: give each of them one", pin.size(), cpus));
  }
  return pin;
}

/// 0 for "off".
Result<std::chrono::seconds> read_backoff(TableReader& table, std::chrono::seconds otherwise) {
  constexpr std::string_view kRule =
      "a duration of 1 s to 15 min such as \"30s\" or \"2min\", or \"off\"";
  // Below the 20 minutes after which systemd takes a gpuvm at one work for hung (docs/systemd.md).
  constexpr std::chrono::seconds kLongest{900};
  const auto text = TRY(table.optional_string("reboot_backoff", kRule));
  if (!text) {
    return otherwise;
  }
  if (*text == "off") {
    return std::chrono::seconds(0);
  }
  const auto wait = parse_duration(*text);
  if (!wait || wait->count() < 1 || *wait > kLongest) {
    return table.must_be("reboot_backoff", kRule, '"' + printable(*text) + '"');
  }
  return *wait;
}

/// What a card's largest BARs may take: windows are aligned to it.
Result<std::uint64_t> read_reserve(TableReader& table, std::uint64_t otherwise) {
  constexpr std::string_view kRule = "a power of two from \"256MiB\" to \"4TiB\" such as \"64GiB\"";
  constexpr std::uint64_t kLeast = 256_MiB;
  constexpr std::uint64_t kMost = 4096_GiB;
  const auto text = TRY(table.optional_string("reserve", kRule));
  if (!text) {
    return otherwise;
  }
  const auto size = parse_size(*text);
  if (!size || *size < kLeast || *size > kMost || !std::has_single_bit(*size)) {
    return table.must_be("reserve", kRule, '"' + printable(*text) + '"');
  }
  return *size;
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  const auto shift = unit_shift(text.substr(static_cast<std::size_t>(end - text.data())));
  if (!shift || number > ~std::uint64_t{0} >> *shift) {
    return std::nullopt;
  }
  return number << *shift;
}

Result<std::uint64_t> read_memory_size(TableReader& table, std::string_view key,
                                       std::uint64_t otherwise) {
  if (const auto number = table.held_integer(key)) {
    return table.must_be(key, kMemoryRule, "an integer", guess(std::to_string(*number)));
  }
  const auto text = TRY(table.optional_string(key, kMemoryRule));
  if (!text) {
    return otherwise;
  }
  const auto size = parse_size(*text);
  if (!size || *size < kLeastMemory || *size > kMostMemory) {
    return table.must_be(key, kMemoryRule, '"' + printable(*text) + '"', size ? "" : guess(*text));
  }
  return *size;
}

Status check_memory_granularity(const TableReader& table, const MachineConfig& machine,
                                std::uint64_t memory) {
  const std::uint64_t page = machine.huge_pages == HugePages::k1GiB ? 1_GiB : 2_MiB;
  if (!is_aligned(memory, page)) {
    return table.wrong("memory", machine.huge_pages == HugePages::k1GiB
                                     ? "must be whole GiB, because machine.hugepages is \"1GiB\""
                                     : "must be a multiple of 2MiB");
  }
  return {};
}

namespace {

constexpr std::string_view kCardsRule =
    "a list of addresses of cards such as [\"0000:41:00.0\"], each card once";

/// A card is named by any of its functions, which come together.
Result<std::vector<Bdf>> read_attachable(TableReader& table) {
  const auto list = TRY(table.optional_strings("attachable", kCardsRule));
  std::vector<Bdf> cards;
  for (const std::string& text : list.value_or(std::vector<std::string>())) {
    const auto bdf = Bdf::parse(text);
    if (!bdf) {
      return table.must_be("attachable", kCardsRule, '"' + printable(text) + '"');
    }
    const auto is_one = [&bdf](const Bdf& card) { return card.same_slot(*bdf); };
    if (std::any_of(cards.begin(), cards.end(), is_one)) {
      return table.wrong("attachable", fmt::format("has the card of {} twice", bdf->to_string()));
    }
    cards.push_back(*bdf);
  }
  if (cards.size() > kMostAttachable) {
    return table.wrong("attachable", fmt::format("has {} cards: at most {} can be listed",
                                                 cards.size(), kMostAttachable));
  }
  return cards;
}

}  // namespace

/// Once the guest runs, a monitor has the right to open a card where it is not confined, and where
/// an owner's process does it, which takes no monitor's word for the card.
Status check_free_ports(const TableReader& table, const Config& config) {
  const OwnerPlace owner = config.sandbox.owner;
  const bool has_owner = owner == OwnerPlace::kProcess;
  const MachineConfig& machine = config.machine;
  if (machine.free_ports == 0) {
    if (machine.scrub != PciScrub::kOff) {
      return table.wrong("scrub",
                         "is of cards that come to machine.free_ports, of which there are none; "
                         "one of [[pci]] has its own scrub");
    }
    return machine.attachable.empty()
               ? Status()
               : Status(table.wrong("attachable", "needs machine.free_ports, where cards go"));
  }
  if (has_owner && machine.attachable.empty()) {
    return table.wrong("free_ports",
                       "needs machine.attachable with sandbox.owner = \"process\": the owner "
                       "takes cards of this list only");
  }
  // "auto" has a process for cards that are listed.
  const bool may_have_owner = owner == OwnerPlace::kAuto && !machine.attachable.empty();
  if (!has_owner && !may_have_owner && config.sandbox.mode != SandboxMode::kOff) {
    return table.wrong("free_ports",
                       "needs machine.attachable and sandbox.owner = \"process\" or \"auto\", or "
                       "sandbox.mode = \"off\": a monitor that has given up its rights cannot "
                       "bind and open a card while the guest runs");
  }
  return {};
}

Result<MachineConfig> read_machine(TableReader table) {
  MachineConfig machine;
  machine.cpus = static_cast<unsigned>(TRY(table.integer("cpus", {1, kMostCpus}, machine.cpus)));
  machine.memory = TRY(read_memory_size(table, "memory", machine.memory));
  machine.huge_pages = TRY(table.choice("hugepages", machine.huge_pages));
  machine.on_reboot = TRY(table.choice("on_reboot", machine.on_reboot));
  machine.reboot_backoff = TRY(read_backoff(table, machine.reboot_backoff));
  machine.config_ports = TRY(table.choice("config_ports", machine.config_ports));
  machine.pin_memory = TRY(table.choice("pin_memory", machine.pin_memory));
  machine.battery = TRY(table.boolean("battery", machine.battery));
  machine.rng = TRY(table.boolean("rng", machine.rng));
  machine.free_ports = static_cast<unsigned>(
      TRY(table.integer("free_ports", {0, kMostFreePorts}, machine.free_ports)));
  machine.attachable = TRY(read_attachable(table));
  machine.scrub = TRY(table.choice("scrub", machine.scrub));
  machine.reserve = TRY(read_reserve(table, machine.reserve));
  machine.pin = TRY(read_pin(table, machine.cpus));
  TRY(table.finish());
  TRY(check_memory_granularity(table, machine, machine.memory));
  return machine;
}

}  // namespace gpuvm::config
