// SPDX-License-Identifier: Apache-2.0
#include "vmm/guests/guest_socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <thread>

#include "vmm/login/running_guest.hpp"

namespace gpuvm {
namespace {

constexpr std::string_view kSocketSuffix = ".sock";
constexpr std::size_t kLongestGuestName = 64;
constexpr std::size_t kMostSockets = 4096;
constexpr std::size_t kMostEntries = 65536;  ///< of a folder that are looked at
/// Nothing tells when a place in the queue of a listening socket is free (connect(2), EAGAIN).
constexpr std::chrono::milliseconds kBetweenConnects{20};

bool is_socket_file(const std::string& path) {
  struct stat found {};
  return ::lstat(path.c_str(), &found) == 0 && S_ISSOCK(found.st_mode);
}

void add_sockets_of(const std::string& folder, std::vector<GuestSocket>& sockets) {
  std::error_code error;
  std::size_t seen = 0;
  for (std::filesystem::directory_iterator it(folder, error), end;
       !error && it != end && seen < kMostEntries && sockets.size() < kMostSockets;
       it.increment(error), ++seen) {
    std::string name = it->path().filename();
    if (!name.ends_with(kSocketSuffix)) {
      continue;
    }
    name.resize(name.size() - kSocketSuffix.size());
    if (is_guest_name(name) && is_socket_file(it->path())) {
      sockets.push_back({.name = std::move(name), .path = it->path()});
    }
  }
}

}  // namespace

bool is_guest_name(std::string_view name) {
  const auto is_allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  };
  const auto is_first = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !name.empty() && name.size() <= kLongestGuestName && is_first(name.front()) &&
         std::all_of(name.begin(), name.end(), is_allowed);
}

std::string run_folder() {
  return guest_folder(HostSystem()).value_or("");
}

std::vector<std::string> run_folders() {
  return guest_folders(HostSystem());
}

Result<std::string> guest_socket_path(std::string_view name) {
  if (!is_guest_name(name)) {
    return fail(ErrorKind::kConfig,
                "A guest's name is 1 to 64 characters out of a to z, 0 to 9, \"-\", \"_\" and "
                "\".\", and begins with a letter or digit");
  }
  const std::string folder = run_folder();
  if (folder.empty()) {
    return fail(ErrorKind::kHost,
                "There is no folder for control sockets: this user may not write /run/gpuvm, and "
                "XDG_RUNTIME_DIR is not set (log in by PAM, or set it to a folder of yours)");
  }
  std::string path = fmt::format("{}/{}{}", folder, name, kSocketSuffix);
  if (path.size() >= sizeof(sockaddr_un::sun_path)) {
    return fail(ErrorKind::kConfig, "{} is too long for a socket, which has at most {} bytes", path,
                sizeof(sockaddr_un::sun_path) - 1);
  }
  return path;
}

std::vector<GuestSocket> list_guest_sockets(std::span<const std::string> folders) {
  std::vector<GuestSocket> sockets;
  for (const std::string& folder : folders) {
    add_sockets_of(folder, sockets);
  }
  std::stable_sort(sockets.begin(), sockets.end(),
                   [](const auto& one, const auto& other) { return one.name < other.name; });
  return sockets;
}

GuestConnection connect_to_guest(const std::string& path, std::chrono::milliseconds limit) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof address.sun_path) {
    return {.error = ENAMETOOLONG};
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) {
    return {.error = errno};
  }
  const auto end = std::chrono::steady_clock::now() + limit;
  while (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    if (errno != EAGAIN && errno != EINTR) {
      return {.error = errno};
    }
    if (std::chrono::steady_clock::now() >= end) {
      return {.error = ETIMEDOUT};
    }
    std::this_thread::sleep_for(kBetweenConnects);
  }
  ::fcntl(fd.get(), F_SETFL, ::fcntl(fd.get(), F_GETFL) & ~O_NONBLOCK);
  return {.fd = std::move(fd)};
}

pid_t peer_process(const UniqueFd& connection) {
  ucred peer{};
  socklen_t size = sizeof peer;
  const bool is_known =
      ::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
  return is_known ? peer.pid : 0;
}

}  // namespace gpuvm
