// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/vars_place.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <string>

namespace gpuvm {
namespace {

/// The folder that a service manager gives to a service (systemd.exec(5), StateDirectory=), or the
/// one that the package's unit asks for.
std::string state_folder() {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): nobody sets it
  const char* const given = std::getenv("STATE_DIRECTORY");
  const std::string folders = given == nullptr ? "" : given;
  const std::string first = folders.substr(0, folders.find(':'));
  return first.starts_with('/') ? first : "/var/lib/gpuvm";
}

}  // namespace

Status check_vars_place(const BootConfig& boot) {
  if (!boot.vars) {
    return {};
  }
  const std::filesystem::path path = *boot.vars;
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  if (::faccessat(AT_FDCWD, folder.c_str(), W_OK, AT_EACCESS) == 0 || errno != EROFS) {
    return {};
  }
  return fail(ErrorKind::kConfig,
              "boot.vars: {} is where nothing can be written now (a read-only file system, as /etc "
              "is for services of systemd): move it to {}/{}, and name it so",
              *boot.vars, state_folder(), path.filename().string());
}

}  // namespace gpuvm
