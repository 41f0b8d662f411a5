// SPDX-License-Identifier: Apache-2.0
// The only file with <systemd/sd-bus.h>.
#include "vmm/service/machine_registration.hpp"

#include <systemd/sd-bus.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "vmm/base/background_thread.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/result.hpp"
#include "vmm/base/run_process.hpp"
#include "vmm/base/text.hpp"

namespace gpuvm {
namespace {

using BusClock = std::chrono::steady_clock;

constexpr const char* kMachined = "org.freedesktop.machine1";
constexpr const char* kMachinedPath = "/org/freedesktop/machine1";
constexpr const char* kMachinedManager = "org.freedesktop.machine1.Manager";

/// Closed without a flush, which would wait.
struct CloseBus {
  void operator()(sd_bus* bus) const { sd_bus_close_unref(bus); }
};
using Bus = std::unique_ptr<sd_bus, CloseBus>;

struct UnrefMessage {
  void operator()(sd_bus_message* message) const { sd_bus_message_unref(message); }
};
using Message = std::unique_ptr<sd_bus_message, UnrefMessage>;

/// What a call said when it failed.
struct BusError {
  sd_bus_error error{};
  BusError() = default;
  ~BusError() { sd_bus_error_free(&error); }
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
};

std::uint64_t microseconds_of(BusClock::duration time) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(
      0, std::chrono::duration_cast<std::chrono::microseconds>(time).count()));
}

Error bus_error(const char* what, int result) {
  return fail_errno(ErrorKind::kHost, what, -result);
}

/// A bus that has said hello. A call would wait for that without a limit.
Result<Bus> open_bus() {
  sd_bus* opened = nullptr;
  if (const int result = sd_bus_open_system(&opened); result < 0) {
    return bus_error("The system bus cannot be reached", result);
  }
  Bus bus(opened);
  const auto end = BusClock::now() + MachineRegistration::kLimit;
  while (sd_bus_is_ready(bus.get()) == 0) {
    const int done = sd_bus_process(bus.get(), nullptr);
    if (done < 0) {
      return bus_error("The system bus does not answer", done);
    }
    const auto left = microseconds_of(end - BusClock::now());
    if (left == 0) {
      return fail(ErrorKind::kHost, "The system bus does not answer in time");
    }
    if (done == 0) {
      (void)sd_bus_wait(bus.get(), left);
    }
  }
  return bus;
}

Result<Message> new_call(sd_bus& bus, const char* member) {
  sd_bus_message* made = nullptr;
  const int result = sd_bus_message_new_method_call(&bus, &made, kMachined, kMachinedPath,
                                                    kMachinedManager, member);
  if (result < 0) {
    return bus_error("A message for machined cannot be made", result);
  }
  return Message(made);
}

/// What machined made of a call. kNone: it has not said within the limit, and may come to it later.
enum class MachinedAnswer { kDone, kNone };

Result<MachinedAnswer> call(sd_bus& bus, const Message& message, std::chrono::milliseconds limit) {
  BusError failure;
  const int result =
      sd_bus_call(&bus, message.get(), microseconds_of(limit), &failure.error, nullptr);
  if (result >= 0) {
    return MachinedAnswer::kDone;
  }
  if (result == -ETIMEDOUT) {
    return MachinedAnswer::kNone;
  }
  if (failure.error.message == nullptr) {
    return bus_error("machined cannot be asked", result);
  }
  return fail(ErrorKind::kHost, "machined says: {}", terminal_text(failure.error.message));
}

/// RegisterMachine(name, id, service, class, leader, root directory): "sayssus".
Result<MachinedAnswer> register_machine(sd_bus& bus, const MachineRegistration::Machine& machine) {
  const Message message = TRY(new_call(bus, "RegisterMachine"));
  sd_bus_message* const raw = message.get();
  for (const int result :
       {sd_bus_message_append(raw, "s", machine.name.c_str()),
        sd_bus_message_append_array(raw, 'y', machine.id.data(), machine.id.size()),
        sd_bus_message_append(raw, "ssus", "gpuvm", "vm", static_cast<std::uint32_t>(run_process()),
                              "")}) {
    if (result < 0) {
      return bus_error("A message for machined cannot be made", result);
    }
  }
  return call(bus, message, MachineRegistration::kStartLimit);
}

Result<MachinedAnswer> unregister_machine(sd_bus& bus, const std::string& name) {
  const Message message = TRY(new_call(bus, "UnregisterMachine"));
  if (const int result = sd_bus_message_append(message.get(), "s", name.c_str()); result < 0) {
    return bus_error("A message for machined cannot be made", result);
  }
  return call(bus, message, MachineRegistration::kLimit);
}

void tell(std::string_view done, const Result<MachinedAnswer>& answer) {
  log::debug("The guest and machined: {}", !answer ? answer.error().to_string()
                                           : *answer == MachinedAnswer::kDone
                                               ? std::string(done)
                                               : "no answer in time");
}

}  // namespace

MachineRegistration::MachineRegistration(Machine machine, Begin begin)
    : machine_(std::move(machine)), has_begun_(begin == Begin::kAtOnce) {
  try {
    thread_ = std::thread([this] {
      enter_background_thread("machined");
      if (const auto thrown = thrown_by([this] { run(); })) {
        log::warn("The guest may not be registered with machined: {}", *thrown);
      }
    });
  } catch (const std::system_error&) {
    log::debug("The guest is not registered with machined: no thread is left for that");
  }
}

MachineRegistration::~MachineRegistration() {
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void MachineRegistration::begin() {
  {
    const MutexLock lock(mutex_);
    has_begun_ = true;
  }
  changed_.notify_one();
}

/// False: it is over before it has begun.
bool MachineRegistration::wait_for_begin() {
  MutexLock lock(mutex_);
  while (!has_begun_ && !is_ending_) {
    changed_.wait(lock);
  }
  return has_begun_;
}

void MachineRegistration::wait_for_end() {
  MutexLock lock(mutex_);
  while (!is_ending_) {
    changed_.wait(lock);
  }
}

void MachineRegistration::run() {
  if (!wait_for_begin()) {
    return;
  }
  {
    const auto bus = open_bus();
    const Result<MachinedAnswer> answer =
        bus ? register_machine(**bus, machine_) : Result<MachinedAnswer>(Error(bus.error()));
    tell("registered", answer);
    if (!answer) {
      return;  // a machine of that name may be somebody else's
    }
  }  // a bus drops connections that do not read what it sends
  wait_for_end();
  const auto bus = open_bus();
  tell("taken back",
       bus ? unregister_machine(**bus, machine_.name) : Result<MachinedAnswer>(Error(bus.error())));
}

}  // namespace gpuvm
