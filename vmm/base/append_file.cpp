// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/append_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace gpuvm {
namespace {

constexpr int kAppendFlags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
/// Somebody may make and remove the file again and again.
constexpr int kOpenTries = 8;

/// Links there are the kernel's, to what this process has open already, or the system's.
bool is_place_of_links(const std::string& path) {
  return path.starts_with("/dev/") || path.starts_with("/proc/self/fd/");
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool begins_with(std::string_view text, AppendedLines lines) {
  if (lines == AppendedLines::kJson) {
    return text.starts_with('{');
  }
  constexpr std::string_view kDate = "0000-00-00T";
  if (text.size() < kDate.size()) {
    return false;
  }
  for (std::size_t i = 0; i < kDate.size(); ++i) {
    if (kDate[i] == '0' ? !is_digit(text[i]) : text[i] != kDate[i]) {
      return false;
    }
  }
  return true;
}

/// By the open file: another one may have its name meanwhile.
bool holds_such_lines(int fd, AppendedLines lines) {
  const std::string path = fmt::format("/proc/self/fd/{}", fd);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  std::array<char, 16> first{};
  const ssize_t got = file ? ::pread(file.get(), first.data(), first.size(), 0) : -1;
  return got > 0 && begins_with({first.data(), static_cast<std::size_t>(got)}, lines);
}

Status check_appended(int fd, const std::string& path, AppendedLines lines, std::string_view what) {
  struct stat found {};
  if (::fstat(fd, &found) != 0) {
    return fail_errno(ErrorKind::kUsage, "Cannot examine " + path);
  }
  if (!S_ISREG(found.st_mode) && !S_ISFIFO(found.st_mode)) {
    return fail(ErrorKind::kUsage, "{} is no regular file and no FIFO: name another one for {}",
                path, what);
  }
  if (found.st_uid != ::geteuid()) {
    return fail(ErrorKind::kUsage,
                "{} belongs to another user (id {}), so no {} are written there: name another "
                "file, or remove it",
                path, found.st_uid, what);
  }
  if (S_ISFIFO(found.st_mode)) {
    return {};
  }
  if (found.st_nlink > 1) {
    return fail(ErrorKind::kUsage,
                "{} has other names (hard links), so no {} are written there: name another file, "
                "or remove it",
                path, what);
  }
  if (found.st_size > 0 && !holds_such_lines(fd, lines)) {
    return fail(ErrorKind::kUsage,
                "{} is there and holds something else, so no {} are appended: name another file, "
                "or remove it",
                path, what);
  }
  return {};
}

/// errno says why there is none.
UniqueFd make_or_open(int folder, const std::string& name) {
  for (int i = 0; i < kOpenTries; ++i) {
    UniqueFd made(
        ::openat(folder, name.c_str(), kAppendFlags | O_NOFOLLOW | O_CREAT | O_EXCL, 0644));
    if (made || errno != EEXIST) {
      return made;
    }
    UniqueFd opened(::openat(folder, name.c_str(), kAppendFlags | O_NOFOLLOW));
    if (opened || errno != ENOENT) {
      return opened;
    }
  }
  return {};
}

}  // namespace

Result<UniqueFd> open_to_append(const std::string& path, AppendedLines lines,
                                std::string_view what) {
  const auto failed = [&](int error) {
    return fail_errno(ErrorKind::kUsage, fmt::format("Cannot write {} to {}", what, path), error);
  };
  if (is_place_of_links(path)) {
    UniqueFd file(::open(path.c_str(), kAppendFlags));
    return file ? Result<UniqueFd>(std::move(file)) : Result<UniqueFd>(failed(errno));
  }
  const auto slash = path.rfind('/');
  const std::string above = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  const UniqueFd folder(::open(above.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!folder) {
    return failed(errno);
  }
  UniqueFd file = make_or_open(folder.get(), name);
  if (!file && errno == ELOOP) {
    return fail(ErrorKind::kUsage,
                "{} is a symbolic link, and none is followed to write {}: name its target", path,
                what);
  }
  if (!file) {
    return failed(errno);
  }
  TRY(check_appended(file.get(), path, lines, what));
  return file;
}

}  // namespace gpuvm
