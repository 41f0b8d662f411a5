// SPDX-License-Identifier: Apache-2.0
// Who has a control socket's name: its lock, the socket itself, and the removal of a dead one.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "vmm/base/trusted_folder.hpp"
#include "vmm/guests/guest_socket.hpp"

namespace gpuvm {
namespace {

constexpr int kLockAttempts = 8;
/// As long as somebody who looks for dead sockets can have a lock, and more.
constexpr std::chrono::milliseconds kPatienceForLock{1000};
constexpr std::chrono::milliseconds kBetweenLocks{20};
constexpr int kBacklog = 64;
constexpr std::string_view kLockSuffix = ".lock";

std::string lock_name(const std::string& socket) {
  return fmt::format("{}{}", socket, kLockSuffix);
}

std::string folder_of(const std::string& path) {
  return std::filesystem::path(path).parent_path();
}

std::string file_of(const std::string& path) {
  return std::filesystem::path(path).filename();
}

struct flock whole_lock() {
  struct flock request {};
  request.l_type = F_WRLCK;
  request.l_whence = SEEK_SET;
  return request;
}

bool is_lock_at(int fd, int folder, const std::string& name) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 &&
         ::fstatat(folder, name.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/// A file of another user's, who has put it where all may write, is none that we would lock.
bool is_ours(int fd) {
  struct stat found {};
  return ::fstat(fd, &found) == 0 && S_ISREG(found.st_mode) &&
         (found.st_uid == ::geteuid() || found.st_uid == 0 || ::geteuid() == 0);
}

/// The lock's file, locked, or the errno value of why not: EAGAIN where another process has it.
struct Locked {
  UniqueFd fd = {};
  int error = 0;
};

Locked lock_socket(int folder, const std::string& file) {
  const std::string name = lock_name(file);
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    UniqueFd fd(::openat(folder, name.c_str(),
                         O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, 0600));
    if (!fd) {
      return {.error = errno};
    }
    if (!is_ours(fd.get())) {
      return {.error = EPERM};
    }
    struct flock request = whole_lock();
    if (::fcntl(fd.get(), F_OFD_SETLK, &request) != 0) {
      return {.error = errno == EACCES ? EAGAIN : errno};
    }
    if (is_lock_at(fd.get(), folder, name)) {  // nobody has removed it since we opened it
      return {.fd = std::move(fd)};
    }
  }
  return {.error = EAGAIN};
}

/// Another process has the lock, which is not asked for.
bool is_locked_by_other(int folder, const std::string& file) {
  const UniqueFd fd(::openat(folder, lock_name(file).c_str(),
                             O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY));
  struct flock request = whole_lock();
  return fd && ::fcntl(fd.get(), F_OFD_GETLK, &request) == 0 && request.l_type != F_UNLCK;
}

/// Under its lock. An old gpuvm, or none of gpuvm's, may listen without a lock.
bool nobody_listens(const std::string& socket) {
  const auto connection = connect_to_guest(socket, std::chrono::milliseconds(0));
  return connection.error == ECONNREFUSED || connection.error == ENOENT;
}

Error already_there(const std::string& path) {
  const auto connection = connect_to_guest(path, std::chrono::milliseconds(0));
  const pid_t pid = connection.fd ? peer_process(connection.fd) : 0;
  return fail(ErrorKind::kHost,
              "Another guest has the control socket {}{}: give this one another name, or stop that "
              "one",
              path, pid == 0 ? "" : fmt::format(" (pid {})", pid));
}

enum class SocketPlace { kFree, kSocket, kOther };

SocketPlace look_at_place(int folder, const std::string& file) {
  struct stat found {};
  if (::fstatat(folder, file.c_str(), &found, AT_SYMLINK_NOFOLLOW) != 0) {
    return SocketPlace::kFree;
  }
  return S_ISSOCK(found.st_mode) ? SocketPlace::kSocket : SocketPlace::kOther;
}

/// What is at the path is no hindrance, or a dead socket.
Status check_place(int folder, const std::string& path) {
  switch (look_at_place(folder, file_of(path))) {
    case SocketPlace::kFree:
      return {};
    case SocketPlace::kOther:
      return fail(ErrorKind::kHost,
                  "{} is there already and is no socket: remove it, or choose another path", path);
    case SocketPlace::kSocket:
      return nobody_listens(path) ? Status() : Status(already_there(path));
  }
  return {};
}

/// Under its lock: what a dead gpuvm left.
Status clear_place(int folder, const std::string& path) {
  TRY(check_place(folder, path));
  return ::unlinkat(folder, file_of(path).c_str(), 0) == 0 || errno == ENOENT
             ? Status()
             : Status(fail_errno(ErrorKind::kHost, "Cannot remove the dead socket " + path));
}

Status check_length(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorKind::kHost, "{} is too long for a socket, which has at most {} bytes", path,
                sizeof(sockaddr_un::sun_path) - 1);
  }
  return {};
}

}  // namespace

