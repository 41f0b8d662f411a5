// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/run/run.hpp"

#include <pthread.h>

#include <memory>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>

#include "firmware/smbios/uuid.hpp"
#include "vmm/api/api_server.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/output_file.hpp"
#include "vmm/base/worst_error.hpp"
#include "vmm/channels/guest_words.hpp"
#include "vmm/console/console.hpp"
#include "vmm/console/console_tap.hpp"
#include "vmm/containment/sandbox_guard.hpp"
#include "vmm/host/descriptor_budget.hpp"
#include "vmm/machine/devices/device_events.hpp"
#include "vmm/machine/hot_plug/card_events.hpp"
#include "vmm/machine/run/clock_timer.hpp"
#include "vmm/machine/run/control_loop.hpp"
#include "vmm/machine/run/event_log.hpp"
#include "vmm/machine/run/guest_entrance.hpp"
#include "vmm/machine/run/machine.hpp"
#include "vmm/service/guest_service.hpp"

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

/// Less waits than for the serial port, whose guest cannot.
ConsoleOptions virtio_console_options(const Config& config) {
  ConsoleOptions options;
  options.name = "virtio console";
  options.serial = config.console.virtio;
  options.output_buffer = 64 << 10;
  return options;
}

Status write_inspect_file(const std::optional<LateOutput>& file, const Machine& machine) {
  if (!file) {
    return {};
  }
  InspectNode root("machine");
  machine.inspect(root);
  TRY_CONTEXT(file->write(root.to_json() + "\n"),
              "Cannot write the state of the machine (inspect)");
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

CardEvents::Handlers card_handlers(ControlLoop& loop) {
  return {.on_error =
              [&loop](const std::string& card, const Error& error) {
                log::error("{}; the guest loses it", error.to_string());
                loop.lose_card(card);
              },
          .on_request =
              [&loop](const std::string& card) {
                log::warn("The host wants {} back: the guest is asked for it", card);
                loop.detach(card, [card](const Status& status) {
                  if (!status) {
                    log::warn("{}: {}", card, status.error().to_string());
                  }
                });
              }};
}

GuestService::Options service_options(const Config& config, ControlLoop& loop) {
  GuestService::Options options;
  options.config = config.systemd;
  options.name = config.name;
  options.id = machine_uuid(config.name).bytes;
  options.ask_worker = [&loop](auto answer) { loop.ask_worker(std::move(answer)); };
  return options;
}

/// What a run is made of. Destroyed from the end: the machine refers to the console, that to the
/// loop.
struct Run {
  /// `what`: to which is added what tells the guest of its channels.
  Run(const Config& what, bool holds_signals)
      : config(what), holds_ending_signals(holds_signals), events(what.name) {}
  Status open(const RunOptions& options);
  Status open_api(const RunOptions& options);
  ConsoleObserver console_observer(const ConsoleObserver& wanted) const;
  void resume_typing();
  Machine::Options machine_options(const RunOptions& options);
  Status open_virtio_console();
  std::size_t write_virtio(std::span<const std::byte> bytes);
  void begin_guest();
  void watch_devices();
  void connect_console();
  void hear_guest();

  Config config;
  const bool holds_ending_signals;
  std::optional<LateOutput> inspect_file;  ///< nothing: nobody wants one
  std::unique_ptr<EventLog> event_file;
  GuestEvents events;
  ControlLoop loop{
      {.on_reboot = config.machine.on_reboot,
       .reboot_backoff = config.machine.reboot_backoff,
       .on_built = [this] { begin_guest(); },
       .before_guest = [this] { guard->enter_worker(); },
       .on_card_in = [this] { card_events.start(); },
       .on_card_out =
           [this](const std::string& device) { card_events.forget(machine->card_name(device)); },
       .holds_ending_signals = holds_ending_signals},
      events};
  std::unique_ptr<SandboxGuard> guard;
  std::unique_ptr<ApiServer> api;         ///< null: nobody is to ask
  std::unique_ptr<GuestService> service;  ///< null: no service manager has started us
  std::unique_ptr<Console> console;
  std::unique_ptr<ConsoleTap> serial_output;
  ConsoleObserver on_console = {};
  std::unique_ptr<ConsoleChannel> virtio_channel;  ///< null: the guest has no virtio console
  std::unique_ptr<Console> virtio_console;
  std::unique_ptr<GuestWords> words;
  std::unique_ptr<WarmGuest> warm;  ///< null: the guest waits for nobody
  ClockTimer clock{loop.context(), [this] { machine->clock_expired(); }};
  std::unique_ptr<Machine> machine;
  bool has_serial = false;  ///< the machine is built
  std::unique_ptr<DeviceEvents> device_events;
  CardEvents card_events{loop.context(), card_handlers(loop)};
  std::unique_ptr<RunningGuest> announced;  ///< while the guest runs
};

/// What it writes to; then the machine, which is not built yet.
Status Run::open(const RunOptions& options) {
  raise_descriptor_limit();
  log::set_guest(config.name);
  service = GuestService::begin(loop.context(), loop, service_options(config, loop));
  event_file = TRY(add_observers(options.event_file, options.observers, events));
  if (!options.inspect_file.empty()) {
    auto opened = LateOutput::open(options.inspect_file, ErrorKind::kHost);
    if (opened) {
      inspect_file = std::move(opened).value();
    } else {  // which costs nobody his guest
      log::warn("The state of the machine (inspect) will be nowhere: {}",
                opened.error().to_string());
    }
  }
  guard = TRY(SandboxGuard::create(loop.context(), events,
                                   [this](Error error) { loop.fail(std::move(error)); }));
  TRY(open_api(options));
  console = TRY(Console::create(loop.context(), console_options(config),
                                {.input =
                                     [this](std::span<const std::byte> bytes) {
                                       return has_serial ? machine->serial().receive(bytes) : 0;
                                     },
                                 .escape = [this] { loop.ask_for_end(kExitEscape); }}));
  on_console = console_observer(options.on_console);
  serial_output = std::make_unique<ConsoleTap>(*console, [this](std::span<const std::byte> bytes) {
    if (on_console) {
      on_console(ConsoleSource::kSerial, bytes);
    }
  });
  if (!config.console.virtio.empty()) {
    TRY(open_virtio_console());
  }
  words = TRY(GuestWords::open(config, events));
  words->announce(config);
  warm = TRY(WarmGuest::create(options.on_warm));
  machine = std::make_unique<Machine>(machine_options(options));
  return {};
}

/// Before there is a machine: who asks is told that it is being built.
Status Run::open_api(const RunOptions& options) {
  ApiServer::Options wanted;
  wanted.guest = api_guest_of(config, options.config_file);
  wanted.type_serial = [this](std::span<const std::byte> bytes) {
    return has_serial ? machine->serial().receive(bytes) : 0;
  };
  if (!config.console.virtio.empty()) {
    wanted.type_virtio = [this](std::span<const std::byte> bytes) {
      return virtio_channel->type(bytes);
    };
  }
  api = TRY(ApiServer::open(loop.context(), loop, config.control, std::move(wanted),
                            options.shares_name));
  if (api) {
    log::debug("The guest's control socket is {}", api->path());
  }
  return {};
}

/// Of vCPU threads: the hubs take a copy and are done.
ConsoleObserver Run::console_observer(const ConsoleObserver& wanted) const {
  if (!api) {
    return wanted;
  }
  return [wanted, serial = api->serial(), virtio = api->virtio()](
             ConsoleSource source, std::span<const std::byte> bytes) {
    (source == ConsoleSource::kSerial ? serial : virtio)->write(bytes);
    if (wanted) {
      wanted(source, bytes);
    }
  };
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
      {.write = [this](std::span<const std::byte> bytes) { return write_virtio(bytes); },
       .input_ready =
           [places = virtio_console.get(), hub = api ? api->virtio() : nullptr] {
             places->resume_input();
             if (hub) {
               hub->resume_input();
             }
           }});
  return {};
}

