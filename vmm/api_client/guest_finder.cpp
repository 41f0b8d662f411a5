// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/guest_finder.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>
#include <utility>

#include "vmm/api_client/api_request.hpp"
#include "vmm/base/text.hpp"
#include "vmm/guests/guest_socket.hpp"
#include "vmm/login/running_guest.hpp"

namespace gpuvm {
namespace {

constexpr std::chrono::milliseconds kConnectTime{3000};
/// A guest that hangs is not waited for.
constexpr std::chrono::milliseconds kOwnerTime{2000};
constexpr std::uint64_t kMostStatus = std::uint64_t{256} << 10;
/// Of a list: the queue of one that hangs may be full, which must not take the others' time.
constexpr std::chrono::milliseconds kListConnectTime{100};
/// Guests that are asked at the same time: few enough for RLIMIT_NOFILE.
constexpr std::size_t kAskedAtOnce = 64;
constexpr std::size_t kBufferForNames = 16384;
constexpr std::size_t kMostNamesTold = 16;
constexpr std::chrono::milliseconds kBetweenLooks{100};
constexpr std::int64_t kLongestPoll = 1 << 30;

std::string user_name(uid_t uid) {
  passwd entry{};
  passwd* found = nullptr;
  std::array<char, kBufferForNames> buffer{};
  return ::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr
             ? found->pw_name
             : std::to_string(uid);
}

std::string group_name(gid_t gid) {
  group entry{};
  group* found = nullptr;
  std::array<char, kBufferForNames> buffer{};
  return ::getgrgid_r(gid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr
             ? found->gr_name
             : std::to_string(gid);
}

/// Names of guests with a socket at which somebody may listen; dead ones are removed.
std::vector<std::string> names_of_others(std::span<const std::string> folders) {
  std::vector<std::string> names;
  for (const GuestSocket& socket : list_guest_sockets(folders)) {
    if (names.size() < kMostNamesTold && !remove_dead_socket(socket.path)) {
      names.push_back(socket.name);
    }
  }
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

std::string others_text(std::span<const std::string> folders) {
  const auto names = names_of_others(folders);
  return names.empty() ? "none with a control socket does"
                       : fmt::format("those that do: {}", fmt::join(names, ", "));
}

Error unknown_guest(std::span<const std::string> folders, const std::string& name) {
  for (const GuestRecord& record : running_guests(folders)) {
    if (record.name == name) {
      return fail(ErrorKind::kHost,
                  "The guest {} runs (pid {}) without a control socket where it is looked for: "
                  "[control] socket of its configuration is \"off\", or a path, which can be given "
                  "in place of the name",
                  name, record.pid);
    }
  }
  return fail(ErrorKind::kHost, "No guest named {} runs here; {}", name, others_text(folders));
}

Error not_allowed(const std::string& name, const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0) {
    return fail(ErrorKind::kHost,
                "This user may not look for the control socket of {}: its folder, of {}, is closed "
                "to others",
                name, path);
  }
  const std::string user = user_name(found.st_uid);
  if ((found.st_mode & S_IWGRP) == 0) {
    return fail(ErrorKind::kHost,
                "Only the user {} may use {}: be that user (sudo), or let a group in with "
                "[control] group = \"NAME\" in the guest's configuration",
                user, path);
  }
  const std::string group = group_name(found.st_gid);
  return fail(ErrorKind::kHost,
              "Only the user {} and the group {} may use {}: join the group (usermod -aG {} {}, "
              "then log in anew)",
              user, group, path, group, user_name(::geteuid()));
}

/// Nobody can listen there. Errors: kHost.
Error no_control_socket(const std::string& path, std::string_view what) {
  return fail(ErrorKind::kHost,
              "{} is {}: give the name of a guest, as gpuvm ps lists them, or "
              "its socket's path",
              path, what);
}

/// "" for a socket, and for what cannot be looked at.
std::string_view what_else_is_at(const std::string& path) {
  struct stat found {};
  if (::stat(path.c_str(), &found) != 0 || S_ISSOCK(found.st_mode)) {
    return {};
  }
  return S_ISDIR(found.st_mode)    ? "a folder, and no control socket"
         : S_ISREG(found.st_mode)  ? "a file, and no control socket"
         : S_ISFIFO(found.st_mode) ? "a FIFO, and no control socket"
                                   : "no socket";
}

/// Somebody was there, or is not ready yet.
Error nobody_listens_at(const std::string& name, const std::string& path) {
  if (remove_dead_socket(path)) {
    return fail(ErrorKind::kHost,
                "The guest {} does not run any more: its gpuvm was killed (the socket that it left "
                "is removed; gpuvm unbind gives its devices back)",
                name);
  }
  return fail(ErrorKind::kHost,
              "Nobody listens at {}: the guest is just starting or ending, or was killed, and this "
              "user may not find out (sudo gpuvm ps removes what is left)",
              path);
}

Error no_connection(std::span<const std::string> folders, const std::string& name,
                    const std::string& path, int error) {
  if (const auto other = what_else_is_at(path); !other.empty()) {
    return no_control_socket(path, other);
  }
  switch (error) {
    case ENOENT:
    case ENOTDIR:
      return name == path
                 ? fail(ErrorKind::kHost,
                        "There is no control socket {}: gpuvm ps lists the guests that run", path)
                 : unknown_guest(folders, name);
    case ECONNREFUSED:
      return nobody_listens_at(name, path);
    case EACCES:
    case EPERM:
      return not_allowed(name, path);
    case EPROTOTYPE:
      return no_control_socket(path, "a socket of another kind than a control socket");
    case ENAMETOOLONG:
      return fail(ErrorKind::kHost,
                  "{} is too long for a socket's path (107 bytes): go to its folder, and give "
                  "./NAME.sock",
                  path);
    case ETIMEDOUT:
      return fail(ErrorKind::kHost,
                  "The guest {} takes no connection at {}: its gpuvm hangs, or this host is very "
                  "busy",
                  name, path);
    default:
      return fail_errno(ErrorKind::kHost, "Cannot connect to " + path, error);
  }
}

/// In the first folder that has it; or else in one that this user may not search, which may have
/// it; or else in the last.
std::string path_of(std::span<const std::string> folders, const std::string& name) {
  std::string path;
  std::string closed;
  for (const std::string& folder : folders) {
    path = fmt::format("{}/{}.sock", folder, name);
    struct stat found {};
    if (::lstat(path.c_str(), &found) == 0) {
      return path;
    }
    if (errno == EACCES) {
      closed = path;
    }
  }
  return closed.empty() ? path : closed;
}

struct Question {
  UniqueFd connection = {};
  ListedGuest guest = {};
};

std::string problem_text(int error) {
  switch (error) {
    case EACCES:
    case EPERM:
      return "not allowed";
    case ECONNREFUSED:
      return "not listening";
    default:
      return "no answer";
  }
}

/// Nothing for a dead one.
std::optional<Question> put_question(const GuestSocket& socket, std::chrono::milliseconds limit) {
  Question question{.guest = {.name = socket.name, .path = socket.path}};
  auto connected = connect_to_guest(socket.path, limit);
  if (connected.error == ENOENT ||  // it has ended meanwhile
      (connected.error == ECONNREFUSED && remove_dead_socket(socket.path))) {
    return std::nullopt;
  }
  if (!connected.fd) {
    question.guest.problem = problem_text(connected.error);
  } else if (!send_request(connected.fd, "GET", "/v1/vm", limit)) {
    question.guest.problem = "no answer";
  } else {
    question.connection = std::move(connected.fd);
  }
  return question;
}

void take_answer(Question& question, std::chrono::milliseconds limit) {
  if (!question.connection) {
    return;
  }
  auto answer = receive_answer(question.connection, {.time = limit, .body = kMostStatus});
  question.connection.reset();
  if (!answer) {
    question.guest.problem = "no answer";
    return;
  }
  constexpr unsigned kAnswered = 200;
  constexpr unsigned kForbidden = 403;
  auto status = VmStatus::parse(answer->body);
  if (answer->status == kAnswered && status) {
    question.guest.status = std::move(status).value();
  } else {
    question.guest.problem = answer->status == kForbidden ? "not allowed" : "odd answer";
  }
}

/// 0: there is none, or this user may not know.
pid_t parent_of(pid_t process) {
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string text;
  std::getline(file, text);
  const auto name_end = text.rfind(") ");  // the name may have any characters
  if (name_end == std::string::npos) {
    return 0;
  }
  std::istringstream rest(text.substr(name_end + 2));
  char state = 0;
  pid_t parent = 0;
  return rest >> state >> parent ? parent : 0;
}

}  // namespace

Result<FoundGuest> reach_guest(std::span<const std::string> folders, const std::string& name) {
  const bool is_path = name.find('/') != std::string::npos;
  if (!is_path && !is_guest_name(name)) {
    return fail(
        ErrorKind::kUsage,
        "{} is no name of a guest (1 to 64 characters out of a to z, 0 to 9, \"-\", \"_\" "
        "and \".\", the first one a letter or digit), and no path of a control socket, with "
        "a \"/\"",
        name.empty() ? "\"\"" : terminal_text(name));
  }
  FoundGuest guest{.name = name, .path = is_path ? name : path_of(folders, name)};
  auto connected = connect_to_guest(guest.path, kConnectTime);
  if (!connected.fd) {
    return no_connection(folders, name, guest.path, connected.error);
  }
  guest.connection = std::move(connected.fd);
  guest.pid = peer_process(guest.connection);
  if (guest.pid != 0) {
    guest.process.reset(static_cast<int>(::syscall(SYS_pidfd_open, guest.pid, 0U)));
  }
  return guest;
}

void find_owner(FoundGuest& guest) {
  const auto connected = connect_to_guest(guest.path, kConnectTime);
  if (!connected.fd || guest.pid == 0) {
    return;
  }
  const auto answer = ask(connected.fd, "GET", "/v1/vm", {.time = kOwnerTime, .body = kMostStatus});
  if (!answer) {
    return;
  }
  const auto status = VmStatus::parse(answer->body);
  if (!status || status->monitor_pid != guest.pid || status->pid <= 0) {
    return;
  }
  const auto owner = static_cast<pid_t>(status->pid);
  UniqueFd process(static_cast<int>(::syscall(SYS_pidfd_open, owner, 0U)));
  if (process && parent_of(guest.pid) == owner) {  // in this order: the number is not another's
    guest.owner = owner;
    guest.process = std::move(process);
  }
}

bool is_guest_there(const std::string& path, pid_t pid) {
  const auto connected = connect_to_guest(path, kConnectTime);
  if (!connected.fd) {
    return connected.error == ETIMEDOUT;
  }
  const pid_t now = peer_process(connected.fd);
  return pid == 0 || now == 0 || now == pid;
}

bool wait_for_end(const FoundGuest& guest, std::chrono::milliseconds limit) {
  using EndClock = std::chrono::steady_clock;
  const auto end = EndClock::now() + limit;
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - EndClock::now());
    // Without the process there is nothing that could be waited for.
    const auto step = guest.process ? left : std::min(left, kBetweenLooks);
    pollfd waiting{.fd = guest.process.get(), .events = POLLIN, .revents = 0};
    const auto time = std::clamp<std::int64_t>(step.count(), 0, kLongestPoll);
    if (::poll(&waiting, 1, static_cast<int>(time)) > 0 ||
        (!guest.process && !is_guest_there(guest.path, guest.pid))) {
      return true;
    }
    if (EndClock::now() >= end) {
      return false;
    }
  }
}

