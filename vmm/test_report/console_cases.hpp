// SPDX-License-Identifier: Apache-2.0
// ConsoleCases: what test programs say of their tests on a guest's console, as test cases: TAP 13
// and 14 (testanything.org), KTAP (Linux, Documentation/dev-tools/ktap.rst) and what is made of it
// by KUnit ("# Subtest: list-kunit-test", also of kernels before KTAP) and by kselftest ("#
// selftests: net: tls", with a test's own TAP behind "# ").
// All of it is the guest's: lines, nesting, cases and what is kept of them have limits.
// Missing: numbers of results are not compared with their order; what a pragma asks for.
#pragma once

#include <chrono>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/test_report/tap_line.hpp"
#include "vmm/verdict/test_case.hpp"

namespace gpuvm {

/// One thread.
class ConsoleCases {
 public:
  static constexpr std::size_t kMostCases = 10000;
  static constexpr std::size_t kMostDetails = std::size_t{64} << 10;      ///< of one case
  static constexpr std::size_t kMostDetailsInAll = std::size_t{8} << 20;  ///< of all
  static constexpr std::size_t kMostNesting = 8;
  static constexpr std::size_t kMostLine = 4096;  ///< what is behind does not count

  /// A line without its newline; a CR at its end does no harm.
  void add_line(std::string_view line, std::chrono::milliseconds since_start);

  /// The cases, in the order of their ends; once, when the console has said its last. Tests that a
  /// plan has announced and that have not come are broken, and with `guest_died` the one that ran.
  /// Where there were more than kMostCases the last one tells how many and how they ended.
  std::vector<TestCase> finish(bool guest_died);

 private:
  /// Where a line stands: how many "# " of kselftest are in front, then how many blanks.
  struct Place {
    std::size_t hashes = 0;
    std::size_t blanks = 0;
    auto operator<=>(const Place&) const = default;
  };

  /// Tests that belong together, from a version line (or a plan, or a subtest's name) on.
  struct List {
    Place place = {};
    std::size_t first_case = 0;  ///< in cases_
    std::uint64_t results = 0;
    std::optional<std::uint64_t> plan = {};
    bool is_certain = false;     ///< a plan alone may be anybody's output
    bool wants_numbers = false;  ///< "ok" alone is no result (KTAP)
    std::string name = {};
    bool is_kunit = false;
    std::string running = {};  ///< kselftest's test, "net: tls"
    std::chrono::milliseconds last_result{0};
  };

  /// Describes a block of TAP's YAML, which follows a result.
  struct Yaml {
    Place place = {};
    std::optional<std::size_t> of_case = {};
  };

  Place take_place(std::string_view& text) const;
  std::optional<std::size_t> find_list(const Place& place) const;
  bool is_in_yaml(const Place& place, std::string_view text);

  void take(const Place& place, const tap::Version& version, std::string_view text);
  void take(const Place& place, const tap::Plan& plan, std::string_view text);
  void take(const Place& place, const tap::CaseResult& result, std::string_view text);
  void take(const Place& place, const tap::Subtest& subtest, std::string_view text);
  void take(const Place& place, const tap::Selftest& test, std::string_view text);
  void take(const Place& place, const tap::BailOut& end, std::string_view text);
  void take(const Place& place, const tap::Other& other, std::string_view text);

  List* open_list(const Place& place);
  void close_deeper(const Place& place);
  void close_lists(std::size_t kept);
  void close_parts(std::size_t whole, std::string_view name);
  void close_last(std::string_view name);
  void add_missing(List& list);
  void end_all(bool guest_died);

  TestCase case_of(const tap::CaseResult& result, std::uint64_t place_in_list,
                   std::chrono::milliseconds took) const;
  void keep(std::string_view text);
  void record(TestCase found);
  void record_broken(std::string suite, std::string name, const char* why);

  std::vector<List> lists_;  ///< each deeper than the one before
  std::vector<TestCase> cases_;
  std::string output_;     ///< since the last result: the end of it
  std::string next_name_;  ///< of a list that comes (TAP 14)
  std::optional<Yaml> yaml_;
  std::optional<std::size_t> last_case_;  ///< the last one, where it is in cases_
  bool is_behind_result_ = false;         ///< the last line was a result
  std::chrono::milliseconds now_{0};
  std::size_t details_left_ = kMostDetailsInAll;
  std::uint64_t passed_left_out_ = 0;
  std::uint64_t failed_left_out_ = 0;
  std::uint64_t skipped_left_out_ = 0;
};

}  // namespace gpuvm
