// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/pci_names.hpp"

#include <algorithm>
#include <charconv>
#include <optional>
#include <set>
#include <span>

namespace gpuvm {
namespace {

constexpr std::size_t kLongestPciName = 200;

struct NamedNumber {
  std::uint32_t number = 0;
  std::string name = {};
};

/// "10de  NVIDIA Corporation"; of `digits` hexadecimal digits.
std::optional<NamedNumber> parse_entry(std::string_view line, std::size_t digits) {
  NamedNumber entry;
  const char* const end = line.data() + std::min(digits, line.size());
  const auto [stop, error] = std::from_chars(line.data(), end, entry.number, 16);
  if (error != std::errc() || stop != line.data() + digits || line.size() <= digits ||
      line[digits] != ' ') {
    return std::nullopt;
  }
  const auto begin = line.find_first_not_of(' ', digits);
  if (begin == std::string_view::npos) {
    return std::nullopt;
  }
  entry.name = line.substr(begin, kLongestPciName);
  for (char& c : entry.name) {
    c = static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return entry;
}

std::uint8_t base_class(std::uint32_t class_code) {
  return static_cast<std::uint8_t>(class_code >> 16);
}
std::uint16_t sub_class(std::uint32_t class_code) {
  return static_cast<std::uint16_t>(class_code >> 8);
}

template <class Key>
std::string name_in(const std::map<Key, std::string>& names, Key key) {
  const auto found = names.find(key);
  return found == names.end() ? std::string() : found->second;
}

std::uint32_t device_key(const PciIds& ids) {
  return std::uint32_t{ids.vendor} << 16 | ids.device;
}

}  // namespace

PciNames::PciNames(std::string_view text) {
  enum class Head { kNone, kVendor, kClass };
  Head head = Head::kNone;  // of the lines that are moved in
  std::uint32_t number = 0;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    std::string_view line = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line[0] == '#') {
      continue;
    }
    if (line.starts_with("C ")) {
      const auto entry = parse_entry(line.substr(2), 2);
      head = entry ? Head::kClass : Head::kNone;
      if (entry) {
        number = entry->number;
        classes_.emplace(static_cast<std::uint8_t>(entry->number), entry->name);
      }
    } else if (line[0] != '\t') {
      const auto entry = parse_entry(line, 4);
      head = entry ? Head::kVendor : Head::kNone;
      if (entry) {
        number = entry->number;
        vendors_.emplace(static_cast<std::uint16_t>(entry->number), entry->name);
      }
    } else if (line.size() > 1 && line[1] != '\t') {
      const auto entry = parse_entry(line.substr(1), head == Head::kVendor ? 4 : 2);
      if (entry && head == Head::kVendor) {
        devices_.emplace(number << 16 | entry->number, entry->name);
      } else if (entry && head == Head::kClass) {
        subclasses_.emplace(static_cast<std::uint16_t>(number << 8 | entry->number), entry->name);
      }
    }
  }
}

PciNames PciNames::of_host(const HostSystem& host) {
  for (const std::string_view path : kPciIdPaths) {
    if (const auto text = host.read(path)) {
      return PciNames(*text);
    }
  }
  return {};
}

std::string PciNames::class_name(std::uint32_t class_code) const {
  auto name = name_in(subclasses_, sub_class(class_code));
  if (name.empty()) {
    name = name_in(classes_, base_class(class_code));
  }
  return name.empty() ? "Class" : name;
}

std::string PciNames::device_name(const PciIds& ids) const {
  const auto vendor = name_in(vendors_, ids.vendor);
  if (vendor.empty()) {
    return "Device";
  }
  const auto device = name_in(devices_, device_key(ids));
  return fmt::format("{} {}", vendor, device.empty() ? "Device" : device);
}

std::string PciNames::excerpt(std::span<const PciIds> ids) const {
  std::map<std::uint16_t, std::set<std::uint16_t>> devices;
  std::map<std::uint8_t, std::set<std::uint8_t>> classes;
  for (const PciIds& each : ids) {
    devices[each.vendor].insert(each.device);
    classes[base_class(each.class_code)].insert(static_cast<std::uint8_t>(each.class_code >> 8));
  }
  std::string text;
  for (const auto& [vendor, of_vendor] : devices) {
    const auto name = name_in(vendors_, vendor);
    text += name.empty() ? "" : fmt::format("{:04x}  {}\n", vendor, name);
    for (const auto device : name.empty() ? std::set<std::uint16_t>() : of_vendor) {
      const auto device_name = name_in(devices_, std::uint32_t{vendor} << 16 | device);
      text += device_name.empty() ? "" : fmt::format("\t{:04x}  {}\n", device, device_name);
    }
  }
  for (const auto& [base, of_base] : classes) {
    const auto name = name_in(classes_, base);
    text += name.empty() ? "" : fmt::format("C {:02x}  {}\n", base, name);
    for (const auto sub : name.empty() ? std::set<std::uint8_t>() : of_base) {
      const auto sub_name = name_in(subclasses_, static_cast<std::uint16_t>(base << 8 | sub));
      text += sub_name.empty() ? "" : fmt::format("\t{:02x}  {}\n", sub, sub_name);
    }
  }
  return text;
}

}  // namespace gpuvm
