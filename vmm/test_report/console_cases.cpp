// SPDX-License-Identifier: Apache-2.0
#include "vmm/test_report/console_cases.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "vmm/test_report/case_names.hpp"
#include "vmm/test_report/clean_text.hpp"
#include "vmm/test_report/console_line.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostName = 256;
constexpr std::size_t kMostSuite = 512;
/// Of one list; how many more there are is told in one case.
constexpr std::uint64_t kMostMissing = 100;
constexpr const char* kNeverReported = "It was planned, and no result of it has come.";
constexpr const char* kDiedInIt = "The guest's end came before the test's.";

}  // namespace

void ConsoleCases::add_line(std::string_view line, std::chrono::milliseconds since_start) {
  now_ = std::max(now_, since_start);
  std::string_view text = without_log_prefix(line.substr(0, kMostLine));
  if (text.starts_with("Linux version ")) {  // another life of the guest: this one's tests are over
    end_all(true);
    return;
  }
  const Place place = take_place(text);
  if (is_in_yaml(place, text)) {
    return;
  }
  is_behind_result_ = false;
  std::visit([&](const auto& what) { take(place, what, text); }, tap::parse(text));
}

/// Takes away what stands in front.
ConsoleCases::Place ConsoleCases::take_place(std::string_view& text) const {
  Place place;
  for (const List& list : lists_) {
    if (list.running.empty() || list.place.hashes != place.hashes || !text.starts_with('#') ||
        std::holds_alternative<tap::Selftest>(tap::parse(text))) {
      continue;
    }
    text.remove_prefix(text.starts_with("# ") ? 2 : 1);
    ++place.hashes;
  }
  place.blanks = std::min(text.find_first_not_of(' '), text.size());
  text.remove_prefix(place.blanks);
  return place;
}

std::optional<std::size_t> ConsoleCases::find_list(const Place& place) const {
  for (std::size_t i = lists_.size(); i-- > 0;) {
    if (lists_[i].place == place) {
      return i;
    }
  }
  return std::nullopt;
}

/// TAP's "---" and "...", further to the right than the result.
bool ConsoleCases::is_in_yaml(const Place& place, std::string_view text) {
  if (!yaml_) {
    const bool begins = text == "---" && is_behind_result_ && !lists_.empty() &&
                        lists_.back().place.hashes == place.hashes &&
                        lists_.back().place.blanks < place.blanks;
    if (begins) {
      yaml_ = Yaml{.place = place, .of_case = last_case_};
    }
    return begins;
  }
  if (place.hashes != yaml_->place.hashes || place.blanks < yaml_->place.blanks) {
    yaml_.reset();
    return false;
  }
  if (text == "...") {
    yaml_.reset();
  } else if (yaml_->of_case && is_bad(cases_[*yaml_->of_case])) {
    std::string& details = cases_[*yaml_->of_case].details;
    const std::string more = clean_text(text) + "\n";
    if (details.size() + more.size() <= kMostDetails && more.size() <= details_left_) {
      details += more;
      details_left_ -= more.size();
    }
  }
  return true;
}

void ConsoleCases::take(const Place& place, const tap::Version& version, std::string_view text) {
  if (const auto same = find_list(place)) {
    close_lists(*same);
  }
  if (List* const list = open_list(place)) {
    list->is_certain = true;
    list->wants_numbers = version.is_ktap;
  } else {
    keep(text);
  }
}

void ConsoleCases::take(const Place& place, const tap::Plan& plan, std::string_view text) {
  const auto same = find_list(place);
  const bool may_begin = !same && (lists_.empty() || lists_.back().place < place);
  List* const list = same ? &lists_[*same] : may_begin ? open_list(place) : nullptr;
  if (list == nullptr || list->plan) {
    keep(text);
    return;
  }
  list->plan = plan.count;
  list->is_certain = list->is_certain || (lists_.size() > 1 && lists_.front().is_certain);
  const bool is_skipped = plan.count == 0 && list->results == 0 && list->is_certain;
  if (is_skipped && list == &lists_.front()) {  // of others the result says so
    record({.name = "all", .outcome = CaseOutcome::kSkipped, .details = std::string(plan.reason)});
  }
}

