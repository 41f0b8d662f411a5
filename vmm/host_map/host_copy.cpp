// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/host_copy.hpp"

#include <algorithm>

namespace gpuvm {
namespace {

/// The first part of a path, which is taken off.
std::string_view take_part(std::string_view& path) {
  path.remove_prefix(std::min(path.find_first_not_of('/'), path.size()));
  const auto end = std::min(path.find('/'), path.size());
  const auto part = path.substr(0, end);
  path.remove_prefix(end);
  return part;
}

}  // namespace

HostCopy::HostCopy(CopyNode tree, std::vector<std::string> remarks)
    : tree_(std::move(tree)), remarks_(std::move(remarks)) {}

const CopyNode* HostCopy::find(std::string_view absolute) const {
  const CopyNode* node = &tree_;
  for (auto part = take_part(absolute); !part.empty(); part = take_part(absolute)) {
    const auto child = node->children.find(part);
    if (child == node->children.end()) {
      return nullptr;
    }
    node = &child->second;
  }
  return node;
}

CopyNode& HostCopy::make(std::string_view absolute) {
  CopyNode* node = &tree_;
  for (auto part = take_part(absolute); !part.empty(); part = take_part(absolute)) {
    node = &node->children[std::string(part)];
  }
  return *node;
}

bool HostCopy::exists(std::string_view absolute) const {
  return find(absolute) != nullptr;
}

Result<std::string> HostCopy::read(std::string_view absolute) const {
  const CopyNode* const node = find(absolute);
  if (node == nullptr || !node->text) {
    return fail(ErrorKind::kHost, "The saved host has no {}", absolute);
  }
  std::string text = *node->text;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

Result<std::vector<std::byte>> HostCopy::read_bytes(std::string_view absolute,
                                                    std::size_t size) const {
  const CopyNode* const node = find(absolute);
  if (node == nullptr || !node->bytes) {
    return fail(ErrorKind::kHost, "The saved host has no {}", absolute);
  }
  auto bytes = *node->bytes;
  bytes.resize(std::min(bytes.size(), size));
  return bytes;
}

std::vector<std::string> HostCopy::list(std::string_view absolute) const {
  std::vector<std::string> names;
  if (const CopyNode* const node = find(absolute)) {
    for (const auto& [name, child] : node->children) {
      names.push_back(name);
    }
  }
  return names;
}

std::optional<std::string> HostCopy::link_text(std::string_view absolute) const {
  const CopyNode* const node = find(absolute);
  return node != nullptr ? node->link : std::nullopt;
}

}  // namespace gpuvm
