// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report/private_text.hpp"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <span>

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kShortestName = 3;
constexpr std::size_t kLongestText = 4000;
constexpr std::string_view kHidden = "(hidden)";
// Device Serial Number: id 0003h, version 1 (7.9.3.1); the number is behind the header.
constexpr std::uint32_t kSerialHeader = 0x10003;
constexpr std::uint32_t kHeaderWithoutNext = 0xfffff;
constexpr std::uint16_t kSerialOffset = 4;
constexpr std::uint16_t kSerialSize = 8;
// VPD: id 03h; the data register is the second dword (7.9.19.3).
constexpr std::uint8_t kVpd = 0x03;
constexpr std::uint16_t kVpdData = 4;

bool is_word_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

bool is_whole_word(std::string_view text, std::size_t at, std::size_t size) {
  return (at == 0 || !is_word_character(text[at - 1])) &&
         (at + size == text.size() || !is_word_character(text[at + size]));
}

void hide_name(std::string& text, std::string_view name) {
  for (auto at = text.find(name); at != std::string::npos;) {
    if (is_whole_word(text, at, name.size())) {
      text.replace(at, name.size(), kHidden);
      at = text.find(name, at + kHidden.size());
    } else {
      at = text.find(name, at + 1);
    }
  }
}

void zero_area(RecordedConfig& config, std::size_t offset, std::size_t size, const char* reason) {
  if (offset >= config.bytes.size()) {
    return;
  }
  const auto room = std::min(size, config.bytes.size() - offset);
  std::fill_n(config.bytes.begin() + static_cast<std::ptrdiff_t>(offset), room, std::byte{0});
  config.zeroed.push_back({.offset = static_cast<std::uint16_t>(offset),
                           .size = static_cast<std::uint16_t>(room),
                           .reason = reason});
}

}  // namespace

PrivateText::PrivateText(std::vector<std::string> names) : names_(std::move(names)) {
  std::erase_if(names_, [](const std::string& name) {
    return name.size() < kShortestName || name == "root" || name == "(none)";
  });
  // The longest first: one may be a part of another.
  std::sort(names_.begin(), names_.end(),
            [](const std::string& a, const std::string& b) { return a.size() > b.size(); });
}

PrivateText PrivateText::of_this_host(const HostSystem& host) {
  std::vector<std::string> names;
  for (const char* const path : {"/proc/sys/kernel/hostname", "/proc/sys/kernel/domainname"}) {
    if (const auto name = host.read(path)) {
      names.push_back(*name);
      names.push_back(name->substr(0, name->find('.')));
    }
  }
  for (const char* const variable : {"USER", "LOGNAME", "SUDO_USER", "DOAS_USER"}) {
    if (const char* const name = std::getenv(variable); name != nullptr) {
      names.emplace_back(name);
    }
  }
  return PrivateText(std::move(names));
}

std::string PrivateText::clean(std::string_view text) const {
  std::string cleaned(text.substr(0, kLongestText));
  for (const std::string& name : names_) {
    hide_name(cleaned, name);
  }
  for (char& c : cleaned) {
    c = c >= ' ' && c <= '~' ? c : '?';
  }
  return cleaned;
}

RecordedConfig without_serial_numbers(std::vector<std::byte> config) {
  RecordedConfig recorded{.bytes = std::move(config)};
  const auto vpd = find_capability(recorded.bytes, kVpd);
  if (vpd != 0) {
    zero_area(recorded, std::size_t{vpd} + kVpdData, sizeof(std::uint32_t), "VPD data");
  }
  for (std::size_t at = pci::kExtendedCapabilities; at + kSerialOffset < recorded.bytes.size();
       at += sizeof(std::uint32_t)) {
    const auto header = load_at<std::uint32_t>(recorded.bytes, at).value_or(0);
    if ((header & kHeaderWithoutNext) == kSerialHeader) {
      zero_area(recorded, at + kSerialOffset, kSerialSize, "Device Serial Number");
    }
  }
  // One of another version, which a chain does reach.
  for (const auto& capability : extended_capabilities(recorded.bytes)) {
    const bool is_known =
        (config_dword(recorded.bytes, capability.offset) & kHeaderWithoutNext) == kSerialHeader;
    if (capability.id == (kSerialHeader & 0xffff) && !is_known) {
      zero_area(recorded, capability.offset + std::size_t{kSerialOffset}, kSerialSize,
                "Device Serial Number");
    }
  }
  return recorded;
}

}  // namespace gpuvm