void ConsoleCases::take(const Place& place, const tap::CaseResult& result, std::string_view text) {
  const auto same = find_list(place);
  if (!same || (result.number == 0 && lists_[*same].wants_numbers) ||
      (result.number != 1 && !lists_[*same].is_certain)) {
    keep(text);
    return;
  }
  const bool has_parts = *same + 1 < lists_.size();
  const std::size_t first_part = has_parts ? lists_[*same + 1].first_case : cases_.size();
  close_parts(*same, suite_of_result(result.name));
  List& list = lists_[*same];
  ++list.results;
  list.is_certain = true;
  list.running.clear();
  const auto took = now_ - std::exchange(list.last_result, now_);
  const auto begin = cases_.begin() + static_cast<std::ptrdiff_t>(first_part);
  const bool parts_say_it =
      begin != cases_.end() && !result.diagnostic.starts_with("TIMEOUT") &&
      (result.outcome != CaseOutcome::kFailed || std::any_of(begin, cases_.end(), is_bad));
  if (!parts_say_it) {
    record(case_of(result, list.results, has_parts ? std::chrono::milliseconds{0} : took));
  }
  output_.clear();
  is_behind_result_ = true;
}

TestCase ConsoleCases::case_of(const tap::CaseResult& result, std::uint64_t place_in_list,
                               std::chrono::milliseconds took) const {
  const bool is_selftest = result.name.starts_with(tap::kSelftests);
  auto [suite, name] = suite_and_name(
      is_selftest ? result.name.substr(tap::kSelftests.size()) : result.name, is_selftest);
  if (name.empty()) {
    name = fmt::format("test {}", result.number != 0 ? result.number : place_in_list);
  }
  std::string details;
  if (result.outcome != CaseOutcome::kPassed) {
    details = result.diagnostic;
  }
  if (result.outcome == CaseOutcome::kFailed && !output_.empty()) {
    details += fmt::format("{}{}", details.empty() ? "" : "\n", output_);
  }
  return {.suite = std::move(suite),
          .name = std::move(name),
          .outcome = result.outcome,
          .duration = took,
          .details = std::move(details)};
}

/// KUnit names a list in its second line; TAP 14 names the one that comes, from outside.
void ConsoleCases::take(const Place& place, const tap::Subtest& subtest, std::string_view text) {
  const auto same = find_list(place);
  if (!same && place.blanks == 0) {
    keep(text);
    return;
  }
  List* list = same ? &lists_[*same] : open_list(place);
  if (list == nullptr) {
    keep(text);
    return;
  }
  const bool is_first_line = list == &lists_.back() && list->results == 0 && !list->plan;
  if (!is_first_line || (same && *same == 0 && place.blanks == 0)) {
    next_name_ = clean_line(subtest.name, kMostName);
    return;
  }
  list->name = clean_line(subtest.name, kMostName);
  list->is_kunit = true;
  list->is_certain = true;
}

void ConsoleCases::take(const Place& place, const tap::Selftest& test, std::string_view text) {
  const auto same = find_list(place);
  if (!same) {
    keep(text);
    return;
  }
  close_parts(*same, suite_of_selftest(lists_[*same].running));
  List& list = lists_[*same];
  if (!list.running.empty()) {  // its result is lost
    ++list.results;
    auto [suite, name] = suite_and_name(list.running, true);
    record_broken(std::move(suite), std::move(name), "The next test began before its result came.");
  }
  list.running = clean_line(test.name, kMostName);
  list.last_result = now_;
  output_.clear();
}

void ConsoleCases::take(const Place& /*place*/, const tap::BailOut& end, std::string_view text) {
  if (lists_.empty()) {
    return;
  }
  keep(text);
  record_broken({}, fmt::format("Bail out! {}", end.reason), "");
  for (List& list : lists_) {
    list.plan = list.results;  // nothing more is to come
  }
  end_all(false);
}

void ConsoleCases::take(const Place& /*place*/, const tap::Other& /*other*/,
                        std::string_view text) {
  keep(text);
}

/// Null: it would be nested too deep.
ConsoleCases::List* ConsoleCases::open_list(const Place& place) {
  close_deeper(place);
  if (lists_.size() >= kMostNesting) {
    return nullptr;
  }
  List list;
  list.place = place;
  list.first_case = cases_.size();
  list.last_result = now_;
  list.name = lists_.empty() ? std::string() : std::exchange(next_name_, {});
  lists_.push_back(std::move(list));
  return &lists_.back();
}

void ConsoleCases::close_deeper(const Place& place) {
  std::size_t kept = lists_.size();
  while (kept > 0 && lists_[kept - 1].place > place) {
    --kept;
  }
  close_lists(kept);
}

/// Those behind the first `kept`, which end without a result that says so. What is broken in one
/// stands for the test outside that it is a part of.
void ConsoleCases::close_lists(std::size_t kept) {
  while (lists_.size() > kept) {
    const std::size_t first_case = lists_.back().first_case;
    const bool is_part = lists_.size() > 1;
    close_last(is_part ? suite_of_selftest(lists_[lists_.size() - 2].running) : std::string());
    const auto begin = cases_.begin() + static_cast<std::ptrdiff_t>(first_case);
    if (is_part && std::any_of(begin, cases_.end(), is_bad)) {
      lists_.back().running.clear();
      ++lists_.back().results;
    }
  }
}

