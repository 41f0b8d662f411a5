// SPDX-License-Identifier: Apache-2.0
// A flattened device tree as source. What a property holds is not in the tree: text that ends with
// NUL is printed as strings, whole cells as cells, all else as bytes.
#include <libfdt.h>

#include <algorithm>

#include "firmware/fdt/machine_tree.hpp"

namespace gpuvm {
namespace {

std::uint32_t cell_at(std::span<const std::byte> value, std::size_t at) {
  std::uint32_t cell = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    cell = cell << 8 | std::to_integer<std::uint32_t>(value[at + i]);
  }
  return cell;
}

/// One or more printable strings, each with its NUL.
bool is_text(std::span<const std::byte> value) {
  bool inside = false;
  for (const std::byte byte : value) {
    const auto code = std::to_integer<unsigned>(byte);
    if (code == 0 ? !inside : code < 0x20 || code > 0x7e) {
      return false;
    }
    inside = code != 0;
  }
  return !value.empty() && !inside;
}

std::string text_of(std::span<const std::byte> value) {
  std::string out = "\"";
  for (std::size_t i = 0; i + 1 < value.size(); ++i) {
    const char character = std::to_integer<char>(value[i]);
    if (character == '\0') {
      out += "\", \"";
    } else {
      out += character == '"' || character == '\\' ? "\\" : "";
      out += character;
    }
  }
  return out + "\"";
}

std::string value_of(std::span<const std::byte> value) {
  if (is_text(value)) {
    return text_of(value);
  }
  std::string out;
  const bool cells = value.size() % 4 == 0;
  for (std::size_t i = 0; i < value.size(); i += cells ? 4 : 1) {
    out += out.empty() ? "" : " ";
    out += cells ? fmt::format("{:#x}", cell_at(value, i))
                 : fmt::format("{:02x}", std::to_integer<unsigned>(value[i]));
  }
  return cells ? fmt::format("<{}>", out) : fmt::format("[{}]", out);
}

void print_properties(const void* tree, int node, const std::string& indent, std::string& out) {
  for (int at = fdt_first_property_offset(tree, node); at >= 0;
       at = fdt_next_property_offset(tree, at)) {
    const char* name = nullptr;
    int length = 0;
    const auto* data =
        static_cast<const std::byte*>(fdt_getprop_by_offset(tree, at, &name, &length));
    if (data == nullptr || name == nullptr || length < 0) {
      continue;
    }
    const std::span value(data, static_cast<std::size_t>(length));
    // An empty string is a NUL; nothing at all is a property without a value.
    if (value.empty()) {
      out += fmt::format("{}{};\n", indent, name);
    } else if (value.size() == 1 && value[0] == std::byte{0}) {
      out += fmt::format("{}{} = \"\";\n", indent, name);
    } else {
      out += fmt::format("{}{} = {};\n", indent, name, value_of(value));
    }
  }
}

}  // namespace

Result<std::string> print_tree(std::span<const std::byte> tree) {
  if (tree.size() < sizeof(::fdt_header) || fdt_check_full(tree.data(), tree.size()) != 0) {
    return fail(ErrorKind::kInternal, "The device tree is malformed");
  }
  std::string out = "/dts-v1/;\n\n";
  int depth = 0;
  int open = 0;
  for (int node = 0; node >= 0 && depth >= 0; node = fdt_next_node(tree.data(), node, &depth)) {
    for (; open > depth; --open) {
      out += std::string(static_cast<std::size_t>(open - 1) * 2, ' ') + "};\n";
    }
    const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
    const char* name = fdt_get_name(tree.data(), node, nullptr);
    out += fmt::format("{}{} {{\n", indent, depth == 0 ? "/" : name);
    print_properties(tree.data(), node, indent + "  ", out);
    open = depth + 1;
  }
  for (; open > 0; --open) {
    out += std::string(static_cast<std::size_t>(open - 1) * 2, ' ') + "};\n";
  }
  return out;
}

}  // namespace gpuvm
