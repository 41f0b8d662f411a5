// SPDX-License-Identifier: Apache-2.0
// gpuvm's command line: CLI11 takes it apart here, verbs/ does the work. One line on standard error
// for an error; its kind gives the exit status (sysexits numbers, see ErrorKind).
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <iostream>
#include <span>
#include <string>
#include <vector>

#include "vmm/cli/client/client_verbs.hpp"
#include "vmm/cli/convert_command.hpp"
#include "vmm/cli/gitlab_command.hpp"
#include "vmm/cli/guest_verbs.hpp"
#include "vmm/cli/host_verbs.hpp"
#include "vmm/cli/options.hpp"
#include "vmm/cli/text_verbs.hpp"
#include "vmm/cli/verbs/verbs.hpp"
#include "vmm/cli/wrong_verb.hpp"
#include "vmm/machine/run/run.hpp"

namespace gpuvm::cli {
namespace {

constexpr const char* kDescription =
    "gpuvm runs Linux guests that own GPUs and other PCI devices of the host, on KVM and VFIO.";

constexpr const char* kFooter = R"(Examples:
  gpuvm check                                  is this host ready, and what cures it where it is not
  gpuvm devices --gpu                          which GPUs are there, and can a guest have them
  gpuvm validate guest.toml                    check a configuration
  virsh dumpxml NAME | gpuvm convert -         make one of a libvirt domain
  gpuvm check guest.toml                       does this host have all that the guest needs
  gpuvm run --dry-run guest.toml               say what would be run, and touch no device
  gpuvm inspect guest.toml                     show the machine, and how its devices would be reset
  gpuvm run guest.toml                         run it; Ctrl-] presses its power button
  gpuvm run --set machine.cpus=4 guest.toml    run it with one key changed
  gpuvm run --wait 30m guest.toml              run it as soon as its card is free
  gpuvm test guest.toml -- make check          run it as a job: its exit status is the test's
  gpuvm pool --size 4 ci.toml                  keep guests booted for gpuvm test --warm
  gpuvm ps                                     which guests run
  gpuvm console render-1                       attach to the console of one, Ctrl-] leaves it
  gpuvm stop render-1                          power it off, and wait for that
  gpuvm ssh render-1 -- nvidia-smi             run a command in it
  gpuvm unbind                                 give devices back after a crash
  gpuvm dump fdt guest.toml                    show the machine as the guest's EFI firmware sees it
  gpuvm reset 0000:01:00.0                     make a device fit for the next guest
  gpuvm test-reset --cycles 100 0000:01:00.0   find out whether a card can be reset
  gpuvm report 0000:01:00.0 card.json          save what the developers want to know of a card
  gpuvm rom dump 0000:01:00.0 gpu.rom          save a card's option ROM)";

constexpr const char* kInspectFooter = R"(Examples:
  gpuvm inspect guest.toml    what would run, and how each device would be reset and why
  gpuvm inspect render-1      the machine of a guest that runs, as it is now
  gpuvm inspect --json guest.toml | jq .)";

constexpr const char* kResetFooter = R"(Examples:
  gpuvm reset 0000:01:00.0                       reset, check, give back
  gpuvm reset --first slot-power 0000:01:00.0    for a card that no reset brings back)";

constexpr const char* kTestResetFooter = R"(Examples:
  gpuvm test-reset 0000:01:00.0
  gpuvm test-reset --cycles 100 --json 0000:01:00.0 >resets.jsonl)";

constexpr const char* kUnbindFooter = R"(Examples:
  gpuvm unbind                 all devices that a gpuvm took and did not give back
  gpuvm unbind 0000:01:00.0    this one)";

constexpr const char* kDumpFooter = R"(Examples:
  gpuvm dump fdt guest.toml
  gpuvm dump fdt --set boot.mode=efi-handover guest.toml | dtc -I dts -O dtb -o guest.dtb)";

constexpr const char* kReportFooter = R"(Examples:
  gpuvm report 0000:01:00.0 card.json                what can be known without touching the card
  gpuvm report --cycles 10 0000:01:00.0 card.json    with what VFIO says, and ten resets
  gpuvm report --show card.json                      what a report says, and what is made of it today
  gpuvm report --show card.json --lspci guest >dump && lspci -F dump -vv)";

