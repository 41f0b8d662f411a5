// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/artifact_folder.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

namespace gpuvm {
namespace {

constexpr const char* kTrial = ".gpuvm-trial";

namespace fs = std::filesystem;

/// "out" of "out//": a path that ends in a slash follows a link.
std::string without_last_slashes(const std::string& path) {
  const auto last = path.find_last_not_of('/');
  return last == std::string::npos ? path.substr(0, 1) : path.substr(0, last + 1);
}

/// Whether both are there and the same.
bool is_same_place(const std::string& path, int folder) {
  struct stat one {};
  struct stat other {};
  return ::stat(path.c_str(), &one) == 0 && ::fstat(folder, &other) == 0 &&
         one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

}  // namespace

Status write_whole(int fd, const std::string& text, const std::string& name) {
  std::string_view rest = text;
  while (!rest.empty()) {
    const ssize_t written = ::write(fd, rest.data(), rest.size());
    if (written < 0 && errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "Cannot write " + name);
    }
    rest.remove_prefix(written > 0 ? static_cast<std::size_t>(written) : 0);
  }
  return {};
}

std::string path_of_open_file(int fd) {
  return fmt::format("/proc/self/fd/{}", fd);
}

Result<ArtifactFolder> ArtifactFolder::open(const std::string& path) {
  std::error_code error;
  const std::string place = without_last_slashes(path);
  if (fs::is_symlink(place, error)) {
    return fail(ErrorKind::kUsage,
                "The folder for artifacts {} is a symbolic link, and none is followed: name its "
                "target",
                path);
  }
  fs::create_directories(place, error);
  UniqueFd folder(::open(place.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) {
    return error ? fail(ErrorKind::kUsage, "Cannot make the folder {} for artifacts: {}", path,
                        error.message())
                 : fail_errno(ErrorKind::kUsage, "Cannot open the folder for artifacts " + path);
  }
  ArtifactFolder opened(std::move(folder), path);
  TRY(opened.create(kTrial));
  ::unlinkat(opened.folder_.get(), kTrial, 0);
  return opened;
}

Result<UniqueFd> ArtifactFolder::create(const std::string& name) const {
  if (::unlinkat(folder_.get(), name.c_str(), 0) != 0 && errno != ENOENT) {
    return fail_errno(ErrorKind::kUsage, "Cannot replace " + path_of(name));
  }
  UniqueFd file(::openat(folder_.get(), name.c_str(),
                         O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!file) {
    return fail_errno(ErrorKind::kUsage, "Cannot write " + path_of(name));
  }
  return file;
}

Result<UniqueFd> ArtifactFolder::create_folder(const std::string& name) const {
  std::error_code error;
  fs::remove_all(path_of_open_file(folder_.get()) + "/" + name, error);  // follows no link
  if (error || ::mkdirat(folder_.get(), name.c_str(), 0755) != 0) {
    return fail(ErrorKind::kUsage, "Cannot replace the folder {}: {}", path_of(name),
                error ? error.message() : std::generic_category().message(errno));
  }
  UniqueFd made(
      ::openat(folder_.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!made) {
    return fail_errno(ErrorKind::kUsage, "Cannot open " + path_of(name));
  }
  return made;
}

std::optional<std::string> ArtifactFolder::name_in_here(
    const std::string& path, const std::vector<std::string>& names) const {
  std::error_code error;
  // Upwards, part by part, until the folder above is this one.
  for (fs::path place = fs::absolute(path, error).lexically_normal(); place.has_relative_path();
       place = place.parent_path()) {
    const auto found = std::find(names.begin(), names.end(), place.filename().string());
    if (found != names.end() && is_same_place(place.parent_path(), folder_.get())) {
      return *found;
    }
  }
  return std::nullopt;
}

Status ArtifactFolder::write(const std::string& name, const std::string& text) const {
  const UniqueFd file = TRY(create(name));
  return write_whole(file.get(), text, path_of(name));
}

}  // namespace gpuvm
