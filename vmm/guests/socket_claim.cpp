// SPDX-License-Identifier: Apache-2.0
// Who has a control socket's name: its lock, the socket itself, and the removal of a dead one.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "vmm/guests/guest_socket.hpp"

namespace gpuvm {
namespace {

constexpr int kLockAttempts = 8;
/// As long as somebody who looks for dead sockets can have a lock, and more.
constexpr std::chrono::milliseconds kPatienceForLock{1000};
constexpr std::chrono::milliseconds kBetweenLocks{20};
constexpr int kBacklog = 64;

std::string lock_path(const std::string& socket) {
  return socket + ".lock";
}

struct flock whole_lock() {
  struct flock request {};
  request.l_type = F_WRLCK;
  request.l_whence = SEEK_SET;
  return request;
}

bool is_lock_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::lstat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

/// The lock's file, locked, or the errno value of why not: EAGAIN where another process has it.
struct Locked {
  UniqueFd fd = {};
  int error = 0;
};

Locked lock_socket(const std::string& socket) {
  const std::string path = lock_path(socket);
  for (int attempt = 0; attempt < kLockAttempts; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600));
    if (!fd) {
      return {.error = errno};
    }
    struct flock request = whole_lock();
    if (::fcntl(fd.get(), F_OFD_SETLK, &request) != 0) {
      return {.error = errno == EACCES ? EAGAIN : errno};
    }
    if (is_lock_at(fd.get(), path)) {  // nobody has removed it since we opened it
      return {.fd = std::move(fd)};
    }
  }
  return {.error = EAGAIN};
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

Status make_folder_of(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty() || ::mkdir(folder.c_str(), ::geteuid() == 0 ? 0755 : 0700) == 0 ||
      errno == EEXIST) {
    return {};
  }
  return fail_errno(ErrorKind::kHost, "Cannot make the folder of the control socket " + path);
}

/// Under its lock: what a dead gpuvm left.
Status clear_place(const std::string& path) {
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0) {
    return {};
  }
  if (!S_ISSOCK(found.st_mode)) {
    return fail(ErrorKind::kHost,
                "{} is there already and is no socket: remove it, or choose another path", path);
  }
  if (!nobody_listens(path)) {
    return already_there(path);
  }
  return ::unlink(path.c_str()) == 0
             ? Status()
             : Status(fail_errno(ErrorKind::kHost, "Cannot remove the dead socket " + path));
}

}  // namespace

bool remove_dead_socket(const std::string& path) {
  // Not by the claim: it would make a lock's file, and a folder, for any path.
  struct stat found {};
  if (::lstat(path.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode) || !nobody_listens(path)) {
    return false;
  }
  const Locked lock = lock_socket(path);
  if (!lock.fd) {
    return false;
  }
  const bool is_dead = nobody_listens(path) && ::unlink(path.c_str()) == 0;
  ::unlink(lock_path(path).c_str());
  return is_dead;
}

Result<GuestSocketClaim> GuestSocketClaim::take(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorKind::kHost, "{} is too long for a socket, which has at most {} bytes", path,
                sizeof(sockaddr_un::sun_path) - 1);
  }
  TRY(make_folder_of(path));
  const auto end = std::chrono::steady_clock::now() + kPatienceForLock;
  Locked lock = lock_socket(path);
  while (lock.error == EAGAIN && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(kBetweenLocks);
    lock = lock_socket(path);
  }
  if (lock.error == EAGAIN) {
    return already_there(path);
  }
  if (!lock.fd) {
    return fail_errno(ErrorKind::kHost, "Cannot lock " + lock_path(path), lock.error);
  }
  if (auto cleared = clear_place(path); !cleared) {
    ::unlink(lock_path(path).c_str());
    return std::move(cleared).error();
  }
  return GuestSocketClaim(std::move(lock.fd), path);
}

GuestSocketClaim::GuestSocketClaim(GuestSocketClaim&& other) noexcept
    : lock_(std::move(other.lock_)), path_(std::move(other.path_)) {}

GuestSocketClaim::~GuestSocketClaim() {
  if (lock_) {
    ::unlink(path_.c_str());
    ::unlink(lock_path(path_).c_str());  // before the lock goes: a new owner makes a new file
  }
}

Result<UniqueFd> GuestSocketClaim::listen(std::optional<gid_t> group) const {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path_.data(), path_.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot have a socket for " + path_);
  }
  // connect(2) is refused until listen(2), so the rights are in place before anybody can use them.
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make the control socket " + path_);
  }
  if (group && ::lchown(path_.c_str(), static_cast<uid_t>(-1), *group) != 0) {
    return fail_errno(ErrorKind::kHost,
                      fmt::format("Cannot give the control socket {} to the group {} (root, or a "
                                  "member of the group, can)",
                                  path_, *group));
  }
  if (::chmod(path_.c_str(), group ? 0660 : 0600) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot set the rights of the control socket " + path_);
  }
  if (::listen(fd.get(), kBacklog) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot listen at the control socket " + path_);
  }
  return fd;
}

}  // namespace gpuvm
