// SPDX-License-Identifier: Apache-2.0
// gpuvm ps, status, events, metrics, and inspect of a guest that runs.
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

#include "vmm/api_client/guest_finder.hpp"
#include "vmm/api_client/metrics_text.hpp"
#include "vmm/base/text.hpp"
#include "vmm/cli/client/client_verbs.hpp"
#include "vmm/guests/guest_socket.hpp"

namespace gpuvm::cli {
namespace {

constexpr unsigned kHttpOk = 200;
/// Of a list: a guest that hangs must not hold up the others.
constexpr std::chrono::milliseconds kListTime{5000};
/// What has happened already comes at once.
constexpr std::chrono::milliseconds kQuiet{500};
/// Of one guest among many: it has just said how it is, and whoever scrapes waits ten seconds.
constexpr std::chrono::milliseconds kMetricsTime{2000};
constexpr std::uint64_t kMostMetrics = std::uint64_t{16} << 20;

/// What a guest said: control characters of its reach no terminal.
Status print_foreign(std::string_view text) {
  return print(text_for(STDOUT_FILENO, text));
}

Result<std::string> metrics_of(const ListedGuest& guest) {
  const auto found = TRY(reach_guest(run_folders(), guest.path));
  auto answer = TRY_CONTEXT(
      ask(found.connection, "GET", "/v1/metrics", {.time = kMetricsTime, .body = kMostMetrics}),
      guest.name);
  if (answer.status != kHttpOk) {
    return refusal(answer, guest.name);
  }
  return std::move(answer.body);
}

/// As of run_folders(); a warning says what is not among them.
std::vector<ListedGuest> all_guests() {
  const auto folders = run_folders();
  for (const std::string& folder : closed_folders(folders)) {
    std::fprintf(stderr,
                 "gpuvm: warning: this user may not look into %s, and guests there are left out: "
                 "join its group (docs/systemd.md), or be root\n",
                 folder.c_str());
  }
  return list_guests(folders, kListTime);
}

}  // namespace

void let_signals_end_us() {
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
}

Result<std::string> get_from_guest(const std::string& guest, const std::string& target) {
  const auto found = TRY(reach_guest(run_folders(), guest));
  auto answer = TRY_CONTEXT(ask(found.connection, "GET", target), guest);
  if (answer.status != kHttpOk) {
    return refusal(answer, guest);
  }
  return std::move(answer.body);
}

Result<int> ps_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  const auto guests = all_guests();
  TRY(print_foreign(arguments.json ? guest_json(guests) + "\n" : guest_table(guests)));
  return 0;
}

Result<int> status_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  const auto text = TRY(get_from_guest(arguments.guest, "/v1/vm"));
  const auto status = TRY_CONTEXT(VmStatus::parse(text), arguments.guest);
  TRY(print_foreign(arguments.json ? status.json + "\n" : status_text(status)));
  return 0;
}

Result<int> events_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  const auto guest = TRY(reach_guest(run_folders(), arguments.guest));
  LineOptions options;
  if (!arguments.follow) {
    options.quiet = kQuiet;
  }
  Status written;
  const auto answer = TRY_CONTEXT(read_lines(guest.connection, "/v1/events?replay=1", options,
                                             [&](std::string_view line) {
                                               written = print_foreign(fmt::format("{}\n", line));
                                               return written.has_value();
                                             }),
                                  arguments.guest);
  TRY(written);
  if (answer.status != kHttpOk) {
    return refusal(answer, arguments.guest);
  }
  return 0;
}

Result<int> metrics_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  if (!arguments.guest.empty()) {
    TRY(print_foreign(TRY(get_from_guest(arguments.guest, "/v1/metrics"))));
    return 0;
  }
  std::vector<GuestMetrics> texts;
  std::uint64_t size = 0;
  const auto guests = all_guests();
  for (const ListedGuest& guest : guests) {
    auto text =
        guest.status
            ? metrics_of(guest)
            : Result<std::string>(fail(ErrorKind::kHost, "{}: {}", guest.name, guest.problem));
    if (!text) {  // the others' numbers are worth having
      std::fprintf(stderr, "gpuvm: warning: no metrics: %s\n", text.error().to_string().c_str());
      continue;
    }
    size += text->size();
    if (size > kMostMetrics) {
      return fail(ErrorKind::kHost, "The guests' metrics are more than {} bytes", kMostMetrics);
    }
    texts.push_back({.guest = guest.name, .text = std::move(text).value()});
  }
  if (texts.empty() && !guests.empty()) {
    return fail(ErrorKind::kHost, "None of the {} guests that run has told its metrics",
                guests.size());
  }
  TRY(print_foreign(merge_metrics(texts)));
  return 0;
}

bool is_running_guest(const std::string& name) {
  struct stat found {};
  if (::stat(name.c_str(), &found) == 0) {
    return S_ISSOCK(found.st_mode) && name.find('/') != std::string::npos;
  }
  if (!is_guest_name(name)) {
    return false;
  }
  for (const std::string& folder : run_folders()) {
    if (::lstat(fmt::format("{}/{}.sock", folder, name).c_str(), &found) == 0) {
      return true;
    }
  }
  return false;
}

Status check_inspected(const std::string& name) {
  struct stat found {};
  if (::lstat(name.c_str(), &found) == 0 || name.ends_with(".toml") || !is_guest_name(name)) {
    return {};
  }
  return fail(ErrorKind::kConfig,
              "{} is neither a configuration (there is no file of this name here) nor a guest that "
              "runs with a control socket: gpuvm ps lists those",
              name);
}

Result<int> inspect_guest_verb(const ClientArguments& arguments) {
  let_signals_end_us();
  const auto json = TRY(get_from_guest(arguments.guest, "/v1/inspect"));
  const auto text = TRY_CONTEXT(tree_text(json), arguments.guest);
  TRY(print_foreign(arguments.json ? json + (json.ends_with('\n') ? "" : "\n") : text));
  return 0;
}

}  // namespace gpuvm::cli
