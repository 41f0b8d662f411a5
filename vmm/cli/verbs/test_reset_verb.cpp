// SPDX-License-Identifier: Apache-2.0
// gpuvm test-reset: the acceptance test for a card: can it be reset again and again?
#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/machine/devices/device_repair.hpp"

namespace gpuvm::cli {
namespace {

/// Registers of the functions of one set, cleared ones or the others: "DNCTRL of 0000:02:00.0".
std::string registers(const TrialCycle& cycle, const ResetCertificate& set, bool is_cleared) {
  std::string text;
  for (const auto& entry : cycle.registers) {
    const bool belongs =
        std::find(set.names.begin(), set.names.end(), entry.function) != set.names.end();
    if (belongs && entry.is_cleared == is_cleared) {
      text += (text.empty() ? "" : ", ") + entry.name + " of " + entry.function;
    }
  }
  return text;
}

/// What is told of one cycle, and what is kept of all.
class Report {
 public:
  explicit Report(bool is_json) : is_json_(is_json) {}

  void add(const TrialCycle& cycle) {
    ++cycles_;
    for (const auto& certificate : cycle.certificates) {
      const bool is_safe = certificate.is_safe() && registers(cycle, certificate, false).empty();
      auto& row = rows_[certificate.functions + ", " + std::string(to_string(certificate.method))];
      row.push_back(certificate.duration.count());
      failures_ += is_safe ? 0 : 1;
      note(is_json_ ? json_line(cycle, certificate) : text_line(cycle, certificate));
    }
  }
  Status end() {
    note(is_json_ ? json_summary() : text_summary());
    return std::move(output_);
  }

 private:
  void note(const std::string& text) { output_ = output_ ? print(text) : std::move(output_); }
  static std::string text_line(const TrialCycle& cycle, const ResetCertificate& certificate) {
    const std::string kept = registers(cycle, certificate, false);
    const std::string cleared = registers(cycle, certificate, true);
    std::string line =
        fmt::format("cycle {:>4}  {}: {}, {} ms, {}", cycle.number, certificate.functions,
                    to_string(certificate.method), certificate.duration.count(),
                    kept.empty() ? to_string(certificate.verdict) : "failed");
    if (!certificate.is_safe()) {
      line += "; " + certificate.text;
    } else if (!kept.empty()) {
      line += "; the reset did not reach " + kept;
    } else if (!cleared.empty()) {
      line += ", " + cleared + " cleared";
    }
    return line + "\n";
  }
  static std::string json_line(const TrialCycle& cycle, const ResetCertificate& certificate) {
    const std::string kept = registers(cycle, certificate, false);
    InspectNode node;
    node.field("cycle", std::uint64_t{cycle.number});
    certificate.inspect(node);
    node.field("registers_cleared", registers(cycle, certificate, true));
    node.field("registers_kept", kept);
    node.field("is_safe", certificate.is_safe() && kept.empty());
    return node.to_json() + "\n";
  }
  std::string text_summary() {
    std::string text = fmt::format("\n{:<48}{:>7}{:>9}{:>9}{:>9}\n", "functions, method", "resets",
                                   "min ms", "median", "max ms");
    for (auto& [name, times] : rows_) {
      std::sort(times.begin(), times.end());
      text += fmt::format("{:<48}{:>7}{:>9}{:>9}{:>9}\n", name, times.size(), times.front(),
                          times[times.size() / 2], times.back());
    }
    return text + fmt::format("{} cycles, {} failed\n", cycles_, failures_);
  }
  std::string json_summary() const {
    InspectNode node;
    node.field("cycles", std::uint64_t{cycles_});
    node.field("failed", std::uint64_t{failures_});
    return node.to_json() + "\n";
  }

  const bool is_json_;
  unsigned cycles_ = 0;
  unsigned failures_ = 0;
  std::map<std::string, std::vector<std::int64_t>> rows_;
  Status output_;
};

}  // namespace

Result<int> test_reset_verb(const TestResetArguments& arguments) {
  TRY(set_up_log(arguments.log));
  const HostSystem host;
  const auto addresses = TRY(parse_addresses(host, arguments.addresses));
  const auto functions = TRY(slot_functions(host, addresses));
  Report report(arguments.json);
  const bool is_safe =
      TRY(run_reset_trial(host, functions, arguments.cycles, "gpuvm test-reset",
                          {.on_cycle = [&report](const TrialCycle& cycle) { report.add(cycle); }}));
  TRY(report.end());
  if (!is_safe) {
    return fail(ErrorKind::kUnsafeDevice,
                "A reset did not leave the devices well; give them to no guest");
  }
  return 0;
}

}  // namespace gpuvm::cli
