// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/metrics_text.hpp"

#include <algorithm>
#include <map>
#include <vector>

namespace gpuvm {
namespace {

struct Family {
  std::string help = {};  ///< whole lines
  std::string type = {};
  std::string samples = {};
};

bool is_metric_name(std::string_view name) {
  const auto is_letter = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == ':';
  };
  return !name.empty() && is_letter(name.front()) &&
         std::all_of(name.begin(), name.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); });
}

bool is_printable(std::string_view line) {
  return std::none_of(line.begin(), line.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
  });
}

/// The first word of the rest.
std::string_view take_first(std::string_view& text, std::string_view ends) {
  const std::size_t end = std::min(text.find_first_of(ends), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

class Families {
 public:
  void add_line(std::string_view line) {
    if (!is_printable(line)) {
      return;
    }
    for (const std::string_view word : {"# HELP ", "# TYPE "}) {
      if (line.starts_with(word)) {
        std::string_view rest = line.substr(word.size());
        add_comment(line, take_first(rest, " "), word == "# HELP ");
        return;
      }
    }
    std::string_view rest = line;
    const std::string_view name = take_first(rest, "{ ");
    if (is_metric_name(name) && !rest.empty()) {
      // "_bucket", "_sum" and "_count" of a histogram are lines of the family before them.
      Family& family = current_ != nullptr && name.starts_with(current_name_) &&
                               families_.find(name) == families_.end()
                           ? *current_
                           : family_of(name);
      family.samples.append(line).append("\n");
    }
  }
  /// The next line is of another text.
  void end_text() { current_ = nullptr; }

  std::string text() const {
    std::string out;
    for (const Family* family : order_) {
      out.append(family->help).append(family->type).append(family->samples);
    }
    return out;
  }

 private:
  Family& family_of(std::string_view name) {
    auto found = families_.find(name);
    if (found == families_.end()) {
      found = families_.emplace(std::string(name), Family{}).first;
      order_.push_back(&found->second);
    }
    return found->second;
  }

  void add_comment(std::string_view line, std::string_view name, bool is_help) {
    if (!is_metric_name(name)) {
      return;
    }
    current_ = &family_of(name);
    current_name_ = name;
    std::string& place = is_help ? current_->help : current_->type;
    if (place.empty()) {
      place.append(line).append("\n");
    }
  }

  std::map<std::string, Family, std::less<>> families_;
  std::vector<const Family*> order_;
  Family* current_ = nullptr;  ///< of the last HELP or TYPE
  std::string current_name_;
};

}  // namespace

std::string merge_metrics(std::span<const std::string> texts) {
  Families families;
  for (const std::string& text : texts) {
    std::string_view rest = text;
    while (!rest.empty()) {
      families.add_line(take_first(rest, "\n"));
      rest.remove_prefix(std::min<std::size_t>(rest.size(), 1));
    }
    families.end_text();
  }
  return families.text();
}

}  // namespace gpuvm
