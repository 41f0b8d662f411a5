// SPDX-License-Identifier: Apache-2.0
#include "vmm/cli/client/client_verbs.hpp"

#include "vmm/base/duration.hpp"

namespace gpuvm::cli {
namespace {

constexpr const char* kConsoleFooter = R"(Examples:
  gpuvm console render-1            Ctrl-] leaves; the guest runs on, and others may look at the same time
  echo reboot | gpuvm console ci-7  types a line, and shows what comes until the guest has ended)";

constexpr const char* kStopFooter = R"(Examples:
  gpuvm stop render-1                  power button; after 60 s without an effect the guest is ended
  gpuvm stop --timeout 5m render-1     more time for its services
  gpuvm stop --force render-1          at once

Exit status: 0 where the guest has gone, either way; 69 where it is still there.)";

constexpr const char* kPsFooter = R"(Examples:
  gpuvm ps
  gpuvm ps --json | jq -r '.[] | select(.state == "running") | .name')";

constexpr const char* kEventsFooter = R"(Examples:
  gpuvm events render-1             what has happened lately, a JSON object a line
  gpuvm events --follow render-1    and what happens from now on, until the guest has ended
  gpuvm events --host               the guests and cards of this host, and what came of their resets
  gpuvm events --host --follow      and each change of these from now on)";

constexpr const char* kMetricsFooter = R"(Examples:
  gpuvm metrics render-1
  gpuvm metrics --host >/var/lib/node_exporter/gpuvm.prom)";

constexpr const char* kAttachFooter = R"(Examples:
  gpuvm attach render-1 0000:41:00.0   the card with all its functions; comes back when the guest is told
  gpuvm detach render-1 0000:41:00.0   and back: asks the guest, resets the card, gives it to its driver

The guest needs a port that was kept free ([machine] free_ports), and the card in [machine] attachable with
an owner's process (sandbox.owner), or sandbox.mode = "off".)";

constexpr const char* kDetachFooter = R"(Examples:
  gpuvm detach render-1 0000:41:00.0

A guest that does not let go of the card within 30 s loses it all the same.)";

CLI::App& add_guest_verb(CLI::App& app, const char* name, const char* help,
                         ClientArguments& arguments) {
  auto* verb = app.add_subcommand(name, help);
  verb->add_option("GUEST", arguments.guest, "The guest's name, or the path of its control socket")
      ->type_name("")
      ->required();
  return *verb;
}

void add_events(CLI::App& app, ClientArguments& arguments, Verb& verb) {
  auto* events = app.add_subcommand("events", "Print what happens to a running guest, or a host");
  auto* guest = events
                    ->add_option("GUEST", arguments.guest,
                                 "The guest's name, or the path of its control socket")
                    ->type_name("");
  events->add_flag("--follow", arguments.follow, "Go on with what happens from now on");
  events
      ->add_flag("--host", arguments.host,
                 "Of this host: its guests, its cards, and the certificates of their resets")
      ->excludes(guest);
  events->footer(kEventsFooter);
  events->callback([&arguments, &verb] {
    if (!arguments.host && arguments.guest.empty()) {
      throw CLI::RequiredError("GUEST");
    }
    verb = [&arguments] {
      return arguments.host ? host_events_verb(arguments) : events_verb(arguments);
    };
  });
}

void add_metrics(CLI::App& app, ClientArguments& arguments, Verb& verb) {
  auto* metrics = app.add_subcommand("metrics", "Print numbers of running guests for Prometheus");
  auto* guest =
      metrics
          ->add_option("GUEST", arguments.guest,
                       "The guest's name, or the path of its control socket; none: all that run")
          ->type_name("");
  metrics->add_flag("--host", arguments.host, "Of this host's cards, and how many guests there are")
      ->excludes(guest);
  metrics->footer(kMetricsFooter);
  metrics->callback([&arguments, &verb] {
    verb = [&arguments] { return arguments.host ? host_metrics_verb() : metrics_verb(arguments); };
  });
}

void add_watching(CLI::App& app, ClientArguments& arguments, Verb& verb) {
  auto* ps = app.add_subcommand("ps", "List the guests that run");
  ps->add_flag("--json", arguments.json, "Print JSON instead of a table");
  ps->footer(kPsFooter);
  ps->callback([&] { verb = [&] { return ps_verb(arguments); }; });
  auto& status = add_guest_verb(app, "status", "Say what a running guest is and does", arguments);
  status.add_flag("--json", arguments.json, "Print JSON instead of text");
  status.callback([&] { verb = [&] { return status_verb(arguments); }; });
  add_events(app, arguments, verb);
  add_metrics(app, arguments, verb);
}

void add_steering(CLI::App& app, ClientArguments& arguments, Verb& verb) {
  auto& console = add_guest_verb(app, "console", "Attach to a running guest's console", arguments);
  console.add_flag("--virtio", arguments.virtio, "Its virtio console instead of its serial one");
  console.footer(kConsoleFooter);
  console.callback([&] { verb = [&] { return console_verb(arguments); }; });
  auto& stop = add_guest_verb(app, "stop", "End a running guest, and wait for that", arguments);
  auto* force = stop.add_flag("--force", arguments.force, "Without its consent, at once");
  stop.add_option_function<std::string>(
          "--timeout",
          [&arguments](const std::string& text) {
            const auto time = parse_duration(text);
            if (!time) {
              throw CLI::ValidationError("--timeout",
                                         text + " is no duration such as 90s, 30m or 1h30m");
            }
            arguments.timeout = *time;
          },
          "How long it may take to power off by itself (default: 60s)")
      ->type_name("DURATION")
      ->excludes(force);
  stop.footer(kStopFooter);
  stop.callback([&] { verb = [&] { return stop_verb(arguments); }; });
  const auto add = [&](const char* name, const char* help, const char* request) {
    add_guest_verb(app, name, help, arguments).callback([&arguments, &verb, request] {
      verb = [&arguments, request] { return steer_verb(arguments, request); };
    });
  };
  add("pause", "Pause a running guest", "pause");
  add("resume", "Let a paused guest go on", "resume");
  add("reboot", "Press a running guest's reset button", "reset");
  add("power-button", "Press a running guest's power button", "power-button");
}

void add_cards(CLI::App& app, ClientArguments& arguments, Verb& verb) {
  const auto add = [&](const char* name, const char* help, const char* footer) {
    auto& moved = add_guest_verb(app, name, help, arguments);
    moved
        .add_option("BDF", arguments.device,
                    "The card's address, such as 0000:01:00.0, or a vfio-user server's socket")
        ->type_name("")
        ->required();
    moved.footer(footer);
    moved.callback([&arguments, &verb, name] {
      verb = [&arguments, name] { return card_verb(arguments, name); };
    });
  };
  add("attach", "Give a running guest a card", kAttachFooter);
  add("detach", "Take a card that was attached from a running guest", kDetachFooter);
}

}  // namespace

void add_client_verbs(CLI::App& app, ClientArguments& arguments, Verb& verb) {
  add_watching(app, arguments, verb);
  add_steering(app, arguments, verb);
  add_cards(app, arguments, verb);
}

}  // namespace gpuvm::cli
