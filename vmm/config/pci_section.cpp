// SPDX-License-Identifier: Apache-2.0
// [[pci]]: the PCI functions that the guest owns. One entry is one slot of the host, or one
// function of a vfio-user server; several may share a root port of the guest, which has room for
// eight functions. Whether the functions exist, can be had and fit is known by the rooms that open
// them.
#include <algorithm>
#include <array>
#include <cctype>

#include "vmm/config/foreign_names.hpp"
#include "vmm/config/names.hpp"
#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostFunctions =
    64;  ///< more than any host has slots for, less than a hostile file
constexpr unsigned kFunctions = 8;
constexpr std::int64_t kLongestWait = 60000;  ///< ms

constexpr std::string_view kIdsAdvice =
    R"(; these are ids: match = "{}", in place of host, takes such a card)";

/// "10de:2204", the ids of a vendor and a device.
bool is_id(std::string_view text) {
  constexpr std::string_view kForm = "xxxx:xxxx";
  return text.size() == kForm.size() &&
         std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
           return form == ':' ? c == ':' : std::isxdigit(static_cast<unsigned char>(c)) != 0;
         });
}

Result<Bdf> read_host(TableReader& entry) {
  constexpr std::string_view kRule = "a PCI address such as \"0000:01:00.0\" (see lspci -D)";
  const auto text = TRY(entry.optional_string("host", kRule));
  if (!text) {
    return Bdf{};  // reported by read_function(), after unknown keys
  }
  const auto bdf = Bdf::parse(*text);
  if (!bdf) {
    return entry.must_be(
        "host", kRule, '"' + printable(*text) + '"',
        is_id(*text) ? fmt::format(kIdsAdvice, *text) : value_advice("pci.host", *text));
  }
  return *bdf;
}

Result<std::vector<std::uint8_t>> read_functions(TableReader& entry) {
  constexpr std::string_view kRule = "\"all\" or a list of function numbers from 0 to 7";
  std::vector<std::uint8_t> functions;
  if (entry.holds_string("functions")) {
    const auto text = TRY(entry.optional_string("functions")).value_or("");
    if (text != "all") {
      return entry.must_be("functions", kRule, '"' + printable(text) + '"');
    }
    return functions;
  }
  const auto numbers = TRY(entry.optional_integers("functions", {0, kFunctions - 1}, kRule));
  if (!numbers) {
    return functions;
  }
  for (const auto number : *numbers) {
    functions.push_back(static_cast<std::uint8_t>(number));
  }
  std::sort(functions.begin(), functions.end());
  if (functions.empty()) {
    return entry.must_be("functions", kRule, "an empty list");
  }
  if (std::adjacent_find(functions.begin(), functions.end()) != functions.end()) {
    return entry.wrong("functions", "names a function twice");
  }
  return functions;
}

/// Exactly one of three names the device.
Status check_one_source(const TableReader& entry) {
  const char* earlier = nullptr;
  for (const char* const key : {"host", "match", "socket"}) {
    if (entry.has(key) && earlier != nullptr) {
      return entry.wrong(
          key, fmt::format("and {} exclude each other: a device has one source", earlier));
    }
    earlier = entry.has(key) ? key : earlier;
  }
  if (earlier == nullptr) {
    return entry.wrong("host",
                       "is missing: name the device, for instance host = \"0000:01:00.0\", "
                       "match = \"any-gpu\" for one that is free, or socket = \"PATH\" for that of "
                       "a vfio-user server");
  }
  return {};
}

/// What belongs to the host's binding goes with the host's devices only.
Status check_source(const TableReader& entry) {
  TRY(check_one_source(entry));
  for (const char* const key : {"functions", "managed", "resize_bar", "vf_token"}) {
    if (entry.has("socket") && entry.has(key)) {
      return entry.wrong(key,
                         "goes with host or match only: a vfio-user server has one function, and "
                         "no driver of the host");
    }
  }
  for (const char* const key : {"gpudirect_clique", "p2p", "quirks"}) {
    if (entry.has("socket") && entry.has(key)) {
      return entry.wrong(
          key, "goes with host or match only: it is about what the hardware of a GPU does");
    }
  }
  return {};
}

