// SPDX-License-Identifier: Apache-2.0
#include "vmm/owner/owner_socket.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>

#include "vmm/base/socket_descriptors.hpp"
#include "vmm/owner/owner_messages.hpp"

namespace gpuvm::owner {
namespace {

constexpr int kSeals = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK;

}  // namespace

Result<SocketPair> SocketPair::create() {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket between monitor and owner");
  }
  SocketPair pair;
  pair.owner.reset(ends[0]);
  pair.monitor.reset(ends[1]);
  return pair;
}

SendOutcome send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> fds) {
  // SAFETY: sendmsg() does not write to what it sends.
  iovec part{.iov_base = const_cast<std::byte*>(bytes.data()), .iov_len = bytes.size()};
  DescriptorRoom<kMostFds> room;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (!fds.empty()) {
    attach_descriptors(message, room, fds);
  }
  ssize_t sent = 0;
  do {
    sent = ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  } while (sent < 0 && errno == EINTR);
  if (sent >= 0) {
    return SendOutcome::kSent;
  }
  const bool is_full = errno == EAGAIN || errno == ENOBUFS || errno == ETOOMANYREFS;
  return is_full ? SendOutcome::kFull : SendOutcome::kGone;
}

ReceiveOutcome receive_packet(int socket, Packet& packet) {
  packet.fds.clear();
  packet.bytes.resize(kMostMessage);
  iovec part{.iov_base = packet.bytes.data(), .iov_len = packet.bytes.size()};
  DescriptorRoom<kMostFds> room;
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  room.offer_to(message);
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    packet.bytes.clear();
    return errno == EAGAIN ? ReceiveOutcome::kNothing : ReceiveOutcome::kGone;
  }
  packet.fds = take_descriptors(message);
  packet.bytes.resize(static_cast<std::size_t>(got));
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    packet = {};
    return ReceiveOutcome::kTooMuch;
  }
  // A packet of no bytes looks like the end of the connection, and is no message either.
  return got == 0 ? ReceiveOutcome::kGone : ReceiveOutcome::kReceived;
}

Result<UniqueFd> sealed_file(std::span<const std::byte> contents) {
  UniqueFd file(::memfd_create("gpuvm-contents", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file) {
    return fail_errno(ErrorKind::kHost, "Cannot make a memory file");
  }
  std::size_t done = 0;
  while (done < contents.size()) {
    const ssize_t written = ::write(file.get(), contents.data() + done, contents.size() - done);
    if (written < 0 && errno == EINTR) {
      continue;
    }
    if (written <= 0) {
      return fail_errno(ErrorKind::kHost, "Cannot write a memory file");
    }
    done += static_cast<std::size_t>(written);
  }
  if (::fcntl(file.get(), F_ADD_SEALS, kSeals | F_SEAL_SEAL) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot seal a memory file");
  }
  return file;
}

Result<std::vector<std::byte>> read_sealed_file(int fd, std::size_t most) {
  // Memory files alone have seals: no other kind of file is read.
  const int seals = ::fcntl(fd, F_GET_SEALS);
  struct stat info {};
  if (seals < 0 || (seals & kSeals) != kSeals || ::fstat(fd, &info) != 0 ||
      !S_ISREG(info.st_mode)) {
    return fail(ErrorKind::kGuest, "contents that are no sealed memory file");
  }
  if (info.st_size < 0 || static_cast<std::uint64_t>(info.st_size) > most) {
    return fail(ErrorKind::kGuest, "contents of more than {} bytes", most);
  }
  std::vector<std::byte> contents(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < contents.size()) {
    const ssize_t got =
        ::pread(fd, contents.data() + done, contents.size() - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      return fail(ErrorKind::kGuest, "contents that cannot be read");
    }
    done += static_cast<std::size_t>(got);
  }
  return contents;
}

}  // namespace gpuvm::owner
