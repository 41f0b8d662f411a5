// SPDX-License-Identifier: Apache-2.0
#include "vmm/login/running_guest.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/trusted_folder.hpp"
#include "vmm/host/state_file.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kGuestPrefix = "guest-";
constexpr std::string_view kGuestSuffix = ".run";
constexpr std::string_view kKnownHostsSuffix = ".known_hosts";
constexpr std::size_t kLongestRecord = 16384;
constexpr int kOpenAttempts = 8;

std::string record_name(std::string_view name) {
  return fmt::format("{}{}{}", kGuestPrefix, name, kGuestSuffix);
}

std::string known_hosts_name(std::string_view name) {
  return fmt::format("{}{}{}", kGuestPrefix, name, kKnownHostsSuffix);
}

/// Of the whole file; for who has it open, whatever else has.
struct flock whole_file() {
  struct flock request {};
  request.l_type = F_WRLCK;
  request.l_whence = SEEK_SET;
  return request;
}

/// Its owner lives.
bool is_locked(int fd) {
  struct flock request = whole_file();
  return ::fcntl(fd, F_OFD_GETLK, &request) == 0 && request.l_type != F_UNLCK;
}

bool is_file_at(int fd, int folder, const std::string& name) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 &&
         ::fstatat(folder, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/// In a folder where others may have files of their own, theirs could lead ssh elsewhere.
bool is_of_owner(int fd) {
  struct stat found {};
  return ::fstat(fd, &found) == 0 && S_ISREG(found.st_mode) &&
         (found.st_uid == ::geteuid() || found.st_uid == 0);
}

std::string read_record(int fd) {
  std::string text(kLongestRecord, '\0');
  const ssize_t got = ::pread(fd, text.data(), text.size(), 0);
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  return text;
}

template <class Number>
Number number_in(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? value : Number{0};
}

void take_line(std::string_view key, const std::string& value, GuestRecord& record) {
  if (key == "name") {
    record.name = value;
  } else if (key == "pid") {
    record.pid = number_in<long>(value);
  } else if (key == "address") {
    record.address = value;
  } else if (key == "port") {
    record.port = number_in<std::uint16_t>(value);
  } else if (key == "cid") {
    record.cid = number_in<std::uint32_t>(value);
  } else if (key == "key") {
    record.key = value;
  } else if (key == "known_hosts") {
    record.known_hosts = value;
  }
}

Error announced_already(int fd, const std::string& name) {
  const auto record = GuestRecord::parse(read_record(fd));
  return fail(ErrorKind::kHost, "A guest named {} runs already{}", name,
              record ? fmt::format(" (gpuvm, pid {})", record->pid) : "");
}

/// A new one, or one that a gpuvm left which is gone; locked. Errors: kHost.
Result<UniqueFd> open_record(int folder, const std::string& path, const std::string& name) {
  const std::string file = record_name(name);
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    UniqueFd fd(::openat(folder, file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
      return fail_errno(ErrorKind::kHost, "Cannot open " + path);
    }
    if (!is_of_owner(fd.get())) {
      return fail(ErrorKind::kHost, "{} belongs to another user: remove it", path);
    }
    struct flock request = whole_file();
    if (::fcntl(fd.get(), F_OFD_SETLK, &request) != 0) {
      return announced_already(fd.get(), name);
    }
    if (is_file_at(fd.get(), folder, file)) {  // nobody has removed it since we opened it
      return fd;
    }
  }
  return fail(ErrorKind::kHost, "{} keeps being replaced by another process", path);
}

/// What ssh has noted of an earlier guest of this name is not about this one.
Status empty_file(int folder, const std::string& file, const std::string& path) {
  ::unlinkat(folder, file.c_str(), 0);
  const UniqueFd fd(
      ::openat(folder, file.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
  return fd ? Status() : Status(fail_errno(ErrorKind::kHost, "Cannot make " + path));
}

std::optional<std::string> runtime_folder() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it
  const char* const runtime = ::getenv("XDG_RUNTIME_DIR");
  return runtime != nullptr && runtime[0] == '/' ? std::optional(fmt::format("{}/gpuvm", runtime))
                                                 : std::nullopt;
}

}  // namespace

std::string GuestRecord::to_text() const {
  return fmt::format("name={}\npid={}\naddress={}\nport={}\n{}key={}\nknown_hosts={}\n{}\n", name,
                     pid, address, port, cid ? fmt::format("cid={}\n", *cid) : "", key, known_hosts,
                     kStateEnd);
}

std::optional<GuestRecord> GuestRecord::parse(std::string_view text) {
  GuestRecord record;
  std::istringstream lines{std::string(text)};
  for (std::string line; std::getline(lines, line);) {
    if (line == kStateEnd) {
      return record.name.empty() ? std::nullopt : std::optional(std::move(record));
    }
    if (const auto equals = line.find('='); equals != std::string::npos) {
      take_line(std::string_view(line).substr(0, equals), line.substr(equals + 1), record);
    }
  }
  return std::nullopt;
}

std::optional<std::string> guest_folder(const HostSystem& host) {
  return may_write_state(host) ? std::optional(host.path(kStateDirectory)) : runtime_folder();
}

std::vector<std::string> guest_folders(const HostSystem& host) {
  std::vector<std::string> folders;
  const auto add = [&folders](std::string folder) {
    if (const auto trusted = open_trusted_folder(folder); !trusted) {
      log::warn("No guest is looked for there: {}", trusted.error().to_string());
      return;
    }
    folders.push_back(std::move(folder));
  };
  add(host.path(kStateDirectory));
  if (auto runtime = runtime_folder()) {
    add(*std::move(runtime));
  }
  return folders;
}

Result<RunningGuest> RunningGuest::announce(const std::string& folder, GuestRecord record) {
  UniqueFd place = TRY(make_trusted_folder(folder));
  const std::string path = fmt::format("{}/{}", folder, record_name(record.name));
  UniqueFd fd = TRY(open_record(place.get(), path, record.name));
  const std::string known_hosts = known_hosts_name(record.name);
  record.known_hosts = fmt::format("{}/{}", folder, known_hosts);
  TRY(empty_file(place.get(), known_hosts, record.known_hosts));
  const std::string text = record.to_text();
  if (::ftruncate(fd.get(), 0) != 0 ||
      ::pwrite(fd.get(), text.data(), text.size(), 0) != static_cast<ssize_t>(text.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + path);
  }
  return RunningGuest(std::move(place), std::move(fd), record.name);
}

RunningGuest::RunningGuest(RunningGuest&& other) noexcept
    : folder_(std::move(other.folder_)), fd_(std::move(other.fd_)), name_(std::move(other.name_)) {}

RunningGuest::~RunningGuest() {
  if (fd_) {
    ::unlinkat(folder_.get(), known_hosts_name(name_).c_str(), 0);
    // Before the lock goes: a new owner makes a new file.
    ::unlinkat(folder_.get(), record_name(name_).c_str(), 0);
  }
}

void RunningGuest::forget_killed(const std::string& folder, const std::string& name) {
  auto place = open_trusted_folder(folder);
  if (!place) {
    return;
  }
  const std::string file = record_name(name);
  UniqueFd fd(::openat(place->get(), file.c_str(), O_RDWR | O_CLOEXEC | O_NOFOLLOW));
  struct flock request = whole_file();
  if (fd && is_of_owner(fd.get()) && ::fcntl(fd.get(), F_OFD_SETLK, &request) == 0 &&
      is_file_at(fd.get(), place->get(), file)) {
    const RunningGuest gone(std::move(place).value(), std::move(fd), name);  // its files go with it
  }
}

std::vector<GuestRecord> running_guests(std::span<const std::string> folders) {
  std::vector<GuestRecord> guests;
  for (const std::string& folder : folders) {
    std::error_code error;
    for (std::filesystem::directory_iterator it(folder, error), end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().filename();
      if (!name.starts_with(kGuestPrefix) || !name.ends_with(kGuestSuffix)) {
        continue;
      }
      const UniqueFd fd(::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
      if (!fd || !is_of_owner(fd.get()) || !is_locked(fd.get())) {
        continue;
      }
      if (auto record = GuestRecord::parse(read_record(fd.get()))) {
        guests.push_back(*std::move(record));
      }
    }
  }
  std::sort(guests.begin(), guests.end(),
            [](const auto& one, const auto& other) { return one.name < other.name; });
  return guests;
}

}  // namespace gpuvm