/// "auto", "off", or a path ("./off" for a file of that name).
Result<PciRomConfig> read_rom(TableReader& entry) {
  constexpr std::string_view kRule = R"("auto", "off" or the path of a file)";
  PciRomConfig rom;
  rom.strict = TRY(entry.choice("rom_check", RomCheck::kCorrect)) == RomCheck::kStrict;
  const auto word = TRY(entry.optional_string("rom", kRule));
  if (!word || *word == "auto") {
    return rom;
  }
  if (*word == "off") {
    rom.mode = PciRomMode::kOff;
    return rom;
  }
  if (word->empty()) {
    return entry.must_be("rom", kRule, R"("")");
  }
  rom.mode = PciRomMode::kFile;
  rom.path = TRY(entry.optional_path("rom")).value_or("");
  return rom;
}

template <class Id>
Result<std::optional<Id>> read_id(TableReader& entry, std::string_view key, std::int64_t most,
                                  std::string_view hex_example = {}) {
  const auto value = TRY(entry.optional_integer(key, {0, most, hex_example}));
  return value ? std::optional(static_cast<Id>(*value)) : std::nullopt;
}

Result<PciIdentityConfig> read_identity(TableReader& entry) {
  constexpr std::int64_t kMostVendor = 0xfffe;  // ffff says that there is no function
  constexpr std::uint32_t kBridge = 0x06;
  PciIdentityConfig ids;
  ids.vendor_id = TRY(read_id<std::uint16_t>(entry, "vendor_id", kMostVendor, "0x10de"));
  ids.device_id = TRY(read_id<std::uint16_t>(entry, "device_id", 0xffff, "0x2204"));
  ids.sub_vendor_id = TRY(read_id<std::uint16_t>(entry, "sub_vendor_id", 0xffff, "0x10de"));
  ids.sub_device_id = TRY(read_id<std::uint16_t>(entry, "sub_device_id", 0xffff, "0x1454"));
  ids.class_code = TRY(read_id<std::uint32_t>(entry, "class", 0xffffff, "0x030000"));
  if (ids.class_code && *ids.class_code >> 16 == kBridge) {
    return entry.wrong("class",
                       "makes a bridge of a device; a guest would look for a bus behind it");
  }
  return ids;
}

/// "nvlink2-ram" or "0x800010de:1"; which there are is known where they are used.
Result<std::string> read_region(TableReader& table) {
  constexpr std::size_t kLongest = 32;
  constexpr std::string_view kRule =
      "a name such as \"nvlink2-ram\", or numbers as \"0x800010de:1\"";
  const auto text = TRY(table.optional_string("region", kRule)).value_or("");
  const auto is_allowed = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || c == '-' || c == ':';
  };
  if (text.size() > kLongest || !std::all_of(text.begin(), text.end(), is_allowed)) {
    return table.must_be("region", kRule, '"' + printable(text) + '"');
  }
  return text;
}

/// { bar = N } or { region = "NAME" }; place = "host" with a BAR.
Result<std::optional<PciCoherentMemory>> read_coherent_memory(TableReader& entry) {
  const bool is_there = entry.has("coherent_memory");
  auto table = TRY(entry.table("coherent_memory", "{ bar = 2 }"));
  if (!is_there) {
    return std::optional<PciCoherentMemory>();
  }
  PciCoherentMemory memory;
  if (const auto bar = TRY(table.optional_integer("bar", {0, 5}))) {
    memory.bar = static_cast<unsigned>(*bar);
  }
  memory.region = TRY(read_region(table));
  memory.at_host_address = TRY(table.choice("place", MemoryPlace::kAuto)) == MemoryPlace::kHost;
  TRY(table.finish());
  if (memory.bar && !memory.region.empty()) {
    return entry.wrong("coherent_memory", "has both bar and region: keep one");
  }
  if (!memory.bar && memory.region.empty()) {
    return entry.wrong(
        "coherent_memory",
        R"(must name what is memory: { bar = 0 } to { bar = 5 }, or { region = "…" })");
  }
  if (memory.at_host_address && (!memory.bar || entry.has("socket"))) {
    return entry.wrong("coherent_memory",
                       R"(has place = "host", which goes with a BAR of the host only)");
  }
  return std::optional(std::move(memory));
}

