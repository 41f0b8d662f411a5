// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/metrics_text.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "vmm/api_client/metrics_line.hpp"

namespace gpuvm {
namespace {

struct Family {
  std::string help = {};  ///< whole lines
  std::string type = {};
  std::string samples = {};
};

/// The first word of the rest.
std::string_view take_first(std::string_view& text, std::string_view ends) {
  const std::size_t end = std::min(text.find_first_of(ends), text.size());
  const std::string_view word = text.substr(0, end);
  text.remove_prefix(end);
  return word;
}

/// Of a histogram's or summary's samples, behind its name.
bool is_part_of(std::string_view name, std::string_view family) {
  if (!name.starts_with(family)) {
    return false;
  }
  const std::string_view end = name.substr(family.size());
  return end.empty() || end == "_bucket" || end == "_sum" || end == "_count";
}

class Families {
 public:
  /// `guest` has said it.
  void add_line(std::string_view line, std::string_view guest) {
    if (const auto comment = read_metric_comment(line)) {
      add_comment(line, *comment);
    } else if (const auto sample = read_metric_sample(line);
               sample && sample->guest.value_or(guest) == guest) {
      add_sample(line, *sample);
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

  void add_comment(std::string_view line, const MetricComment& comment) {
    current_ = &family_of(comment.name);
    current_name_ = comment.name;
    std::string& place = comment.is_help ? current_->help : current_->type;
    if (place.empty()) {
      place.append(line).append("\n");
    }
  }
  /// Of the same series twice the first one counts: whoever reads the text refuses all of it else.
  void add_sample(std::string_view line, const MetricSample& sample) {
    if (!series_.insert(sample.series).second) {
      return;
    }
    // "_bucket", "_sum" and "_count" of a histogram are lines of the family before them.
    Family& family = current_ != nullptr && is_part_of(sample.name, current_name_) &&
                             families_.find(sample.name) == families_.end()
                         ? *current_
                         : family_of(sample.name);
    family.samples.append(line).append("\n");
  }

  std::map<std::string, Family, std::less<>> families_;
  std::vector<const Family*> order_;
  std::set<std::string, std::less<>> series_;
  Family* current_ = nullptr;  ///< of the last HELP or TYPE
  std::string current_name_;
};

}  // namespace

std::string merge_metrics(std::span<const GuestMetrics> texts) {
  Families families;
  for (const GuestMetrics& metrics : texts) {
    std::string_view rest = metrics.text;
    while (!rest.empty()) {
      families.add_line(take_first(rest, "\n"), metrics.guest);
      rest.remove_prefix(std::min<std::size_t>(rest.size(), 1));
    }
    families.end_text();
  }
  return families.text();
}

}  // namespace gpuvm