/// What no place takes yet comes again.
std::size_t Run::write_virtio(std::span<const std::byte> bytes) {
  const std::size_t taken = virtio_console->write_some(bytes);
  if (on_console && taken > 0) {
    on_console(ConsoleSource::kVirtio, bytes.first(taken));
  }
  return taken;
}

Machine::Options Run::machine_options(const RunOptions& options) {
  return {.config = config,
          .console = *serial_output,
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
          .virtio_console = virtio_channel.get(),
          .claims = options.claims,
          .words = words.get(),
          .status_input = warm ? &warm->input() : nullptr,
          .sandbox = guard.get(),
          .owner = options.owner,
          .on_slot_power = [this](std::uint8_t port,
                                  bool is_powered) { loop.slot_switched(port, is_powered); },
          .on_card = [this](const auto& card,
                            const auto& devices) { return card_events.prepare(card, devices); }};
}

/// The machine is built.
void Run::begin_guest() {
  watch_devices();
  connect_console();
  hear_guest();
  announced = announce_guest(config, machine->ssh_key(), machine->vsock_cid());
  if (warm) {
    warm->begin({.post = [this](auto work) { boost::asio::post(loop.context(), std::move(work)); },
                 .renew_generation_id = [this] { return machine->renew_generation_id(); }});
  }
  SandboxGuard::enter_control();
}

void Run::watch_devices() {
  if (const auto started = device_events ? device_events->start() : Status(); !started) {
    loop.fail(started.error());
  }
}

void Run::hear_guest() {
  if (const auto listens = words->listen(machine->vsock_cid()); !listens) {
    loop.fail(listens.error());
  }
}

void Run::connect_console() {
  has_serial = true;
  machine->serial().set_input_ready([this] { resume_typing(); });
  resume_typing();
}

/// The serial port has room for what was typed, wherever that was.
void Run::resume_typing() {
  console->resume_input();
  if (api) {
    api->serial()->resume_input();
  }
}

/// On a thread of its own, which can give up what the calling one needs afterwards: to give files
/// and devices back.
Result<RunResult> run_control_thread(Run& run) {
  std::optional<RunResult> result;
  try {
    std::thread([&run, &result] {
      pthread_setname_np(pthread_self(), "control");
      result = run.loop.run(*run.machine);
    }).join();
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "Cannot start the control thread: {} (`ulimit -u`, or pids.max of the cgroup)",
                error.what());
  }
  return *std::move(result);
}

}  // namespace

RunResult run_machine(const Config& config, const RunOptions& options) {
  Run run(config, options.holds_ending_signals);
  if (const auto opened = run.open(options); !opened) {
    return with_error({}, opened);
  }
  if (options.on_control) {
    options.on_control(run.loop);
  }
  auto ended = run_control_thread(run);
  if (options.on_control && options.on_control_over) {
    options.on_control_over();
  }
  if (!ended) {
    return with_error({}, ended.error());
  }
  RunResult result = std::move(ended).value();
  if (run.api) {
    run.api->finish();
  }
  if (run.has_serial) {
    run.words->finish();
    // A disk that is full says nothing of the guest, whose word and devices the status is about.
    if (const auto written = write_inspect_file(run.inspect_file, *run.machine); !written) {
      log::warn("{}", written.error().to_string());
    }
  }
  run.console->flush(kFlushLimit);
  if (run.virtio_console) {
    run.virtio_console->flush(kFlushLimit);
  }
  SandboxGuard::finish();
  return result;
}

}  // namespace gpuvm
