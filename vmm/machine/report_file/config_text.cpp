// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/config_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

namespace gpuvm {
namespace {

/// Takes a hexadecimal number off the front.
std::optional<std::size_t> take_hex(std::string_view& text) {
  std::size_t value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
  if (error != std::errc{}) {
    return std::nullopt;
  }
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return value;
}

}  // namespace

std::vector<std::string> config_lines(std::span<const std::byte> config, bool with_zeros) {
  std::vector<std::string> lines;
  for (std::size_t at = 0; at < config.size(); at += kConfigLineBytes) {
    const auto bytes = config.subspan(at, std::min(kConfigLineBytes, config.size() - at));
    const bool is_zero =
        std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
    if (is_zero && !with_zeros) {
      continue;
    }
    std::string line = fmt::format("{:02x}:", at);
    for (const std::byte byte : bytes) {
      line += fmt::format(" {:02x}", static_cast<unsigned>(byte));
    }
    lines.push_back(std::move(line));
  }
  return lines;
}

Status read_config_line(std::string_view line, std::span<std::byte> config) {
  const Error wrong = fail(
      ErrorKind::kConfig, "sixteen bytes below {:#x}, written as \"40: 01 02 ...\"", config.size());
  const auto offset = take_hex(line);
  if (!offset || !line.starts_with(':') || *offset % kConfigLineBytes != 0 ||
      *offset >= config.size() || config.size() - *offset < kConfigLineBytes) {
    return wrong;
  }
  line.remove_prefix(1);
  for (std::size_t i = 0; i < kConfigLineBytes; ++i) {
    if (!line.starts_with(' ')) {
      return wrong;
    }
    line.remove_prefix(1);
    const auto value = take_hex(line);
    if (!value || *value > 0xff) {
      return wrong;
    }
    config[*offset + i] = static_cast<std::byte>(*value);
  }
  return line.empty() ? Status() : Status(wrong);
}

}  // namespace gpuvm