constexpr const char* kSshFooter = R"TEXT(Examples:
  gpuvm ssh render-1                     a shell in the guest named render-1, as root
  gpuvm ssh me@render-1 -- nvidia-smi    a command, whose exit status becomes this one's
  rsync -e "$(gpuvm ssh --print render-1)" FILE render-1:)TEXT";

constexpr const char* kRomFooter = R"(Examples:
  gpuvm rom dump 0000:01:00.0 gpu.rom    save it, for pci.rom of a guest
  gpuvm rom show gpu.rom                 what is in it)";

void add_validate(CLI::App& app, ValidateArguments& arguments, Verb& verb) {
  auto* validate = app.add_subcommand("validate", "Check a configuration, and nothing else");
  add_config_options(*validate, arguments.config_file, arguments.overrides);
  validate->callback([&] { verb = [&] { return validate_verb(arguments); }; });
}

void add_inspect(CLI::App& app, InspectArguments& arguments, Verb& verb) {
  auto* inspect = app.add_subcommand(
      "inspect", "Show the machine that would run, and how devices are reset; or one that runs");
  add_config_options(*inspect, arguments.config_file, arguments.overrides);
  inspect->get_option("CONFIG")->description(
      "The guest's configuration, a TOML file; or the name of a guest that runs");
  inspect->footer(kInspectFooter);
  inspect->add_flag("--json", arguments.json, "Print JSON instead of text");
  inspect->callback([&] { verb = [&] { return inspect_verb(arguments); }; });
}

void add_unbind(CLI::App& app, UnbindArguments& arguments, Verb& verb) {
  auto* unbind = app.add_subcommand("unbind", "Give devices back to their drivers after a crash");
  unbind
      ->add_option("BDF", arguments.addresses,
                   "PCI addresses such as 0000:01:00.0; none: all that were left behind")
      ->type_name("");
  unbind->add_flag("--force", arguments.force,
                   "Give dirty devices back as they are, without a reset and a check");
  add_log_options(*unbind, arguments.log);
  unbind->footer(kUnbindFooter);
  unbind->callback([&] { verb = [&] { return unbind_verb(arguments); }; });
}

void add_dump(CLI::App& app, DumpArguments& arguments, Verb& verb) {
  auto* dump = app.add_subcommand("dump", "Print what a guest would be given, and run nothing");
  dump->require_subcommand(1);
  dump->footer(kDumpFooter);
  auto* fdt =
      dump->add_subcommand("fdt", "The device tree of boot.mode = \"efi-handover\", as source");
  add_config_options(*fdt, arguments.config_file, arguments.overrides);
  fdt->callback([&] { verb = [&] { return dump_fdt_verb(arguments); }; });
}

void add_slots(CLI::App& app, std::vector<std::string>& addresses) {
  app.add_option("BDF", addresses,
                 "PCI addresses such as 0000:01:00.0; each stands for all functions of its slot")
      ->type_name("")
      ->required();
}

void add_reset(CLI::App& app, ResetArguments& arguments, Verb& verb) {
  auto* reset = app.add_subcommand("reset", "Reset devices, check them and give them back");
  add_slots(*reset, arguments.addresses);
  reset
      ->add_option("--first", arguments.first,
                   "Before the reset: slot-power switches the slot off and on, rescan takes the "
                   "functions out of the kernel and finds them again")
      ->type_name("METHOD")
      ->check(CLI::IsMember({"slot-power", "rescan"}));
  add_log_options(*reset, arguments.log);
  reset->footer(kResetFooter);
  reset->callback([&] { verb = [&] { return reset_verb(arguments); }; });
}

void add_test_reset(CLI::App& app, TestResetArguments& arguments, Verb& verb) {
  constexpr unsigned kMostCycles = 1000000;
  auto* test = app.add_subcommand("test-reset", "Test whether devices can be reset");
  add_slots(*test, arguments.addresses);
  test->add_option("--cycles", arguments.cycles,
                   "How often to open, use, reset and check (default: 10)")
      ->type_name("N")
      ->check(CLI::Range(1U, kMostCycles));
  test->add_flag("--json", arguments.json, "Print a JSON object per line instead of text");
  add_log_options(*test, arguments.log);
  test->footer(kTestResetFooter);
  test->callback([&] { verb = [&] { return test_reset_verb(arguments); }; });
}