AnswerWait wait_for_answer(const FoundGuest& guest, std::chrono::milliseconds limit,
                           const HangLimits& hang) {
  using AnswerClock = std::chrono::steady_clock;
  const auto has_begun = [&guest](std::chrono::milliseconds time) {
    pollfd waiting{.fd = guest.connection.get(), .events = POLLIN, .revents = 0};
    const auto longest = std::clamp<std::int64_t>(time.count(), 0, kLongestPoll);
    return ::poll(&waiting, 1, static_cast<int>(longest)) > 0;
  };
  const auto answers_others = [&guest, time = std::min(limit, hang.answer)] {
    const auto other = connect_to_guest(guest.path, time);
    return other.fd && ask(other.fd, "GET", "/v1/vm", {.time = time});
  };
  const auto end = AnswerClock::now() + limit;
  unsigned silent = 0;  // times in a row
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - AnswerClock::now());
    if (has_begun(std::min(left, hang.before))) {
      return AnswerWait::kCame;
    }
    silent = answers_others() ? 0 : silent + 1;
    if (has_begun(std::chrono::milliseconds(0))) {
      return AnswerWait::kCame;
    }
    const bool is_over = AnswerClock::now() >= end;
    if (silent >= hang.times || (is_over && silent > 0)) {
      return AnswerWait::kHangs;
    }
    if (is_over) {
      return AnswerWait::kTooLate;
    }
  }
}

