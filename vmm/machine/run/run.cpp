// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/run.hpp"

#include <fstream>
#include <initializer_list>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/console/console.hpp"
#include "vmm/machine/devices/device_events.hpp"
#include "vmm/machine/run/control_loop.hpp"
#include "vmm/machine/run/machine.hpp"

namespace gpuvm {
namespace {

/// Time for a slow reader of the console after the guest's end.
constexpr std::chrono::milliseconds kFlushLimit{2000};
/// Exit status when the escape key ended a guest that did not power off.
constexpr int kExitEscape = 128 + 2;

ConsoleOptions console_options(const Config& config) {
  ConsoleOptions options;
  options.serial = config.console.serial;
  return options;
}

Status write_inspect_file(const std::string& path, const Machine& machine) {
  if (path.empty()) {
    return {};
  }
  InspectNode root("machine");
  machine.inspect(root);
  std::ofstream file(path, std::ios::trunc);
  file << root.to_json() << "\n";
  file.close();
  if (!file) {
    return fail(ErrorKind::kHost, "Cannot write {}", path);
  }
  return {};
}

/// What went wrong in the run and in its end, as one outcome.
Result<int> worst_of(Result<int> outcome, std::initializer_list<Status> ends) {
  WorstError errors;
  if (!outcome) {
    errors.add(outcome.error());
  }
  for (const Status& end : ends) {
    errors.add(end);
  }
  TRY(errors.take());
  return outcome;
}

/// From power on to the guest's end.
Result<int> run_guest(Machine& machine, ControlLoop& loop) {
  TRY(machine.power_on());
  return loop.run(machine);
}

DeviceEvents::Handlers device_handlers(ControlLoop& loop) {
  return {.on_error = [&loop](Error error) { loop.fail(std::move(error)); },
          .on_request =
              [&loop](const std::string& function) {
                log::warn("The host wants {} back: the guest is to end", function);
                loop.ask_once_for_end(exit_status(ErrorKind::kHost));
              }};
}

}  // namespace

Result<int> run_machine(const Config& config, const RunOptions& options) {
  ControlLoop loop(config.machine.on_reboot);
  std::unique_ptr<EventLog> events;
  if (!options.event_file.empty()) {
    events = TRY(EventLog::open(options.event_file, config.name));
  }
  Machine* machine_for_input = nullptr;
  auto console = TRY(Console::create(loop.context(), console_options(config),
                                     {.input =
                                          [&machine_for_input](std::span<const std::byte> bytes) {
                                            return machine_for_input == nullptr
                                                       ? 0
                                                       : machine_for_input->serial().receive(bytes);
                                          },
                                      .escape = [&loop] { loop.ask_for_end(kExitEscape); }}));
  auto created = Machine::create(
      {.config = config,
       .console = *console,
       .requests = loop.requests(),
       .on_vcpu_event = [&loop](VcpuEvent event,
                                const std::string& failure) { loop.vcpu_ended(event, failure); },
       .on_failure = [&loop](Error error) { loop.fail(std::move(error)); },
       .is_unwanted = [&loop] { return loop.is_over(); },
       .events = events.get()});
  if (loop.is_over() && (created || created.error().kind() == ErrorKind::kUsage)) {
    return loop.outcome();  // else what went wrong meanwhile is more than that somebody left
  }
  auto machine = TRY(std::move(created));
  auto device_events =
      TRY(DeviceEvents::create(loop.context(), machine->devices(), device_handlers(loop)));
  machine_for_input = machine.get();
  machine->serial().set_input_ready([&console] { console->resume_input(); });
  console->resume_input();
  auto outcome = run_guest(*machine, loop);
  Status stopped = machine->stop();
  outcome = worst_of(std::move(outcome),
                     {std::move(stopped), write_inspect_file(options.inspect_file, *machine)});
  console->flush(kFlushLimit);
  machine_for_input = nullptr;
  device_events.reset();
  machine.reset();
  return outcome;
}

}  // namespace gpuvm