bool remove_dead_socket(const std::string& path) {
  // Not by the claim: it would make a lock's file, and a folder, for any path.
  const auto folder = open_trusted_folder(folder_of(path));
  const std::string file = file_of(path);
  if (!folder || !*folder || look_at_place(folder->get(), file) != SocketPlace::kSocket ||
      !nobody_listens(path)) {
    return false;
  }
  const Locked lock = lock_socket(folder->get(), file);
  if (!lock.fd) {
    return false;
  }
  const bool is_dead = look_at_place(folder->get(), file) == SocketPlace::kSocket &&
                       nobody_listens(path) && ::unlinkat(folder->get(), file.c_str(), 0) == 0;
  ::unlinkat(folder->get(), lock_name(file).c_str(), 0);
  return is_dead;
}

Status check_socket_folder(const std::string& path) {
  const std::string place = folder_of(path);
  const UniqueFd folder = TRY_CONTEXT(open_trusted_folder(place), "The control socket " + path);
  if (folder) {
    return ::faccessat(folder.get(), ".", W_OK | X_OK, AT_EACCESS) == 0
               ? Status()
               : Status(fail_errno(ErrorKind::kHost, "Cannot make the control socket " + path));
  }
  // It would be made.
  const std::string above = folder_of(place);
  return ::faccessat(AT_FDCWD, above.empty() ? "." : above.c_str(), W_OK | X_OK, AT_EACCESS) == 0
             ? Status()
             : Status(fail_errno(ErrorKind::kHost,
                                 "Cannot make the folder of the control socket " + path));
}

Status check_socket_place(const std::string& path) {
  TRY(check_length(path));
  TRY(check_socket_folder(path));
  const UniqueFd folder = TRY(open_trusted_folder(folder_of(path)));
  if (!folder) {
    return {};
  }
  if (is_locked_by_other(folder.get(), file_of(path))) {
    return already_there(path);
  }
  return check_place(folder.get(), path);
}

Result<GuestSocketClaim> GuestSocketClaim::take(const std::string& path) {
  TRY(check_length(path));
  UniqueFd folder = TRY_CONTEXT(make_trusted_folder(folder_of(path)), "The control socket " + path);
  const std::string file = file_of(path);
  const auto end = std::chrono::steady_clock::now() + kPatienceForLock;
  Locked lock = lock_socket(folder.get(), file);
  while (lock.error == EAGAIN && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kBetweenLocks);
    lock = lock_socket(folder.get(), file);
  }
  if (lock.error == EAGAIN) {
    return already_there(path);
  }
  if (!lock.fd) {
    return fail_errno(ErrorKind::kHost, "Cannot lock " + lock_name(path), lock.error);
  }
  if (auto cleared = clear_place(folder.get(), path); !cleared) {
    ::unlinkat(folder.get(), lock_name(file).c_str(), 0);
    return std::move(cleared).error();
  }
  return GuestSocketClaim(std::move(folder), std::move(lock.fd), path);
}

GuestSocketClaim::GuestSocketClaim(GuestSocketClaim&& other) noexcept
    : folder_(std::move(other.folder_)),
      lock_(std::move(other.lock_)),
      path_(std::move(other.path_)) {}

GuestSocketClaim::~GuestSocketClaim() {
  if (lock_) {
    const std::string file = file_of(path_);
    ::unlinkat(folder_.get(), file.c_str(), 0);
    // Before the lock goes: a new owner makes a new file.
    ::unlinkat(folder_.get(), lock_name(file).c_str(), 0);
  }
}

/// By its name below the folder: at the path there may be another one meanwhile.
Status GuestSocketClaim::set_rights(std::optional<gid_t> group) const {
  const std::string file = file_of(path_);
  if (look_at_place(folder_.get(), file) != SocketPlace::kSocket) {
    return fail(ErrorKind::kHost,
                "The control socket {} is not where it was made: its folder was replaced", path_);
  }
  if (group && ::fchownat(folder_.get(), file.c_str(), static_cast<uid_t>(-1), *group,
                          AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot give the control socket {} to the group {} (root, or a "
                                  "member of the group, can)",
                                  path_, *group));
  }
  // Linux has no fchmodat() that follows no link before 6.6; glibc makes one by /proc.
  if (::fchmodat(folder_.get(), file.c_str(), group ? 0660 : 0600, AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set the rights of the control socket " + path_);
  }
  return {};
}

Result<UniqueFd> GuestSocketClaim::listen(std::optional<gid_t> group) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot have a socket for " + path_);
  }
  // Linux gives the socket's file this mode, less the umask. And connect(2) is refused until
  // listen(2), so the rights are in place before anybody can use them.
  ::fchmod(fd.get(), 0600);
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make the control socket " + path_);
  }
  TRY(set_rights(group));
  if (::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot listen at the control socket " + path_);
  }
  return fd;
}

}  // namespace gpuvm
