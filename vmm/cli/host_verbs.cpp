// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/host_verbs.hpp"

#include <string>

#include "vmm/cli/options.hpp"

namespace gpuvm::cli {
namespace {

constexpr const char* kCheckFooter = R"(Examples:
  gpuvm check                    this host, and each GPU of it
  gpuvm check guest.toml         all that this guest needs
  gpuvm check --json | jq '.lines[] | select(.level == "fail")'

Run it as root: the kernel hides much of devices from others.

Exit status: 0 where nothing fails, else that of the worst line: 69 the host, 75 a device without a
safe reset, 78 the configuration.)";

constexpr const char* kDevicesFooter = R"(Examples:
  gpuvm devices --tree               the map of IOMMU groups, to paste where you ask for help
  gpuvm devices --gpu                GPUs, whether a guest can have them, and what to write for that
  gpuvm devices --save host.json     save what is known of this host for somebody else
  gpuvm devices --snapshot host.json --gpu)";

void add_host_options(CLI::App& app, HostChoice& from) {
  auto* sysfs =
      app.add_option("--sysfs", from.sysfs, "Look at a copy of another host's /sys, or of its /")
          ->type_name("DIR")
          ->check(not_empty());
  app.add_option("--snapshot", from.snapshot,
                 "Look at another host, which gpuvm devices --save has saved in FILE")
      ->type_name("FILE")
      ->check(not_empty())
      ->excludes(sysfs);
}

}  // namespace

void add_check(CLI::App& app, CheckArguments& arguments, Verb& verb) {
  auto* check = app.add_subcommand("check", "Check this host, and say what cures what is wrong");
  check->add_option("CONFIG", arguments.config_file, "Check it for this guest; see gpuvm.toml(5)")
      ->type_name("")
      ->check(not_empty());
  check->add_option("--set", arguments.overrides, "Change a key of CONFIG; repeatable")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->needs("CONFIG");
  check->add_flag("--json", arguments.json, "Print JSON instead of text");
  add_host_options(*check, arguments.from);
  check->footer(kCheckFooter);
  check->callback([&] { verb = [&] { return check_verb(arguments); }; });
}

void add_devices(CLI::App& app, DevicesArguments& arguments, Verb& verb) {
  auto* devices =
      app.add_subcommand("devices", "List PCI devices by IOMMU group, and which can be passed");
  auto* gpus = devices->add_flag("--gpu", arguments.gpus, "Only groups with a GPU");
  auto* tree = devices->add_flag("--tree", arguments.tree, "Print the groups as a tree of names");
  auto* json = devices->add_flag("--json", arguments.json, "Print JSON instead of text");
  json->excludes(tree);
  devices
      ->add_option("--save", arguments.save,
                   "Save what is known of the host in a new FILE, without names and numbers of "
                   "people and machines, instead of printing it")
      ->type_name("FILE")
      ->check(not_empty())
      ->excludes(gpus)  // a host is saved as a whole
      ->excludes(tree)
      ->excludes(json);
  add_host_options(*devices, arguments.from);
  devices->footer(kDevicesFooter);
  devices->callback([&] { verb = [&] { return devices_verb(arguments); }; });
}

}  // namespace gpuvm::cli
