// SPDX-License-Identifier: Apache-2.0
#include "vmm/helper/listening_pair.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

namespace gpuvm {
namespace {

/// A folder that only this user may enter, for the moment in which the socket has a path.
struct PrivateFolder {
  std::string path;
  std::string socket() const { return path + "/socket"; }
  ~PrivateFolder() {
    ::unlink(socket().c_str());
    ::rmdir(path.c_str());
  }
};

}  // namespace

Result<ListeningPair> ListeningPair::create() {
  std::error_code error;
  auto parent = std::filesystem::temp_directory_path(error).string();
  constexpr std::size_t kLongestParent = 64;  // a socket's path has 107 characters at most
  if (error || parent.size() > kLongestParent || ::geteuid() == 0) {
    parent = "/tmp";
  }
  PrivateFolder folder{.path = parent + "/gpuvm-XXXXXX"};
  if (::mkdtemp(folder.path.data()) == nullptr) {
    return fail_errno(ErrorKind::kHost, "Cannot make a folder in " + parent);
  }
  ListeningPair pair;
  pair.listener.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  pair.connected.reset(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = folder.socket();
  std::memcpy(address.sun_path, path.data(), path.size());
  // SAFETY: sockaddr_un is what AF_UNIX's address is.
  const auto* const raw = reinterpret_cast<const sockaddr*>(&address);
  if (!pair.listener || !pair.connected || ::bind(pair.listener.get(), raw, sizeof address) != 0 ||
      ::listen(pair.listener.get(), 1) != 0 ||
      ::connect(pair.connected.get(), raw, sizeof address) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket for a program");
  }
  return pair;
}

}  // namespace gpuvm
