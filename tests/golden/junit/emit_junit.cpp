// SPDX-License-Identifier: Apache-2.0
// Writes the JUnit file of a job whose guest has printed CONSOLE: emit_junit CONSOLE OUTCOME FILE,
// OUTCOME a number as in vmm/verdict/verdict.hpp.
#include <fmt/core.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "vmm/test_report/console_cases.hpp"
#include "vmm/test_report/junit.hpp"

namespace gpuvm {
namespace {

int run(char** argv) {
  std::ostringstream console;
  console << std::ifstream(argv[1]).rdbuf();
  JobReport report;
  report.guest = "ci-1";
  report.config_file = "guest <1>.toml";
  report.command = "make check && echo \"done\"";
  report.began = std::chrono::system_clock::time_point(std::chrono::seconds(1796000000));
  report.duration = std::chrono::milliseconds(61234);
  report.verdict.outcome = static_cast<Outcome>(std::atoi(argv[2]));
  report.verdict.exit_status = 1;
  report.verdict.guest_status = 200;
  report.verdict.channel = "status_port";
  report.verdict.reason = "the guest's word & nothing else";
  report.phases = {{.name = "start", .duration = std::chrono::milliseconds(321)},
                   {.name = "guest", .duration = std::chrono::milliseconds(60000)}};
  report.resets = {{.reason = "stop",
                    .functions = "0000:01:00.0",
                    .method = "FLR",
                    .verdict = "verified",
                    .duration_ms = 131}};
  report.artifacts = {{.name = "console.log", .path = "out/console.log"}};
  report.console_tail = console.str();
  ConsoleCases cases;
  std::chrono::milliseconds time{0};
  std::istringstream lines(console.str());
  for (std::string line; std::getline(lines, line);) {
    cases.add_line(line, time += std::chrono::milliseconds(7));
  }
  report.cases = cases.finish(report.verdict.outcome != Outcome::kPassed);
  const auto status = write_junit(argv[3], report);
  if (!status) {
    fmt::print(stderr, "{}\n", status.error().to_string());
  }
  return status ? 0 : 1;
}

}  // namespace
}  // namespace gpuvm

int main(int argc, char** argv) {
  return argc == 4 ? gpuvm::run(argv) : 64;
}
