// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/run.hpp"

#include <sys/resource.h>

#include <fstream>
#include <memory>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/console/console.hpp"
#include "vmm/machine/devices/device_events.hpp"
#include "vmm/machine/run/clock_timer.hpp"
#include "vmm/machine/run/control_loop.hpp"
#include "vmm/machine/run/event_log.hpp"
#include "vmm/machine/run/guest_entrance.hpp"
#include "vmm/machine/run/machine.hpp"

namespace gpuvm {
namespace {

/// Time for a slow reader of the console after the guest's end.
constexpr std::chrono::milliseconds kFlushLimit{2000};
/// Exit status when the escape key ended a guest that did not power off.
constexpr int kExitEscape = 128 + 2;

/// Each vCPU, interrupt vector and doorbell is an open file: 255 vCPUs and the vectors of some
/// cards are more than the usual soft limit, which is for programs that use select(2).
void raise_file_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
      log::debug("The limit of open files stays as it is");
    }
  }
}

ConsoleOptions console_options(const Config& config) {
  ConsoleOptions options;
  options.serial = config.console.serial;
  return options;
}

/// Less waits than for the serial port, whose guest cannot.
ConsoleOptions virtio_console_options(const Config& config) {
  ConsoleOptions options;
  options.name = "virtio console";
  options.serial = config.console.virtio;
  options.output_buffer = 64 << 10;
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

/// What a run is made of. Destroyed from the end: the machine refers to the console, that to the
/// loop.
struct Run {
  explicit Run(const Config& what) : config(what), events(what.name) {}
  Status open(const RunOptions& options);
  Machine::Options machine_options();
  Status open_virtio_console();
  void watch_devices();
  void connect_console();

  const Config& config;
  std::unique_ptr<EventLog> event_file;
  GuestEvents events;
  ControlLoop loop{{.on_reboot = config.machine.on_reboot,
                    .on_built =
                        [this] {
                          watch_devices();
                          connect_console();
                          announced =
                              announce_guest(config, machine->ssh_key(), machine->vsock_cid());
                        }},
                   events};
  std::unique_ptr<Console> console;
  std::unique_ptr<ConsoleChannel> virtio_channel;  ///< null: the guest has no virtio console
  std::unique_ptr<Console> virtio_console;
  ClockTimer clock{loop.context(), [this] { machine->clock_expired(); }};
  std::unique_ptr<Machine> machine;
  bool has_serial = false;  ///< the machine is built
  std::unique_ptr<DeviceEvents> device_events;
  std::unique_ptr<RunningGuest> announced;  ///< while the guest runs
};

/// What it writes to; then the machine, which is not built yet.
Status Run::open(const RunOptions& options) {
  raise_file_limit();
  TRY(add_observers(options, event_file, events));
  console = TRY(Console::create(loop.context(), console_options(config),
                                {.input =
                                     [this](std::span<const std::byte> bytes) {
                                       return has_serial ? machine->serial().receive(bytes) : 0;
                                     },
                                 .escape = [this] { loop.ask_for_end(kExitEscape); }}));
  if (!config.console.virtio.empty()) {
    TRY(open_virtio_console());
  }
  machine = std::make_unique<Machine>(machine_options());
  return {};
}

Status Run::open_virtio_console() {
  virtio_channel = TRY(ConsoleChannel::create());
  ConsoleChannel& channel = *virtio_channel;
  virtio_console = TRY(Console::create(
      loop.context(), virtio_console_options(config),
      {.input = [&channel](std::span<const std::byte> bytes) { return channel.type(bytes); },
       .escape = [this] { loop.ask_for_end(kExitEscape); },
       .output_ready = [&channel] { channel.output_ready(); },
       .resized =
           [&channel](std::uint16_t columns, std::uint16_t rows) {
             channel.resize({columns, rows});
           }}));
  channel.connect(
      {.write = [places = virtio_console.get()](
                    std::span<const std::byte> bytes) { return places->write_some(bytes); },
       .input_ready = [places = virtio_console.get()] { places->resume_input(); }});
  return {};
}

Machine::Options Run::machine_options() {
  return {.config = config,
          .console = *console,
          .requests = loop.requests(),
          .on_vcpu_event = [this](VcpuEvent event,
                                  const std::string& failure) { loop.vcpu_ended(event, failure); },
          .on_failure = [this](Error error) { loop.fail(std::move(error)); },
          .events = events,
          .on_devices = [this](const std::vector<PhysicalDevice*>& devices) -> Status {
            device_events =
                TRY(DeviceEvents::create(loop.context(), devices, device_handlers(loop)));
            return {};
          },
          .arm_clock = [this](auto delay) { clock.arm(delay); },
          .virtio_console = virtio_channel.get()};
}

void Run::watch_devices() {
  if (const auto started = device_events ? device_events->start() : Status(); !started) {
    loop.fail(started.error());
  }
}

void Run::connect_console() {
  has_serial = true;
  machine->serial().set_input_ready([this] { console->resume_input(); });
  console->resume_input();
}

}  // namespace

RunResult run_machine(const Config& config, const RunOptions& options) {
  Run run(config);
  if (const auto opened = run.open(options); !opened) {
    return with_error({}, opened);
  }
  if (options.on_control) {
    options.on_control(run.loop);
  }
  auto result = run.loop.run(*run.machine);
  if (run.has_serial) {
    result = with_error(std::move(result), write_inspect_file(options.inspect_file, *run.machine));
  }
  run.console->flush(kFlushLimit);
  if (run.virtio_console) {
    run.virtio_console->flush(kFlushLimit);
  }
  return result;
}

}  // namespace gpuvm
