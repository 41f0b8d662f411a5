// SPDX-License-Identifier: Apache-2.0
#include "vmm/runner/job_guest.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <sstream>
#include <thread>

#include "vmm/base/file.hpp"
#include "vmm/base/output_file.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/test_report/clean_text.hpp"

namespace gpuvm {
namespace {

using JobClock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kBetweenLooks{100};
constexpr std::size_t kMostTail = 8192;
constexpr std::uint64_t kMostStateFile = 256;

/// Runs gpuvm and keeps its exit status, for whoever comes when nobody is its parent any more. A
/// signal for the session is gpuvm's; the shell only waits on (a trap is not inherited, and a
/// signal that is ignored would be).
constexpr const char* kKeeper =
    "trap : TERM INT HUP; status=$1; shift; \"$@\"; ended=$?\n"
    "echo $ended >\"$status.new\" && mv \"$status.new\" \"$status\"";

/// A TOML string.
Result<std::string> quoted(const std::string& text) {
  const bool is_plain = std::all_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) >= ' ' && c != '"' && c != '\\' && c != '\x7f';
  });
  if (!is_plain) {
    return fail(ErrorKind::kUsage,
                "The folder for jobs has a quote, a backslash or a control "
                "character in its name: choose another one by --state-dir");
  }
  return '"' + text + '"';
}

/// What each job's guest needs for itself, such as boot.vars, can be in the job's folder.
std::string with_folder(std::string text, const std::string& folder) {
  constexpr std::string_view kFolder = "{folder}";
  for (auto at = text.find(kFolder); at != std::string::npos;
       at = text.find(kFolder, at + folder.size())) {
    text.replace(at, kFolder.size(), folder);
  }
  return text;
}

Result<std::vector<std::string>> keeper_arguments(const std::string& folder,
                                                  const JobGuestOptions& options) {
  std::vector<std::string> words = {"/bin/sh", "-c", kKeeper, "sh", folder + "/status"};
  words.insert(words.end(), {options.program, "run"});
  for (const std::string& one : options.overrides) {
    words.insert(words.end(), {"--set", with_folder(one, folder)});
  }
  // Behind the others: these are what the later stages rely on.
  const auto console = TRY(quoted("file:" + folder + "/console.log"));
  words.insert(words.end(), {"--set", "name=" + TRY(quoted(options.name))});
  words.insert(words.end(), {"--set", fmt::format("console.serial=[{}]", console)});
  words.insert(words.end(), {"--events", folder + "/events.jsonl"});
  if (!options.wait.empty()) {
    words.insert(words.end(), {"--wait", options.wait});
  }
  words.push_back(options.config_file);
  return words;
}

Status make_folder(const std::string& folder) {
  std::error_code error;
  std::filesystem::create_directories(std::filesystem::path(folder).parent_path(), error);
  if (error || ::mkdir(folder.c_str(), 0700) != 0) {
    return fail(ErrorKind::kHost,
                "Cannot make the job's folder {}: {}; another one is chosen by "
                "--state-dir",
                folder, error ? error.message() : std::generic_category().message(errno));
  }
  return {};
}

std::string read_state(const std::string& path) {
  const auto bytes = read_file(path, kMostStateFile, ErrorKind::kHost);
  return bytes ? std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size())
               : std::string();
}

}  // namespace

Result<JobGuest> JobGuest::start(const std::string& folder, const JobGuestOptions& options) {
  const auto arguments = TRY(keeper_arguments(folder, options));
  TRY(make_folder(folder));
  const std::string log = folder + "/gpuvm.log";
  const UniqueFd output = TRY(open_output(
      log, {.start = OutputRules::Start::kAppend, .mode = 0600, .kind = ErrorKind::kHost}));
  const pid_t pid =
      TRY(spawn({.arguments = arguments, .output = output.get(), .own_session = true}));
  const JobGuest guest(folder, identify(pid));
  const auto noted = replace_output(
      folder + "/leader", fmt::format("{} {}\n", guest.leader_.pid, guest.leader_.start_time),
      ErrorKind::kHost);
  if (!noted) {
    ::kill(-pid, SIGTERM);
    return noted.error();
  }
  return guest;
}

Result<JobGuest> JobGuest::find(const std::string& folder) {
  std::istringstream text(read_state(folder + "/leader"));
  ProcessIdentity leader;
  if (!(text >> leader.pid >> leader.start_time) || leader.pid <= 1) {
    return fail(ErrorKind::kHost, "No guest was started for this job: there is no {}/leader",
                folder);
  }
  return JobGuest(folder, leader);
}

std::optional<int> JobGuest::exit_status() const {
  const std::string text = read_state(file("status"));
  int status = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), status);
  return error == std::errc{} && end != text.data() ? std::optional(status) : std::nullopt;
}

bool JobGuest::await_end(std::chrono::milliseconds limit) const {
  const auto end = JobClock::now() + limit;
  while (is_running()) {
    if (JobClock::now() >= end) {
      return false;
    }
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return true;
}

bool JobGuest::stop(std::chrono::milliseconds patience, std::chrono::milliseconds limit) const {
  const auto end = JobClock::now() + limit;
  if (!is_running()) {
    return true;
  }
  ::kill(-leader_.pid, SIGTERM);
  // gpuvm takes a second one within half a second for the same.
  if (await_end(std::max(patience, std::chrono::milliseconds(600)))) {
    return true;
  }
  ::kill(-leader_.pid, SIGTERM);
  const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - JobClock::now());
  if (await_end(std::max(left, std::chrono::milliseconds(1000)))) {
    return true;
  }
  ::kill(-leader_.pid, SIGKILL);
  await_end(std::chrono::seconds(10));
  return false;
}

void JobGuest::remove() const {
  std::error_code error;
  std::filesystem::remove_all(folder_, error);
}

std::string JobGuest::tail_of(const std::string& file) {
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct stat info {};
  if (!fd || ::fstat(fd.get(), &info) != 0) {
    return {};
  }
  std::string text(kMostTail, '\0');
  const auto size = static_cast<std::size_t>(info.st_size);
  const ssize_t got = ::pread(fd.get(), text.data(), text.size(),
                              static_cast<off_t>(size - std::min(size, kMostTail)));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (size > kMostTail) {
    text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);  // a part of a line
  }
  return clean_text(text);
}

}  // namespace gpuvm
