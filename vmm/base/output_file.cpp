// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/output_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <utility>

namespace gpuvm {
namespace {

/// How often a name may come and go between two looks at it.
constexpr int kAttempts = 4;
/// Of the name that a temporary one begins with; file systems take 255 bytes.
constexpr std::size_t kNameKept = 200;

struct Split {
  std::string folder;
  std::string name;
};

Split split(const std::string& path) {
  const auto slash = path.rfind('/');
  if (slash == std::string::npos) {
    return {.folder = ".", .name = path};
  }
  return {.folder = slash == 0 ? "/" : path.substr(0, slash), .name = path.substr(slash + 1)};
}

/// Links there are the kernel's (/dev/stdout) or root's (/dev/serial/by-id/…).
bool is_kernel_path(const std::string& path) {
  return (path.starts_with("/dev/") && !path.starts_with("/dev/shm/")) ||
         path.starts_with("/proc/");
}

Result<UniqueFd> open_folder(const Split& parts, const std::string& path, ErrorKind kind) {
  if (parts.name.empty() || parts.name == "." || parts.name == "..") {
    return fail(kind, "{} names a folder, and a file is needed: add the file's name", path);
  }
  UniqueFd folder(::open(parts.folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    return fail_errno(kind, fmt::format("Cannot open the folder of {}", path));
  }
  return folder;
}

Error cannot_open(const std::string& path, ErrorKind kind) {
  switch (errno) {
    case ELOOP:
      return fail(kind, "{} is a symbolic link, and none is followed: name its target", path);
    case ENXIO:
      return fail(kind, "{} is a FIFO that nobody reads, or a socket: start its reader first",
                  path);
    default:
      return fail_errno(kind, "Cannot write " + path);
  }
}

Status check_regular(const struct stat& info, const std::string& path, ErrorKind kind) {
  if (info.st_nlink > 1) {
    return fail(kind,
                "{} has a second name (hard link), under which it may be somebody else's: remove "
                "it, or name another file",
                path);
  }
  return {};
}

/// As the kernel's fs.protected_regular has it, which is off on many hosts and for many folders.
Status check_owner(const struct stat& info, int folder, const std::string& path, ErrorKind kind) {
  struct stat above {};
  if (::fstat(folder, &above) != 0) {
    return fail_errno(kind, "Cannot examine the folder of " + path);
  }
  if (info.st_uid == ::geteuid() || info.st_uid == 0 || info.st_uid == above.st_uid) {
    return {};
  }
  return fail(kind,
              "{} belongs to user {}, who is neither gpuvm's nor the owner of its folder: remove "
              "it, or name another file",
              path, info.st_uid);
}

/// What was there before and is to be written to.
Status check_found(int fd, int folder, const std::string& path, const OutputRules& rules) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return fail_errno(rules.kind, "Cannot examine " + path);
  }
  const bool is_stream = S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode) || S_ISSOCK(info.st_mode);
  if (!S_ISREG(info.st_mode) && !(is_stream && rules.stream)) {
    return fail(rules.kind, "{} is no file that can be written to: name another", path);
  }
  if (folder < 0 || S_ISCHR(info.st_mode)) {
    return {};
  }
  if (S_ISREG(info.st_mode)) {
    TRY(check_regular(info, path, rules.kind));
  }
  return check_owner(info, folder, path, rules.kind);
}

/// The file at the place, found or made. Between the two looks others may make or remove it.
Result<UniqueFd> find_or_make(int folder, const std::string& name, const std::string& path,
                              int flags, const OutputRules& rules) {
  for (int i = 0; i < kAttempts; ++i) {
    UniqueFd made(
        ::openat(folder, name.c_str(), flags | O_CREAT | O_EXCL | O_NOFOLLOW, rules.mode));
    if (made) {
      return made;
    }
    if (errno != EEXIST) {
      return cannot_open(path, rules.kind);
    }
    UniqueFd found(::openat(folder, name.c_str(), flags | O_NOFOLLOW));
    if (found) {
      TRY(check_found(found.get(), folder, path, rules));
      return found;
    }
    if (errno != ENOENT) {
      return cannot_open(path, rules.kind);
    }
  }
  return fail(rules.kind, "{} comes and goes: somebody else uses that name, so name another", path);
}

Result<UniqueFd> open_kernel_path(const std::string& path, int flags, const OutputRules& rules) {
  UniqueFd fd(::open(path.c_str(), flags | O_CREAT, rules.mode));
  if (!fd) {
    return cannot_open(path, rules.kind);
  }
  TRY(check_found(fd.get(), -1, path, rules));
  return fd;
}

Status empty_file(int fd, const std::string& path, ErrorKind kind) {
  struct stat info {};
  if (::fstat(fd, &info) != 0 || (S_ISREG(info.st_mode) && ::ftruncate(fd, 0) != 0)) {
    return fail_errno(kind, "Cannot empty " + path);
  }
  return {};
}

/// "" where there are no random numbers.
std::string random_name(const std::string& name) {
  std::uint64_t number = 0;
  if (::getrandom(&number, sizeof number, 0) != static_cast<ssize_t>(sizeof number)) {
    return {};
  }
  return fmt::format(".{}.{:016x}.new", std::string_view(name).substr(0, kNameKept), number);
}

void wait_until_writable(int fd) {
  pollfd one = {.fd = fd, .events = POLLOUT, .revents = 0};
  ::poll(&one, 1, -1);
}

