// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/artifact_folder.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

namespace gpuvm {
namespace {

constexpr const char* kTrial = ".gpuvm-trial";

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
  std::filesystem::create_directories(path, error);
  UniqueFd folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
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

Status ArtifactFolder::write(const std::string& name, const std::string& text) const {
  const UniqueFd file = TRY(create(name));
  return write_whole(file.get(), text, path_of(name));
}

}  // namespace gpuvm
