// SPDX-License-Identifier: Apache-2.0
// What a preview finds, as lines of a check.
#include <algorithm>

#include "vmm/check/check.hpp"
#include "vmm/check/finding_words.hpp"
#include "vmm/machine/preview/found_functions.hpp"
#include "vmm/machine/preview/preview.hpp"

namespace gpuvm {
namespace {

CheckLine line_of(const Finding& finding, const FindingWords* words) {
  CheckLine line;
  line.check = finding.check;
  line.of = finding.of;
  if (words != nullptr && words->about != FindingAbout::kHost && finding.of.empty()) {
    line.of = "Guest";
  }
  // Of a set that is reset together: with the lines of its first function.
  line.of = line.of.substr(0, line.of.find(','));
  line.why = words == nullptr ? "" : words->why;
  if (finding.outcome) {
    line.text = words == nullptr ? "nothing is against it" : words->good;
    if (!finding.note.empty()) {
      line.level = CheckLevel::kWarn;
      line.text = finding.note;
      line.cure = words == nullptr ? "" : words->cure;
    }
    return line;
  }
  line.level = CheckLevel::kFail;
  line.text = finding.outcome.error().to_string();
  line.cure = words == nullptr ? "" : words->cure;
  line.kind = finding.outcome.error().kind();
  return line;
}

/// Who has a function has its group; "owner" tells of him.
bool is_of_owned_group(const HostMap& map, const std::string& name) {
  const auto address = Bdf::parse(name);
  const MapFunction* const function = address ? map.find(*address) : nullptr;
  return function != nullptr && function->group &&
         std::any_of(map.functions.begin(), map.functions.end(), [&](const MapFunction& each) {
           return each.group == function->group && !each.owner.empty();
         });
}

bool is_told(const CheckSubject& subject, const Config& config, bool devices_only,
             const Finding& finding, const FindingWords* words) {
  // Without an IOMMU, what is said of groups is said of the host.
  const bool is_of_group = finding.check == "group" || finding.check == "users";
  if (is_of_group && !subject.map.has_iommu) {
    return false;
  }
  if (finding.check == "users" && finding.outcome && is_of_owned_group(subject.map, finding.of)) {
    return false;
  }
  const bool concerns_guest =
      words == nullptr || words->concerns == nullptr || words->concerns(config);
  if (!concerns_guest && finding.outcome) {
    return false;
  }
  const auto about = words == nullptr ? FindingAbout::kGuest : words->about;
  return about == FindingAbout::kDevice || (about == FindingAbout::kGuest && !devices_only);
}

}  // namespace

CheckLine finding_line(const Finding& finding) {
  return line_of(finding, find_finding_words(finding.check));
}

void add_finding_lines(const CheckSubject& subject, const Config& config, bool devices_only,
                       CheckLines& lines) {
  InspectNode unused("");
  auto findings = preview_machine(subject.host, config, unused);
  if (!findings) {
    CheckLine line = line_of({"devices", Status(std::move(findings).error())}, nullptr);
    line.why = "Only what answers can be looked at";
    line.cure = "`gpuvm devices` tells what each is; an entry without the one that is named";
    lines.push_back(std::move(line));
    return;
  }
  for (const Finding& finding : *findings) {
    const auto* const words = find_finding_words(finding.check);
    if (is_told(subject, config, devices_only, finding, words)) {
      lines.push_back(line_of(finding, words));
    }
  }
}

}  // namespace gpuvm