bool is_stream_path(const std::string& path) {
  struct stat info {};
  return is_kernel_path(path) ||
         (::lstat(path.c_str(), &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISCHR(info.st_mode)));
}

}  // namespace

Result<UniqueFd> open_output(const std::string& path, const OutputRules& rules) {
  const bool append = rules.start == OutputRules::Start::kAppend;
  // O_NONBLOCK: a FIFO without a reader is an error rather than a wait.
  const int flags = O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC | (append ? O_APPEND : 0);
  UniqueFd fd;
  if (is_kernel_path(path)) {
    fd = TRY(open_kernel_path(path, flags, rules));
  } else {
    const Split parts = split(path);
    const UniqueFd folder = TRY(open_folder(parts, path, rules.kind));
    fd = TRY(find_or_make(folder.get(), parts.name, path, flags, rules));
  }
  if (!append) {
    TRY(empty_file(fd.get(), path, rules.kind));
  }
  if (!rules.nonblocking && ::fcntl(fd.get(), F_SETFL, append ? O_APPEND : 0) != 0) {
    return fail_errno(rules.kind, "Cannot write " + path);
  }
  return fd;
}

Status write_output(int fd, std::string_view text, const std::string& name) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EAGAIN) {
      wait_until_writable(fd);
    } else if (written < 0 && errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "Cannot write " + name);
    }
    text.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
  return {};
}

Result<OutputPlace> OutputPlace::open(std::string path, ErrorKind kind) {
  Split parts = split(path);
  UniqueFd folder = TRY(open_folder(parts, path, kind));
  return OutputPlace(std::move(path), std::move(parts.name), std::move(folder), kind);
}

Result<UniqueFd> OutputPlace::open_existing(int access) const {
  UniqueFd fd(::openat(folder_.get(), name_.c_str(),
                       access | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!fd && errno == ENOENT) {
    return fd;
  }
  if (!fd) {
    return cannot_open(path_, kind_);
  }
  TRY(check_found(fd.get(), folder_.get(), path_, {.stream = false, .kind = kind_}));
  return fd;
}

Result<NewFile> OutputPlace::create(mode_t mode) const {
  for (int i = 0; i < kAttempts; ++i) {
    std::string name = random_name(name_);
    if (name.empty()) {
      return fail_errno(ErrorKind::kHost, "Cannot make up a name for a new " + path_);
    }
    UniqueFd fd(::openat(folder_.get(), name.c_str(),
                         O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (fd) {
      return NewFile(*this, std::move(name), std::move(fd));
    }
    if (errno != EEXIST) {
      break;
    }
  }
  return fail_errno(ErrorKind::kHost, "Cannot create a new file in the folder of " + path_);
}

Result<bool> OutputPlace::rename_to(const std::string& name) const {
  int done =
      ::renameat2(folder_.get(), name_.c_str(), folder_.get(), name.c_str(), RENAME_NOREPLACE);
  if (done != 0 && errno == EINVAL) {  // a file system that cannot refuse to replace
    struct stat info {};
    if (::fstatat(folder_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
      return false;
    }
    done = ::renameat(folder_.get(), name_.c_str(), folder_.get(), name.c_str());
  }
  if (done != 0 && errno == EEXIST) {
    return false;
  }
  if (done != 0) {
    return fail_errno(kind_, fmt::format("Cannot rename {} to {}", path_, name));
  }
  return true;
}

NewFile::NewFile(NewFile&& other) noexcept
    : place_(other.place_), name_(std::exchange(other.name_, {})), fd_(std::move(other.fd_)) {}

NewFile::~NewFile() {
  if (!name_.empty()) {
    ::unlinkat(place_->folder(), name_.c_str(), 0);
  }
}

int NewFile::rename(unsigned flags) {
  const int folder = place_->folder();
  const char* target = place_->name().c_str();
  const int done = ::renameat2(folder, name_.c_str(), folder, target, flags);
  if (done == 0 || errno != EINVAL || flags == 0) {
    return done;
  }
  // A file system that cannot refuse to replace: a second name can.
  if (::linkat(folder, name_.c_str(), folder, target, 0) == 0) {
    return ::unlinkat(folder, name_.c_str(), 0);
  }
  return errno == EEXIST ? -1 : ::renameat(folder, name_.c_str(), folder, target);
}

Result<UniqueFd> NewFile::take_place(Place place) {
  if (::fsync(fd_.get()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + place_->path());
  }
  if (rename(place == Place::kOnlyNew ? RENAME_NOREPLACE : 0) != 0) {
    return fail_errno(ErrorKind::kHost,
                      "Cannot put the new file in the place of " + place_->path());
  }
  name_.clear();
  return std::move(fd_);
}

Status replace_output(const std::string& path, std::string_view text, ErrorKind kind) {
  if (is_stream_path(path)) {
    const UniqueFd stream =
        TRY(open_output(path, {.start = OutputRules::Start::kEmpty, .kind = kind}));
    return write_output(stream.get(), text, path);
  }
  const OutputPlace place = TRY(OutputPlace::open(path, kind));
  NewFile file = TRY(place.create(0644));
  TRY(write_output(file.fd(), text, path));
  const UniqueFd done = TRY(file.take_place(NewFile::Place::kReplace));
  return {};
}

}  // namespace gpuvm