std::vector<std::string> closed_folders(std::span<const std::string> folders) {
  std::vector<std::string> closed;
  for (const std::string& folder : folders) {
    if (::faccessat(AT_FDCWD, folder.c_str(), R_OK | X_OK, AT_EACCESS) != 0 && errno == EACCES) {
      closed.push_back(folder);
    }
  }
  return closed;
}

std::vector<ListedGuest> list_guests(std::span<const std::string> folders,
                                     std::chrono::milliseconds limit) {
  using FinderClock = std::chrono::steady_clock;
  const auto end = FinderClock::now() + limit;
  const auto sockets = list_guest_sockets(folders);
  std::vector<ListedGuest> guests;
  for (std::size_t begin = 0; begin < sockets.size(); begin += kAskedAtOnce) {
    // Each batch has its share of the time: guests that hang cost those behind them nothing.
    const auto batches = (sockets.size() - begin + kAskedAtOnce - 1) / kAskedAtOnce;
    const auto now = FinderClock::now();
    const auto batch_end =
        now + std::max(end - now, FinderClock::duration(0)) / static_cast<std::int64_t>(batches);
    const auto left = [&batch_end] {
      const auto rest =
          std::chrono::duration_cast<std::chrono::milliseconds>(batch_end - FinderClock::now());
      return std::max(rest, std::chrono::milliseconds(0));  // what has come already is read
    };
    std::vector<Question> questions;
    for (std::size_t i = begin; i < std::min(begin + kAskedAtOnce, sockets.size()); ++i) {
      const auto connect = std::min(left(), kListConnectTime);
      if (auto question = put_question(sockets[i], connect)) {
        questions.push_back(*std::move(question));
      }
    }
    for (Question& question : questions) {
      take_answer(question, left());
      guests.push_back(std::move(question.guest));
    }
  }
  return guests;
}

}  // namespace gpuvm
