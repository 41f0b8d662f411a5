// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/run.hpp"

#include <fstream>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/console/console.hpp"
#include "vmm/machine/devices/device_events.hpp"
#include "vmm/machine/run/control_loop.hpp"
#include "vmm/machine/run/event_log.hpp"
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

/// A run that could not begin, or whose end went wrong in another way, too.
RunResult with_error(RunResult result, const Status& status) {
  WorstError errors;
  if (result.error) {
    errors.add(Error(*result.error));
  }
  errors.add(status);
  if (auto worst = errors.take(); !worst) {
    result.end = result.error ? result.end : RunEnd::kFailed;
    result.exit_status = exit_status(worst.error().kind());
    result.error = std::move(worst).error();
  }
  return result;
}

DeviceEvents::Handlers device_handlers(ControlLoop& loop) {
  return {.on_error = [&loop](Error error) { loop.fail(std::move(error)); },
          .on_request =
              [&loop](const std::string& function) {
                log::warn("The host wants {} back: the guest is to end", function);
                loop.ask_once_for_end(exit_status(ErrorKind::kHost));
              }};
}

/// Observers, and where the user wants it a file.
Status add_observers(const RunOptions& options, std::unique_ptr<EventLog>& file,
                     GuestEvents& events) {
  if (!options.event_file.empty()) {
    file = TRY(EventLog::open(options.event_file));
    events.add([log = file.get()](const GuestEvent& event) { log->write(event); });
  }
  for (const GuestObserver& observer : options.observers) {
    events.add(observer);
  }
  return {};
}

/// The guest's console; `machine` has no serial port before it is built.
Result<std::unique_ptr<Console>> open_console(const Config& config, ControlLoop& loop,
                                              Machine* const& machine) {
  return Console::create(loop.context(), console_options(config),
                         {.input =
                              [&machine](std::span<const std::byte> bytes) {
                                return machine == nullptr ? 0 : machine->serial().receive(bytes);
                              },
                          .escape = [&loop] { loop.ask_for_end(kExitEscape); }});
}

}  // namespace

RunResult run_machine(const Config& config, const RunOptions& options) {
  std::unique_ptr<EventLog> event_file;
  GuestEvents events(config.name);
  if (const auto added = add_observers(options, event_file, events); !added) {
    return with_error({}, added);
  }
  Machine* with_serial = nullptr;  // the machine, once it has a serial port
  std::unique_ptr<Machine> machine;
  std::unique_ptr<Console> console;
  ControlLoop loop({.on_reboot = config.machine.on_reboot,
                    .on_built =
                        [&] {
                          with_serial = machine.get();
                          machine->serial().set_input_ready([&] { console->resume_input(); });
                          console->resume_input();
                        }},
                   events);
  if (auto opened = open_console(config, loop, with_serial); opened) {
    console = std::move(opened).value();
  } else {
    return with_error({}, std::move(opened).error());
  }
  std::unique_ptr<DeviceEvents> device_events;
  machine = std::make_unique<Machine>(Machine::Options{
      .config = config,
      .console = *console,
      .requests = loop.requests(),
      .on_vcpu_event = [&loop](VcpuEvent event,
                               const std::string& failure) { loop.vcpu_ended(event, failure); },
      .on_failure = [&loop](Error error) { loop.fail(std::move(error)); },
      .events = events,
      .on_devices = [&](const std::vector<PhysicalDevice*>& devices) -> Status {
        device_events = TRY(DeviceEvents::create(loop.context(), devices, device_handlers(loop)));
        return {};
      }});
  if (options.on_control) {
    options.on_control(loop);
  }
  auto result = loop.run(*machine);
  if (with_serial != nullptr) {
    result = with_error(std::move(result), write_inspect_file(options.inspect_file, *machine));
  }
  console->flush(kFlushLimit);
  with_serial = nullptr;
  device_events.reset();
  machine.reset();  // it refers to the console
  console.reset();  // it refers to the loop
  return result;
}

}  // namespace gpuvm
