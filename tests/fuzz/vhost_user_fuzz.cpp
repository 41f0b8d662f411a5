// SPDX-License-Identifier: Apache-2.0
// Fuzz target: what a vhost-user server sends. The input is what it answers, one piece for each
// message that it gets: 16 bits of length, 8 bits that say how many file descriptors go with it
// (bits 0 to 3) and whether it goes to the channel on which the server asks (bit 7; then the next
// piece follows at once), then bytes. Whatever they are, starting, using and stopping a device
// ends, and what it let through is safe to act on.
#include <sys/mman.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "devices/virtio/vhost_user/vhost_user_device.hpp"
#include "devices/virtio/vhost_user/vhost_user_queues.hpp"

namespace {

using gpuvm::UniqueFd;
using gpuvm::vhost_user::Header;

constexpr std::chrono::milliseconds kShort{20};
constexpr std::uint64_t kMemory = 2 << 20;

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

void send_piece(int socket, std::span<const std::uint8_t> bytes, std::size_t fds) {
  iovec part{.iov_base = const_cast<std::uint8_t*>(bytes.data()), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  if (fds != 0) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(fds * sizeof(int));
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(fds * sizeof(int));
    for (std::size_t i = 0; i < fds; ++i) {
      std::memcpy(CMSG_DATA(header) + i * sizeof socket, &socket, sizeof socket);
    }
  }
  static_cast<void>(::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT));
}

/// Takes one message off the socket; the descriptor of SET_BACKEND_REQ_FD is kept.
bool receive(int socket, UniqueFd& backend) {
  Header header;
  iovec part{.iov_base = &header, .iov_len = sizeof header};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  if (::recvmsg(socket, &message, MSG_WAITALL | MSG_CMSG_CLOEXEC) !=
      static_cast<ssize_t>(sizeof header)) {
    return false;
  }
  if (const cmsghdr* const head = CMSG_FIRSTHDR(&message); head != nullptr) {
    for (std::size_t i = 0; i < (head->cmsg_len - CMSG_LEN(0)) / sizeof(int); ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      UniqueFd taken(fd);
      if (header.request ==
          static_cast<std::uint32_t>(gpuvm::vhost_user::Request::kSetBackendReqFd)) {
        backend = std::move(taken);
      }
    }
  }
  std::vector<std::byte> payload(header.size);
  return payload.empty() || ::recv(socket, payload.data(), payload.size(), MSG_WAITALL) ==
                                static_cast<ssize_t>(payload.size());
}

/// Answers each message with the next piece; hangs up when there is none.
void serve(const UniqueFd& end, std::span<const std::uint8_t> input) {
  UniqueFd backend;
  bool is_answered = true;
  while (input.size() >= 3 && (!is_answered || receive(end.get(), backend))) {
    const std::size_t wanted = input[0] | static_cast<std::size_t>(input[1]) << 8;
    const std::size_t fds = input[2] & 0xf;
    is_answered = (input[2] & 0x80) == 0;
    input = input.subspan(3);
    const auto piece = input.first(std::min(wanted, input.size()));
    input = input.subspan(piece.size());
    const int socket = is_answered ? end.get() : backend.get();
    if (!piece.empty() && socket >= 0) {
      send_piece(socket, piece, fds);
    }
  }
  ::shutdown(end.get(), SHUT_RDWR);
}

struct Listener : gpuvm::QueueListener {
  void queue_used(std::size_t) override {}
  void queues_broken(const gpuvm::Error& error) override {
    require(error.to_string().find('\n') == std::string::npos);
  }
};

void use(gpuvm::vhost_user::Client& client, const gpuvm::GuestMemory& memory) {
  constexpr std::uint16_t kConfigSize = 60;
  const auto device = gpuvm::VhostUserDevice::create(
      {.name = "fuzz",
       .identity = {.type = 2, .queues = 1, .queue_size = 8, .config_size = kConfigSize},
       .client = client,
       .config_from_server = true});
  if (!device) {
    return;
  }
  gpuvm::VhostUserQueues queues({.client = client, .patience = kShort});
  const auto kick = gpuvm::EventFd::create();
  const auto call = gpuvm::EventFd::create();
  require(kick && call);
  Listener listener;
  const gpuvm::QueueBackend::Queue queue{.index = 0,
                                         .setup = {.size = 8,
                                                   .descriptors = gpuvm::GuestAddress(0x1000),
                                                   .available = gpuvm::GuestAddress(0x3000),
                                                   .used = gpuvm::GuestAddress(0x4000)},
                                         .position = {},
                                         .kick = kick->fd(),
                                         .call = call->fd()};
  for (int turn = 0; turn < 2; ++turn) {
    const auto started = queues.start({.memory = memory,
                                       .features = queues.features(),
                                       .queues = {&queue, 1},
                                       .listener = listener});
    if (started) {
      queues.set_call(0, call->fd());
      require(queues.stop().size() == 1);
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto memory = gpuvm::GuestMemory::create({.size = kMemory, .is_shared = true});
  require(memory.has_value());
  std::array<int, 2> ends{};
  require(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  std::thread server(
      [end = UniqueFd(ends[1]), input = std::span(data, size)] { serve(end, input); });
  {
    const auto client =
        gpuvm::vhost_user::Client::create(UniqueFd(ends[0]), {.name = "fuzz", .timeout = kShort});
    if (client) {
      use(**client, *memory);
    } else {
      require(client.error().to_string().find('\n') == std::string::npos);
    }
  }
  server.join();
  return 0;
}
