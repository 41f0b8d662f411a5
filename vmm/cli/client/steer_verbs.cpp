// SPDX-License-Identifier: Apache-2.0
// gpuvm stop, pause, resume, reboot, power-button, attach and detach.
#include <algorithm>
#include <chrono>
#include <cstdio>

#include "vmm/api_client/guest_finder.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/cli/client/client_verbs.hpp"
#include "vmm/guests/guest_socket.hpp"

namespace gpuvm::cli {
namespace {

constexpr unsigned kNoContent = 204;
/// Devices are reset and verified meanwhile, which takes minutes where they are many.
constexpr std::chrono::minutes kSteerTime{10};
/// From "devices are quiet" to the end of the process: memory is given back, drivers bound.
constexpr std::chrono::seconds kEndTime{120};
/// A wait that is longer than this is told.
constexpr std::chrono::seconds kQuietTime{3};
/// One that refuses to end may be about to end all the same.
constexpr std::chrono::seconds kRefusedTime{1};

/// A request that gpuvm answers at once; one that does not within this time hangs.
constexpr std::chrono::seconds kPromptTime{30};

using SteerClock = std::chrono::steady_clock;

Error hangs(const FoundGuest& guest) {
  const std::string process = guest.pid == 0 ? "PID" : std::to_string(guest.pid);
  return fail(ErrorKind::kHost,
              "{}: Its gpuvm (pid {}) does not answer at its control socket: it hangs, is stopped, "
              "or this host is very busy. `kill -9 {}` ends it whatever it does; `gpuvm unbind` "
              "resets its devices then, and gives them back",
              guest.name, process, process);
}

/// Errors: kHost and kWrongState, with what the guest said.
Status put_at(const FoundGuest& guest, const std::string& target, std::chrono::milliseconds time) {
  TRY_CONTEXT(send_request(guest.connection, "PUT", target, kPromptTime), guest.name);
  switch (wait_for_answer(guest, time)) {
    case AnswerWait::kHangs:
      return hangs(guest);
    case AnswerWait::kTooLate:
      return fail(ErrorKind::kHost,
                  "{}: It is not done within {} s: see `gpuvm events {}`, and the log of its gpuvm",
                  guest.name, std::chrono::ceil<std::chrono::seconds>(time).count(), guest.name);
    case AnswerWait::kCame:
      break;
  }
  const auto answer =
      TRY_CONTEXT(receive_answer(guest.connection, {.time = kPromptTime}), guest.name);
  return answer.status == kNoContent ? Status() : Status(refusal(answer, guest.name));
}

Status put(const FoundGuest& guest, const std::string& request, std::chrono::milliseconds time) {
  return put_at(guest, "/v1/vm/" + request, time);
}

/// As it may stand in a query. Errors: kUsage.
Result<std::string> device_text(const std::string& device) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-";
  constexpr std::size_t kLongest = 256;
  if (const auto bdf = Bdf::parse(device)) {
    return bdf->to_string();
  }
  if (device.starts_with('/') && device.size() <= kLongest &&
      device.find_first_not_of(kAllowed) == std::string::npos) {
    return device;
  }
  return fail(
      ErrorKind::kUsage,
      "{} is neither a PCI address such as 0000:01:00.0 (`gpuvm devices` lists them) nor the "
      "absolute path of a server's socket",
      device);
}

/// A connection is for one request.
Status put_anew(const FoundGuest& guest, const std::string& request,
                std::chrono::milliseconds time) {
  auto again = TRY(reach_guest(run_folders(), guest.path));
  again.name = guest.name;
  return put(again, request, time);
}

/// A paused guest goes on for it, as it does for a signal that asks gpuvm to end.
Status press_power_button(const FoundGuest& guest, std::chrono::milliseconds time) {
  auto pressed = put(guest, "power-button", time);
  if (pressed || pressed.error().kind() != ErrorKind::kWrongState ||
      !put_anew(guest, "resume", time)) {
    return pressed;
  }
  return put_anew(guest, "power-button", time);
}

/// `asked`: what came of the request to stop. Whatever it was, what counts is whether the guest
/// goes.
Status await_end(const FoundGuest& guest, Status asked) {
  if (wait_for_end(guest, asked ? kQuietTime : kRefusedTime)) {
    return {};
  }
  if (!asked && asked.error().kind() != ErrorKind::kWrongState &&
      is_guest_there(guest.path, guest.pid)) {
    return asked;  // it said no, and runs on
  }
  std::fprintf(stderr, "gpuvm: waiting up to %lld s for the gpuvm of %s to end\n",
               static_cast<long long>(kEndTime.count()), guest.name.c_str());
  if (wait_for_end(guest, kEndTime)) {
    return {};
  }
  TRY(std::move(asked));
  const pid_t pid = guest.owner == 0 ? guest.pid : guest.owner;
  return fail(ErrorKind::kHost,
              "The guest {} has stopped, and its gpuvm{} is still there after {} s: see its log",
              guest.name, pid == 0 ? "" : fmt::format(" (pid {})", pid), kEndTime.count());
}

}  // namespace

Result<int> steer_verb(const ClientArguments& arguments, const std::string& request) {
  let_signals_end_us();
  TRY(put(TRY(reach_guest(run_folders(), arguments.guest)), request,
          request == "reset" ? kSteerTime : std::chrono::milliseconds(kPromptTime)));
  return 0;
}

Result<int> card_verb(const ClientArguments& arguments, const std::string& request) {
  let_signals_end_us();
  const auto device = TRY(device_text(arguments.device));
  TRY(put_at(TRY(reach_guest(run_folders(), arguments.guest)),
             fmt::format("/v1/{}?device={}", request, device), kSteerTime));
  return 0;
}

Result<int> stop_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  auto guest = TRY(reach_guest(run_folders(), arguments.guest));
  find_owner(guest);
  if (arguments.force) {
    TRY(await_end(guest, put(guest, "stop", kSteerTime)));
    return 0;
  }
  const auto end = SteerClock::now() + arguments.timeout;
  // ask() wants some time for an answer that comes at once.
  constexpr std::chrono::seconds kLeast{1};
  const auto time = std::clamp<std::chrono::milliseconds>(arguments.timeout, kLeast, kPromptTime);
  auto pressed = press_power_button(guest, time);
  if (!pressed && is_guest_there(guest.path, guest.pid)) {
    if (pressed.error().kind() != ErrorKind::kWrongState) {
      return pressed.error();  // which --force would meet, too
    }
    return fail(pressed.error().kind(), "{} (gpuvm stop --force ends it whatever it does)",
                pressed.error().to_string());
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - SteerClock::now());
  if (wait_for_end(guest, std::max(left, std::chrono::milliseconds(0)))) {
    return 0;
  }
  auto again = reach_guest(run_folders(), guest.path);  // a connection is for one request
  if (!again || again->pid != guest.pid) {  // its socket has gone: its devices are given back
    TRY(await_end(guest, Status()));
    return 0;
  }
  std::fprintf(stderr, "gpuvm: the guest %s has not powered off within %lld s: it is ended\n",
               arguments.guest.c_str(), static_cast<long long>(arguments.timeout.count()));
  again->name = guest.name;
  TRY(await_end(guest, put(*again, "stop", kSteerTime)));
  return 0;
}

}  // namespace gpuvm::cli