Result<std::vector<std::string>> read_quirks(TableReader& entry) {
  auto names = TRY(entry.optional_strings("quirks")).value_or(std::vector<std::string>());
  constexpr std::size_t kMost = 16;
  if (names.size() > kMost) {
    return entry.wrong("quirks", "is too long");
  }
  std::sort(names.begin(), names.end());
  if (std::adjacent_find(names.begin(), names.end()) != names.end()) {
    return entry.wrong("quirks", "names a quirk twice");
  }
  return names;
}

Result<PciConfig> read_function(TableReader entry) {
  PciConfig pci;
  pci.place.text = entry.own_place();
  pci.host = TRY(read_host(entry));
  pci.match = TRY(read_match(entry));
  pci.functions = TRY(read_functions(entry));
  pci.managed = TRY(entry.boolean("managed", pci.managed));
  pci.port = TRY(read_id<std::uint8_t>(entry, "port", kRootPorts - 1));
  pci.reset = TRY(entry.choice("reset", pci.reset));
  if (const auto wait = TRY(entry.optional_integer("reset_wait", {0, kLongestWait}))) {
    pci.reset_wait = static_cast<std::uint32_t>(*wait);
  }
  pci.socket = TRY(entry.optional_path("socket")).value_or("");
  TRY(check_socket_path(entry, "socket", pci.socket));
  pci.rom = TRY(read_rom(entry));
  pci.acpi_rom = TRY(entry.choice("acpi_rom", pci.acpi_rom));
  pci.identity = TRY(read_identity(entry));
  pci.gpudirect_clique = TRY(read_id<std::uint8_t>(entry, "gpudirect_clique", 15));
  pci.coherent_memory = TRY(read_coherent_memory(entry));
  pci.p2p = TRY(entry.boolean("p2p", pci.p2p));
  pci.quirks = TRY(read_quirks(entry));
  pci.writable = TRY(read_writable(entry));
  pci.msix_relocation = TRY(entry.choice("msix_relocation", pci.msix_relocation));
  pci.resize_bar = TRY(read_bar_size(entry));
  pci.vf_token = TRY(read_vf_token(entry));
  TRY(read_scrub(entry, pci));
  TRY(entry.finish());
  TRY(check_source(entry));
  TRY(check_opening(entry, pci));
  if (pci.acpi_rom == PciAcpiRomMode::kOn && pci.rom.mode == PciRomMode::kOff) {
    return entry.wrong("acpi_rom",
                       "needs an option ROM: remove rom = \"off\", or name a file there");
  }
  if (pci.has_host() && !pci.functions.empty() &&
      std::find(pci.functions.begin(), pci.functions.end(), pci.host.function) ==
          pci.functions.end()) {
    return entry.wrong("functions", fmt::format("must contain {}, the function that host names",
                                                pci.host.function));
  }
  return pci;
}

/// Bit n: the entry's list has function n of its slot.
unsigned function_mask(const PciConfig& pci) {
  unsigned mask = 0;
  for (const auto function : pci.functions) {
    mask |= 1U << function;
  }
  return mask;
}

/// A hot reset is of the whole slot, and reaches all slots of its bus. (Other differences may be
/// well: a root bus has none.)
Status check_resets(const TableReader& entry, const PciConfig& later, const PciConfig& earlier,
                    std::size_t earlier_index) {
  const bool has_hot = later.reset == ResetChoice::kHot || earlier.reset == ResetChoice::kHot;
  const bool has_none = later.reset == ResetChoice::kNone || earlier.reset == ResetChoice::kNone;
  const bool have_choices =
      later.reset != ResetChoice::kAuto && earlier.reset != ResetChoice::kAuto;
  const bool share_bus =
      later.host.segment == earlier.host.segment && later.host.bus == earlier.host.bus;
  if (have_choices && has_hot && later.reset != earlier.reset &&
      later.host.same_slot(earlier.host)) {
    return entry.wrong("reset",
                       fmt::format("is not that of pci.{}, which is in the same slot: a hot reset "
                                   "is of both; write the same in both",
                                   earlier_index));
  }
  if (has_hot && has_none && share_bus) {
    return entry.wrong("reset",
                       fmt::format("contradicts that of pci.{}, which is on the same bus: \"hot\" "
                                   "resets all that is there, so \"none\" cannot hold",
                                   earlier_index));
  }
  return {};
}