void add_report(CLI::App& app, ReportArguments& arguments, Verb& verb) {
  constexpr unsigned kMostCycles = 1000;
  auto* report = app.add_subcommand("report", "Save what the developers want to know of a card");
  report
      ->add_option("BDF", arguments.words,
                   "PCI addresses such as 0000:01:00.0, each for all functions of its slot, and "
                   "then FILE, which must be new")
      ->type_name("FILE");
  report
      ->add_option("--cycles", arguments.cycles,
                   "Also open the functions, and reset them N times as test-reset does; 1 to 1000")
      ->type_name("N")
      ->check(CLI::Range(1U, kMostCycles));
  report->add_option("--show", arguments.show, "Print what the report in FILE says, instead")
      ->type_name("FILE")
      ->check(not_empty());
  report
      ->add_option("--lspci", arguments.lspci,
                   "With --show: configuration spaces for lspci -F, of the hardware or as a guest "
                   "sees them")
      ->type_name("hardware|guest")
      ->check(CLI::IsMember({"hardware", "guest"}))
      ->needs("--show");
  add_log_options(*report, arguments.log);
  report->footer(kReportFooter);
  report->callback([&] { verb = [&] { return report_verb(arguments); }; });
}

void add_ssh(CLI::App& app, SshArguments& arguments, Verb& verb) {
  constexpr unsigned kLongestWait = 86400;
  auto* ssh = app.add_subcommand("ssh", "Get into a running guest by ssh");
  ssh->add_option("GUEST", arguments.guest, "The guest's name, or USER@NAME; without USER, root")
      ->type_name("")
      ->required();
  ssh->add_option("COMMAND", arguments.command,
                  "What to run in the guest, behind --; a shell where it is left out")
      ->type_name("");
  ssh->add_option("--wait", arguments.wait,
                  "Seconds to wait for the guest's sshd while the guest still boots (default: 60)")
      ->type_name("SECONDS")
      ->check(CLI::Range(0U, kLongestWait));
  ssh->add_flag("--print", arguments.print,
                "Print the command line of ssh instead, for scp, rsync and the like");
  ssh->footer(kSshFooter);
  ssh->callback([&] { verb = [&] { return ssh_verb(arguments); }; });
}

void add_vsock_connect(CLI::App& app, VsockConnectArguments& arguments, Verb& verb) {
  auto* connect = app.add_subcommand("vsock-connect", "");
  connect->group("");  // not shown: ssh starts it
  connect->add_option("CID", arguments.cid)->type_name("")->required();
  connect->add_option("PORT", arguments.port)->type_name("")->required();
  connect->callback([&] { verb = [&] { return vsock_connect_verb(arguments); }; });
}

void add_rom(CLI::App& app, RomArguments& arguments, Verb& verb) {
  auto* rom = app.add_subcommand("rom", "Look at option ROMs, and save them from devices");
  rom->require_subcommand(1);
  auto* show = rom->add_subcommand("show", "List the images of a ROM file, or of a device's ROM");
  show->add_option("SOURCE", arguments.source, "A file, or a PCI address such as 0000:01:00.0")
      ->type_name("")
      ->required()
      ->check(not_empty());
  show->callback([&] { verb = [&] { return rom_show_verb(arguments); }; });
  auto* dump = rom->add_subcommand("dump", "Save a device's ROM in a new file");
  dump->add_option("BDF", arguments.source, "A PCI address such as 0000:01:00.0")
      ->type_name("")
      ->required();
  dump->add_option("FILE", arguments.output, "The file")
      ->type_name("")
      ->required()
      ->check(not_empty());
  dump->callback([&] { verb = [&] { return rom_dump_verb(arguments); }; });
  auto* trim = rom->add_subcommand("trim", "Cut off what lies before the first image");
  trim->add_option("IN", arguments.source, "A ROM file, as a vendor's tool wrote it")
      ->type_name("")
      ->required()
      ->check(not_empty());
  trim->add_option("OUT", arguments.output, "The new file")
      ->type_name("")
      ->required()
      ->check(not_empty());
  trim->callback([&] { verb = [&] { return rom_trim_verb(arguments); }; });
  rom->footer(kRomFooter);
}