/// Of a test whose own result has come.
void ConsoleCases::close_parts(std::size_t whole, std::string_view name) {
  close_lists(std::min(lists_.size(), whole + 2));
  if (lists_.size() > whole + 1) {
    close_last(name);
  }
}

void ConsoleCases::close_last(std::string_view name) {
  List list = std::move(lists_.back());
  lists_.pop_back();
  add_missing(list);
  std::string suite = list.name.empty() ? clean_line(name, kMostName) : list.name;
  const bool is_inner =
      std::any_of(lists_.begin(), lists_.end(), [](const List& outer) { return outer.is_kunit; });
  if (suite.empty()) {
    return;
  }
  if (list.is_kunit && !is_inner) {
    suite = fmt::format("kunit.{}", suite);
  }
  for (std::size_t i = list.first_case; i < cases_.size(); ++i) {
    std::string& inner = cases_[i].suite;
    inner = inner.empty() ? suite : clean_line(fmt::format("{}.{}", suite, inner), kMostSuite);
  }
}

/// What was to come and will not.
void ConsoleCases::add_missing(List& list) {
  if (!list.running.empty()) {
    auto [suite, name] = suite_and_name(list.running, true);
    record_broken(std::move(suite), std::move(name), kDiedInIt);
    ++list.results;
  }
  const std::uint64_t planned = list.is_certain ? list.plan.value_or(0) : 0;
  for (std::uint64_t i = 0; i < kMostMissing && list.results < planned; ++i) {
    ++list.results;
    record_broken({}, fmt::format("test {} of {}", list.results, planned), kNeverReported);
  }
  if (list.results < planned) {
    record_broken({}, fmt::format("tests {} to {}", list.results + 1, planned), kNeverReported);
  }
}

void ConsoleCases::end_all(bool guest_died) {
  yaml_.reset();
  // Without a plan nobody knows whether there was to be another one.
  if (guest_died && !lists_.empty() && lists_.back().is_certain && !lists_.back().plan &&
      lists_.back().running.empty()) {
    record_broken({}, fmt::format("test {}", lists_.back().results + 1), kDiedInIt);
  }
  close_lists(0);
  next_name_.clear();
  output_.clear();
}

std::vector<TestCase> ConsoleCases::finish(bool guest_died) {
  end_all(guest_died);
  const std::uint64_t left_out = passed_left_out_ + failed_left_out_ + skipped_left_out_;
  if (left_out > 0) {
    cases_.push_back(
        {.name = fmt::format("{} cases beyond the first {}", left_out, kMostCases),
         .outcome = failed_left_out_ > 0   ? CaseOutcome::kFailed
                    : passed_left_out_ > 0 ? CaseOutcome::kPassed
                                           : CaseOutcome::kSkipped,
         .details = fmt::format("Not kept: {} passed, {} failed, {} skipped.", passed_left_out_,
                                failed_left_out_, skipped_left_out_)});
  }
  return std::exchange(cases_, {});
}

/// Of what was printed the end: that is where a failure is.
void ConsoleCases::keep(std::string_view text) {
  if (lists_.empty() || text.empty() || text == "#") {
    return;
  }
  output_ += text;
  output_ += '\n';
  if (output_.size() > kMostDetails) {
    const auto cut = output_.find('\n', kMostDetails / 2);
    output_.erase(0, cut + 1);  // at least the newline just added is there
  }
}

void ConsoleCases::record(TestCase found) {
  last_case_.reset();
  if (cases_.size() >= kMostCases) {
    auto& count = is_bad(found)                            ? failed_left_out_
                  : found.outcome == CaseOutcome::kSkipped ? skipped_left_out_
                                                           : passed_left_out_;
    ++count;
    return;
  }
  found.suite = clean_line(found.suite, kMostSuite);
  found.name = clean_line(found.name, kMostName);
  if (found.name.empty()) {
    found.name = "(a name without a letter)";
  }
  found.details = end_of(clean_text(found.details), std::min(kMostDetails, details_left_));
  details_left_ -= std::min(details_left_, found.details.size());
  last_case_ = cases_.size();
  cases_.push_back(std::move(found));
}

void ConsoleCases::record_broken(std::string suite, std::string name, const char* why) {
  std::string details(why);
  if (!output_.empty()) {
    details += fmt::format("{}{}", details.empty() ? "" : "\n", std::exchange(output_, {}));
  }
  record({.suite = std::move(suite),
          .name = std::move(name),
          .outcome = CaseOutcome::kBroken,
          .details = std::move(details)});
}

}  // namespace gpuvm
