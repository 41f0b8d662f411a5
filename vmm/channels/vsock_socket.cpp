// SPDX-License-Identifier: Apache-2.0
#include "vmm/channels/vsock_socket.hpp"

// The kernel's header needs sockaddr first.
#include <linux/vm_sockets.h>

#include <cerrno>
#include <cstring>

namespace gpuvm {
namespace {

constexpr int kBacklog = 64;  ///< a systemd that boots sends one message behind the other

Error no_socket(const char* what) {
  return fail_errno(ErrorKind::kHost, what);
}

}  // namespace

Result<VsockSocket> listen_on_vsock() {
  VsockSocket socket;
  socket.fd.reset(::socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.fd) {
    return no_socket("test: this host's kernel has no vsock for the guest's word: modprobe vsock");
  }
  sockaddr_vm address{};
  address.svm_family = AF_VSOCK;
  address.svm_cid = VMADDR_CID_ANY;
  address.svm_port = VMADDR_PORT_ANY;
  auto* const plain = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  if (::bind(socket.fd.get(), plain, size) != 0 || ::listen(socket.fd.get(), kBacklog) != 0 ||
      ::getsockname(socket.fd.get(), plain, &size) != 0) {
    return no_socket("test: cannot listen at a vsock port for the guest's word");
  }
  socket.port = address.svm_port;
  return socket;
}

std::optional<std::uint32_t> cid_of(const sockaddr_storage& peer) {
  sockaddr_vm address{};
  static_assert(sizeof address <= sizeof peer);
  std::memcpy(&address, &peer, sizeof address);
  return address.svm_family == AF_VSOCK ? std::optional(address.svm_cid) : std::nullopt;
}

}  // namespace gpuvm