int report(ErrorKind kind, std::string message) {
  return report_as(exit_status(kind), std::move(message));
}

int run_command_line(int argc, const char* const* argv) {
  RunArguments run;
  TestArguments test;
  PoolArguments pool;
  ValidateArguments validate;
  ConvertArguments convert;
  DevicesArguments devices;
  CheckArguments check;
  UnbindArguments unbind;
  DumpArguments dump;
  InspectArguments inspect;
  ResetArguments reset;
  TestResetArguments test_reset;
  ReportArguments card_report;
  RomArguments rom;
  SshArguments ssh;
  VsockConnectArguments vsock;
  ClientArguments client;
  GitlabArguments gitlab;
  CompletionArguments completion;
  Verb verb;
  CLI::App app(kDescription, "gpuvm");
  app.set_version_flag("--version", "gpuvm " GPUVM_VERSION);
  // One verb: a word behind it that is the name of another ("gpuvm test CONFIG make check") is its
  // own.
  app.require_subcommand(0, 1);
  add_run(app, run, verb);
  add_test(app, test, verb);
  add_pool(app, pool, verb);
  add_validate(app, validate, verb);
  add_convert(app, convert, verb);
  add_inspect(app, inspect, verb);
  add_check(app, check, verb);
  add_devices(app, devices, verb);
  add_unbind(app, unbind, verb);
  add_dump(app, dump, verb);
  add_reset(app, reset, verb);
  add_test_reset(app, test_reset, verb);
  add_report(app, card_report, verb);
  add_rom(app, rom, verb);
  add_client_verbs(app, client, verb);
  add_ssh(app, ssh, verb);
  add_vsock_connect(app, vsock, verb);
  add_gitlab_executor(app, gitlab, verb);
  add_schema(app, verb);
  add_completion(app, completion, verb);
  app.footer(std::string(kFooter) + kExitStatus + kSeeAlso);  // last: verbs would take it over
  const std::span words(argv, static_cast<std::size_t>(argc));
  if (const auto wrong = wrong_verb(app, words.subspan(std::min<std::size_t>(words.size(), 1)))) {
    return report(ErrorKind::kUsage, *wrong);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      const int status = app.exit(error);  // --help and --version
      std::cout.flush();
      return std::cout ? status : report(ErrorKind::kHost, "Cannot write to standard output");
    }
    const auto verbs = app.get_subcommands();
    const auto text = fmt::format("{} (see gpuvm {} --help)", error.what(),
                                  verbs.empty() ? "[VERB]" : verbs.front()->get_name());
    return app.got_subcommand("test") ? report_as(kJobFault, text)
                                      : report(ErrorKind::kUsage, text);
  }
  if (!verb) {  // "gpuvm --"
    return report(ErrorKind::kUsage, wrong_verb(app, {}).value_or(""));
  }
  const auto status = verb();
  return status ? *status : report(status.error().kind(), status.error().to_string());
}

/// Of what is given back much would stay with the process: each thread would have blocks of its
/// own, and what has been as large as a kernel once would be taken from the heap the next time.
void keep_heap_small() {
  constexpr int kArenas = 2;
  constexpr int kMapped = 256 * 1024;  // bytes; from here on blocks are mapped
  ::mallopt(M_ARENA_MAX, kArenas);
  ::mallopt(M_MMAP_THRESHOLD, kMapped);
}

}  // namespace
}  // namespace gpuvm::cli

int main(int argc, char** argv) {
  // Before all else: they would end the process, and wait until the control loop takes them.
  gpuvm::hold_requests_by_signal();
  gpuvm::cli::keep_heap_small();
  try {
    return gpuvm::cli::run_command_line(argc, argv);
  } catch (const std::exception& error) {
    // Nothing of ours throws; this is memory exhaustion, or a bug.
    return gpuvm::cli::report(gpuvm::ErrorKind::kInternal, error.what());
  }
}
