// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/inspect.hpp"

#include <fmt/format.h>

namespace gpuvm {
namespace {

std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      // Also what may be no UTF-8 (a ROM's text, a file name): read as Latin-1, so that no value
      // can make the whole document invalid (RFC 8259 section 8.1).
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      out += c;
    }
  }
  return out + '"';
}

}  // namespace

void InspectNode::field(std::string_view key, std::string_view value) {
  fields_.push_back({std::string(key), std::string(value), true});
}

void InspectNode::field(std::string_view key, std::uint64_t value) {
  fields_.push_back({std::string(key), std::to_string(value), false});
}

void InspectNode::field(std::string_view key, bool value) {
  fields_.push_back({std::string(key), value ? "true" : "false", false});
}

void InspectNode::hex(std::string_view key, std::uint64_t value) {
  field(key, fmt::format("{:#x}", value));
}

InspectNode& InspectNode::child(std::string_view name) {
  for (auto& existing : children_) {
    if (existing->name_ == name) {
      return *existing;
    }
  }
  return *children_.emplace_back(std::make_unique<InspectNode>(std::string(name)));
}

std::string_view InspectNode::get(std::string_view key) const {
  for (const auto& field : fields_) {
    if (field.key == key) {
      return field.value;
    }
  }
  return {};
}

const InspectNode* InspectNode::find(std::string_view name) const {
  for (const auto& existing : children_) {
    if (existing->name_ == name) {
      return existing.get();
    }
  }
  return nullptr;
}

std::vector<const InspectNode*> InspectNode::children() const {
  std::vector<const InspectNode*> all;
  for (const auto& child : children_) {
    all.push_back(child.get());
  }
  return all;
}

std::vector<std::string_view> InspectNode::keys() const {
  std::vector<std::string_view> all;
  for (const auto& field : fields_) {
    all.emplace_back(field.key);
  }
  return all;
}

std::string InspectNode::to_text(unsigned indent) const {
  std::string out(indent, ' ');
  out += name_ + "\n";
  for (const auto& field : fields_) {
    out += fmt::format("{:{}}{}: {}\n", "", indent + 2, field.key, field.value);
  }
  for (const auto& child : children_) {
    out += child->to_text(indent + 2);
  }
  return out;
}

std::string InspectNode::to_json() const {
  std::string out = "{";
  const auto separate = [&out] {
    if (out.size() > 1) {
      out += ',';
    }
  };
  for (const auto& field : fields_) {
    separate();
    out += json_string(field.key) + ':' + (field.quoted ? json_string(field.value) : field.value);
  }
  for (const auto& child : children_) {
    separate();
    out += json_string(child->name_) + ':' + child->to_json();
  }
  return out + '}';
}

}  // namespace gpuvm
