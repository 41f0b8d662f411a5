// SPDX-License-Identifier: Apache-2.0
// [[pci]]: the keys about how the host opens a function, resize_bar and vf_token, and which
// capabilities the guest may write to.
#include <algorithm>
#include <bit>
#include <cctype>
#include <utility>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::string_view kLargest = "max";
constexpr std::string_view kUnchanged = "keep";
constexpr std::uint64_t kLeastBar = 1_MiB;  // PCI Express Base 6.0, 7.8.6.2
constexpr std::uint64_t kMostBar = 128 * 1024_GiB;

/// "max" or a size; nothing for "keep".
Result<std::optional<std::uint64_t>> read_bar_bytes(TableReader& table, std::string_view key,
                                                    std::string_view rule) {
  const auto text = TRY(table.optional_string(key, rule)).value_or(std::string(kUnchanged));
  if (text == kUnchanged) {
    return std::optional<std::uint64_t>();
  }
  if (text == kLargest) {
    return std::optional<std::uint64_t>(0);
  }
  const auto size = parse_size(text);
  if (!size || *size < kLeastBar || *size > kMostBar || !std::has_single_bit(*size)) {
    return table.must_be(key, rule, '"' + printable(text) + '"');
  }
  return std::optional(*size);
}

bool is_uuid(std::string_view text) {
  constexpr std::string_view kForm = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
  return text.size() == kForm.size() &&
         std::equal(text.begin(), text.end(), kForm.begin(), [](char c, char form) {
           return form == '-' ? c == '-' : std::isxdigit(static_cast<unsigned char>(c)) != 0;
         });
}

}  // namespace

Result<std::optional<PciBarSize>> read_bar_size(TableReader& entry) {
  constexpr std::string_view kRule =
      R"("keep", "max", a power of two from "1MiB" to "128TiB", or { bar = 1, size = "16GiB" })";
  constexpr std::string_view kSizeRule = R"("max" or a power of two from "1MiB" to "128TiB")";
  if (!entry.has("resize_bar") || entry.holds_string("resize_bar")) {
    const auto size = TRY(read_bar_bytes(entry, "resize_bar", kRule));
    return size ? std::optional(PciBarSize{.bar = {}, .size = *size}) : std::nullopt;
  }
  auto table =
      TRY(entry.table("resize_bar", R"({ bar = 1, size = "16GiB" }, or a string such as "16GiB")"));
  const auto bar = TRY(table.optional_integer("bar", {0, 5}));
  const auto size = TRY(read_bar_bytes(table, "size", kSizeRule));
  TRY(table.finish());
  if (!bar || !size) {
    return entry.must_be("resize_bar", kRule,
                         R"(a table without bar, or without a size other than "keep")");
  }
  return std::optional(PciBarSize{.bar = static_cast<std::uint8_t>(*bar), .size = *size});
}

Result<PciWritable> read_writable(TableReader& entry) {
  constexpr std::string_view kRule = R"(a list of "vpd", "dvsec" and "doe")";
  const auto words =
      TRY(entry.optional_strings("writable", kRule)).value_or(std::vector<std::string>());
  PciWritable writable;
  for (const std::string& word : words) {
    bool* const place = word == "vpd"     ? &writable.vpd
                        : word == "dvsec" ? &writable.dvsec
                        : word == "doe"   ? &writable.doe
                                          : nullptr;
    if (place == nullptr) {
      return entry.must_be("writable", kRule, '"' + printable(word) + '"');
    }
    if (std::exchange(*place, true)) {
      return entry.wrong("writable", "names a capability twice");
    }
  }
  return writable;
}

Result<std::string> read_vf_token(TableReader& entry) {
  constexpr std::string_view kRule = R"(a UUID such as "14d63f20-8445-11ea-8900-1f9ce7d5650d")";
  auto text = TRY(entry.optional_string("vf_token", kRule)).value_or("");
  if (entry.has("vf_token") && !is_uuid(text)) {
    return entry.must_be("vf_token", kRule, '"' + printable(text) + '"');
  }
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

Status check_opening(const TableReader& entry, const PciConfig& pci) {
  if (pci.resize_bar && !pci.managed) {
    return entry.wrong("resize_bar",
                       "needs managed = true: the kernel resizes BARs of functions without a "
                       "driver only, so gpuvm must bind it");
  }
  if (pci.resize_bar && pci.coherent_memory && pci.coherent_memory->at_host_address) {
    return entry.wrong("resize_bar",
                       R"(and coherent_memory with place = "host" exclude each other: a BAR that )"
                       "is resized moves");
  }
  return {};
}

}  // namespace gpuvm::config
