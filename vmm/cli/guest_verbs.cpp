// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/guest_verbs.hpp"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "vmm/base/duration.hpp"
#include "vmm/cli/options.hpp"

namespace gpuvm::cli {
namespace {

constexpr const char* kRunFooter = R"(Examples:
  gpuvm run guest.toml
  gpuvm run --dry-run --set pci.0.host=0000:41:00.0 guest.toml
  gpuvm run --wait 30m guest.toml
  gpuvm run --warm ci guest.toml
  gpuvm run --set 'console.serial=["file:serial.log"]' --set boot.cmdline="quiet" guest.toml)";

constexpr const char* kPoolFooter = R"(Examples:
  gpuvm pool --size 4 ci.toml                     keep four guests of ci.toml booted
  gpuvm test --warm ci ci.toml -- ./run-tests     run a job in one of them)";

constexpr const char* kTestFooter = R"(Examples:
  gpuvm test ci.toml
  gpuvm test --artifacts out --result-json result.json ci.toml -- ./run-tests --all
  gpuvm test --warm ci ci.toml -- ./run-tests --all
  gpuvm test --set test.timeout=20min --set 'test.failure_pattern="^BUG:"' ci.toml

Exit status, of which the first that is true counts:
     120  a device did not come back from its reset; it is not safe to use
     122  gpuvm or the host failed, or the command line or the configuration is wrong
     121  the guest's kernel panicked
0 to 119  what the guest said of its test, by the channels that [test] gives it (more is 119)
       1  test.failure_pattern was on the console
       0  test.success_pattern was on the console
     124  a limit of time was over: test.timeout, first_console_timeout, console_timeout
     125  the guest said nothing: it powered off, reset, or a signal ended it
      77  this host cannot run the guest, and --skip-if-unavailable was given)";

/// "30m", for cards that others have.
CLI::Option* add_wait(CLI::App& app, std::optional<std::chrono::seconds>& wait) {
  const auto take = [&wait](const std::string& text) { wait = parse_duration(text); };
  return app
      .add_option_function<std::string>("--wait", take,
                                        "Wait for cards that others have, in order of arrival, at "
                                        "most this long: 30m, 90s, 1h30m")
      ->type_name("DURATION")
      ->check(CLI::Validator(
          [](const std::string& text) {
            return parse_duration(text)
                       ? ""
                       : fmt::format("{} is no duration such as 90s, 30m or 1h30m", text);
          },
          ""));
}

/// Which pool, for `gpuvm run` and `gpuvm test`.
CLI::Option* add_warm(CLI::App& app, std::string& pool) {
  return app
      .add_option("--warm", pool,
                  "Take a guest that has booted from this pool (gpuvm pool), and plug the "
                  "configuration's cards in")
      ->type_name("POOL")
      ->check(not_empty());
}

}  // namespace

void add_run(CLI::App& app, RunArguments& arguments, Verb& verb) {
  auto* run = app.add_subcommand("run", "Run a guest until it ends");
  add_config_options(*run, arguments.config_file, arguments.overrides);
  auto* dry_run =
      run->add_flag("--dry-run", arguments.dry_run,
                    "Print the configuration, the machine that would run and each check of "
                    "a start; touch no device");
  add_wait(*run, arguments.wait)->excludes(dry_run);
  add_warm(*run, arguments.warm)->excludes(dry_run);
  run->add_option("--inspect-file", arguments.inspect_file,
                  "When the run ends, write the state of the machine to FILE as JSON")
      ->type_name("FILE")
      ->check(written_file());
  run->add_option("--events", arguments.event_file,
                  "Append what happens to the machine, resets too, to FILE as lines of JSON")
      ->type_name("FILE")
      ->check(written_file());
  add_log_options(*run, arguments.log);
  run->footer(std::string(kRunFooter) + kExitStatus + kSeeAlso);
  run->callback([&] { verb = [&] { return run_verb(arguments); }; });
}

void add_test(CLI::App& app, TestArguments& arguments, Verb& verb) {
  auto* test = app.add_subcommand("test", "Run a guest as a job, and say what came of its test");
  add_config_options(*test, arguments.config_file, arguments.overrides);
  test->add_option("COMMAND", arguments.command,
                   "What to run in the guest, behind --; test.command where it is left out")
      ->type_name("");
  test->add_option("--artifacts", arguments.artifacts,
                   "Leave console, log, events and resets in this folder, which is made")
      ->type_name("DIR")
      ->check(written_file());
  test->add_option("--result-json", arguments.result_json, "Write what came of the job to FILE")
      ->type_name("FILE")
      ->check(written_file());
  test->add_option("--junit", arguments.junit,
                   "Write the job and the test cases of its console to FILE as JUnit's XML")
      ->type_name("FILE")
      ->check(written_file());
  auto* skip =
      test->add_flag("--skip-if-unavailable", arguments.skip_if_unavailable,
                     "Where this host cannot run the guest, touch no device and end with 77");
  add_wait(*test, arguments.wait)->excludes(skip);
  add_warm(*test, arguments.warm)->excludes(skip);
  add_log_options(*test, arguments.log);
  test->footer(std::string(kTestFooter) + kSeeAlso);
  test->callback([&] {
    verb = [&] {
      auto status = test_verb(arguments);
      return status ? status : Result<int>(report_as(kJobFault, status.error().to_string()));
    };
  });
}

void add_pool(CLI::App& app, PoolArguments& arguments, Verb& verb) {
  constexpr unsigned kMostGuests = 256;
  auto* pool = app.add_subcommand("pool", "Keep guests booted, for gpuvm test --warm");
  add_config_options(*pool, arguments.config_file, arguments.overrides);
  pool->add_option("--size", arguments.size, "How many guests are to wait, 1 to 256 (default: 1)")
      ->type_name("N")
      ->check(CLI::Range(1U, kMostGuests));
  pool->add_option("--name", arguments.name,
                   "What a job calls the pool; the configuration's name where it is left out")
      ->type_name("POOL")
      ->check(not_empty());
  pool->add_flag(
      "--pin", arguments.pin,
      "Pin the memory of guests that wait: a card is there sooner, and the host's memory "
      "is taken");
  add_log_options(*pool, arguments.log);
  pool->footer(std::string(kPoolFooter) + kSeeAlso);
  pool->callback([&] { verb = [&] { return pool_verb(arguments); }; });
}

}  // namespace gpuvm::cli
