// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/share_copy.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>
#include <string_view>
#include <utility>

#include "vmm/base/unique_fd.hpp"
#include "vmm/test_report/clean_text.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kMostShownPath = 200;  ///< bytes

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
using OpenFolder = std::unique_ptr<DIR, CloseFolder>;

/// A name that no log, shell or archive trips over.
bool is_plain(std::string_view name) {
  return std::none_of(name.begin(), name.end(),
                      [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; });
}

/// Another file system begins there (Linux 5.8; before that nobody says so). st_dev does not tell:
/// in an overlay files have that of the layer where they are.
bool is_mount_point(int folder, const std::string& name) {
  struct statx info {};
  return ::statx(folder, name.c_str(), AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &info) == 0 &&
         (info.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
}

/// Of a copy, less the umask: nobody may read it whom the original keeps out, gpuvm's user can
/// always read, replace and remove it, and nothing that a guest made is to be run, or written by
/// others.
mode_t mode_of_file(mode_t original) {
  return 0600U | (original & 0044U);
}
mode_t mode_of_folder(mode_t original) {
  return 0700U | (original & 0055U);
}

bool is_same(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

class Copier {
 public:
  Copier(const ShareLimits& limits, const struct stat& target) : limits_(limits), target_(target) {}

  /// What is in the folder `from` into the folder `to`. Errors: kHost: `to` takes no more.
  Status folder(UniqueFd from, int to, const std::string& path, unsigned depth);
  ShareCopy take() { return std::move(copied_); }

 private:
  Status entry(int from, int to, const std::string& name, const std::string& path, unsigned depth);
  Status subfolder(int from, int to, const std::string& name, const std::string& path,
                   unsigned depth);
  Status file(int from, int to, const std::string& name, const std::string& path);
  Status bytes(int from, int to, const std::string& path);
  void leave_out(const std::string& path, std::string_view why);

  const ShareLimits& limits_;
  const struct stat target_;
  ShareCopy copied_ = {};
  std::uint64_t names_ = 0;
};

void Copier::leave_out(const std::string& path, std::string_view why) {
  ++copied_.left_out;
  if (copied_.reasons.size() < ShareCopy::kMostReasons) {
    copied_.reasons.push_back(fmt::format("{} {}", clean_line(path, kMostShownPath), why));
  }
}

Status Copier::folder(UniqueFd from, int to, const std::string& path, unsigned depth) {
  const OpenFolder folder(::fdopendir(from.get()));
  if (!folder) {
    return leave_out(path, "cannot be read"), Status();
  }
  const int fd = from.release();  // the folder's now
  while (const dirent* const next = ::readdir(folder.get())) {
    const std::string name = next->d_name;
    if (name == "." || name == "..") {
      continue;
    }
    if (++names_ > limits_.names) {
      if (names_ == limits_.names + 1) {
        leave_out(path, fmt::format("has more: {} names were looked at", limits_.names));
      }
      return {};
    }
    TRY(entry(fd, to, name, path.empty() ? name : path + "/" + name, depth));
  }
  return {};
}

Status Copier::entry(int from, int to, const std::string& name, const std::string& path,
                     unsigned depth) {
  struct stat info {};
  if (!is_plain(name)) {
    leave_out(path, "has control characters in its name");
  } else if (::fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    leave_out(path, "cannot be looked at");
  } else if (is_mount_point(from, name)) {
    leave_out(path, "is of another file system");
  } else if (S_ISDIR(info.st_mode)) {
    if (is_same(info, target_)) {
      leave_out(path, "is where the artifacts go");
    } else if (depth == limits_.depth) {
      leave_out(path, fmt::format("is deeper than {} folders", limits_.depth));
    } else {
      return subfolder(from, to, name, path, depth + 1);
    }
  } else if (!S_ISREG(info.st_mode)) {
    leave_out(path, S_ISLNK(info.st_mode) ? "is a symbolic link" : "is no regular file");
  } else if (info.st_size > static_cast<off_t>(limits_.bytes_of_file)) {
    leave_out(path,
              fmt::format("has {} bytes, of {} at most", info.st_size, limits_.bytes_of_file));
  } else if (copied_.files >= limits_.files ||
             static_cast<std::uint64_t>(info.st_size) > limits_.bytes - copied_.bytes) {
    leave_out(path, fmt::format("is too much: {} files and {} bytes at most", limits_.files,
                                limits_.bytes));
  } else {
    return file(from, to, name, path);
  }
  return {};
}

Status Copier::subfolder(int from, int to, const std::string& name, const std::string& path,
                         unsigned depth) {
  UniqueFd below(::openat(from, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  if (!below || ::fstat(below.get(), &info) != 0) {
    return leave_out(path, "cannot be opened"), Status();
  }
  if (::mkdirat(to, name.c_str(), mode_of_folder(info.st_mode)) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make the folder " + path);
  }
  const UniqueFd made(::openat(to, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made) {
    return fail_errno(ErrorKind::kHost, "Cannot open the folder " + path);
  }
  return folder(std::move(below), made.get(), path, depth);
}

/// It was a regular file when its folder was read; whoever else has the share may have put
/// something else there.
Status Copier::file(int from, int to, const std::string& name, const std::string& path) {
  const UniqueFd source(
      ::openat(from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  struct stat info {};
  if (!source || ::fstat(source.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return leave_out(path, "cannot be opened"), Status();
  }
  const UniqueFd copy(::openat(to, name.c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                               mode_of_file(info.st_mode)));
  if (!copy) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + path);
  }
  ++copied_.files;
  return bytes(source.get(), copy.get(), path);
}

/// What is written meanwhile does not make it longer than a file may be.
Status Copier::bytes(int from, int to, const std::string& path) {
  std::array<char, 65536> buffer;
  std::uint64_t left = std::min(limits_.bytes_of_file, limits_.bytes - copied_.bytes);
  while (left > 0) {
    const ssize_t got = ::read(from, buffer.data(), std::min<std::uint64_t>(left, buffer.size()));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      leave_out(path, "cannot be read to its end");
    }
    if (got <= 0) {
      return {};
    }
    for (std::string_view rest(buffer.data(), static_cast<std::size_t>(got)); !rest.empty();) {
      const ssize_t written = ::write(to, rest.data(), rest.size());
      if (written < 0 && errno != EINTR) {
        return fail_errno(ErrorKind::kHost, "Cannot write " + path);
      }
      rest.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    copied_.bytes += static_cast<std::uint64_t>(got);
    left -= static_cast<std::uint64_t>(got);
  }
  return {};
}

}  // namespace

std::string ShareCopy::to_string() const {
  auto text = fmt::format("{} files, {} bytes", files, bytes);
  if (left_out > 0) {
    text += fmt::format("; {} left out: {}{}", left_out, fmt::join(reasons, ", "),
                        left_out > reasons.size() ? " and others" : "");
  }
  return text;
}

Result<UniqueFd> open_share(const std::string& path) {
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    return fail_errno(ErrorKind::kHost, "Cannot open the shared folder " + path);
  }
  return folder;
}

Result<ShareCopy> copy_share(int from, int to, const ShareLimits& limits) {
  UniqueFd root(::openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  struct stat target {};
  if (!root || ::fstat(to, &target) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot open the shared folder");
  }
  Copier copier(limits, target);
  TRY(copier.folder(std::move(root), to, "", 0));
  return copier.take();
}

}  // namespace gpuvm
