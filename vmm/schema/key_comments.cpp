// SPDX-License-Identifier: Apache-2.0
#include "vmm/schema/key_comments.hpp"

#include <algorithm>
#include <optional>

namespace gpuvm::schema {
namespace {

bool is_name(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

std::string_view without_mark(std::string_view line) {
  constexpr std::string_view kMark = "# ";
  return line.starts_with(kMark) ? line.substr(kMark.size()) : line;
}

/// "pci" of "[[pci]]".
std::optional<std::string_view> section_of(std::string_view line) {
  for (const auto& [open, close] : {std::pair{"[[", "]]"}, std::pair{"[", "]"}}) {
    const std::string_view begin = open;
    if (line.starts_with(begin) && line.ends_with(close)) {
      const auto name = line.substr(begin.size(), line.size() - 2 * begin.size());
      return is_name(name) ? std::optional(name) : std::nullopt;
    }
  }
  return std::nullopt;
}

/// "host" of 'host = "0000:01:00.0"'.
std::optional<std::string_view> key_of(std::string_view line) {
  const auto end = line.find(" = ");
  const auto name = line.substr(0, end);
  return end != std::string_view::npos && is_name(name) ? std::optional(name) : std::nullopt;
}

/// Reads line after line.
class CommentReader {
 public:
  void take(std::string_view line) {
    const auto content = without_mark(line);
    if (line.empty()) {
      comment_.clear();
      shared_.clear();
    } else if (const auto section = section_of(content)) {
      section_ = *section;
      give(section_);
    } else if (const auto key = key_of(content)) {
      give(section_.empty() ? std::string(*key) : section_ + '.' + std::string(*key));
    } else {
      comment_ += comment_.empty() ? "" : "\n";
      comment_ += content == "#" ? "" : content;
    }
  }

  std::map<std::string, std::string> result() && { return std::move(comments_); }

 private:
  void give(const std::string& name) {
    if (!comment_.empty()) {
      shared_ = std::move(comment_);
      comment_.clear();
    }
    if (!shared_.empty()) {
      comments_.emplace(name, shared_);
    }
  }

  std::string section_;
  std::string comment_;  ///< not given to anything yet
  std::string shared_;   ///< of what stands before, and of what follows without a blank line
  std::map<std::string, std::string> comments_;
};

}  // namespace

std::map<std::string, std::string> key_comments(std::string_view reference) {
  CommentReader reader;
  while (!reference.empty()) {
    const auto end = std::min(reference.find('\n'), reference.size());
    reader.take(reference.substr(0, end));
    reference.remove_prefix(std::min(end + 1, reference.size()));
  }
  return std::move(reader).result();
}

}  // namespace gpuvm::schema