/// The function with the address 00.0 on its bus is no virtual one (their addresses follow from
/// that of their physical function), so "all" takes what the other entry names; were that one a
/// virtual function of it, "all" would be refused (functions_of()). Of others only sysfs tells:
/// "all" takes a virtual one alone.
Status check_whole_slot(const TableReader& entry, const PciConfig& later, const PciConfig& earlier,
                        std::size_t earlier_index) {
  const auto takes_slot = [](const PciConfig& pci) {
    return pci.functions.empty() && pci.host.devfn() == 0;
  };
  if (!later.host.same_slot(earlier.host) || (!takes_slot(later) && !takes_slot(earlier))) {
    return {};
  }
  return entry.wrong(
      "host",
      fmt::format("{} is in the slot of pci.{}, and functions = \"all\" takes the whole slot: "
                  "remove one entry, or write functions = [{}] here and functions = [{}] there",
                  later.host.to_string(), earlier_index, later.host.function,
                  earlier.host.function));
}

/// Errors when a later entry takes something that an earlier one has.
Status check_conflict(const TableReader& entry, const PciConfig& later, const PciConfig& earlier,
                      std::size_t earlier_index) {
  if (!later.socket.empty() && !earlier.socket.empty() &&
      is_same_path(later.socket, earlier.socket)) {
    return entry.wrong("socket",
                       fmt::format("{} is already given by pci.{}", later.socket, earlier_index));
  }
  if (!later.has_host() || !earlier.has_host()) {
    return {};
  }
  if (later.host == earlier.host) {
    return entry.wrong("host", fmt::format("{} is already given by pci.{}", later.host.to_string(),
                                           earlier_index));
  }
  TRY(check_resets(entry, later, earlier, earlier_index));
  TRY(check_whole_slot(entry, later, earlier, earlier_index));
  // Where one has no list, sysfs alone tells what it takes: functions_of() looks there.
  const bool have_lists = !later.functions.empty() && !earlier.functions.empty();
  if (have_lists && later.host.same_slot(earlier.host) &&
      (function_mask(later) & function_mask(earlier)) != 0) {
    return entry.wrong(
        "host",
        fmt::format("{} shares functions of its slot with pci.{}: list each in one of both only",
                    later.host.to_string(), earlier_index));
  }
  return {};
}

/// As many functions as the file says; of "all" at least the one that it names.
Status check_port(const TableReader& entry, const std::vector<PciConfig>& all) {
  const auto port = all.back().port;
  std::size_t count = 0;
  for (const PciConfig& pci : all) {
    count += port && pci.port == port ? std::max<std::size_t>(pci.functions.size(), 1) : 0;
  }
  if (count > kFunctions) {
    return entry.wrong("port",
                       fmt::format("{} has {} functions by now, and a port has room for {}: "
                                   "name another one, or none",
                                   *port, count, kFunctions));
  }
  return {};
}

}  // namespace

Result<std::vector<PciConfig>> read_pci(const std::vector<TableReader>& entries) {
  std::vector<PciConfig> all;
  for (const auto& entry : entries) {
    if (all.size() == kMostFunctions) {
      return entry.wrong("host",
                         fmt::format("is in one section too many: at most {} [[pci]] are accepted",
                                     kMostFunctions));
    }
    all.push_back(TRY(read_function(entry)));
    for (std::size_t i = 0; i + 1 < all.size(); ++i) {
      TRY(check_conflict(entry, all.back(), all[i], i));
    }
    TRY(check_port(entry, all));
  }
  return all;
}

}  // namespace gpuvm::config
