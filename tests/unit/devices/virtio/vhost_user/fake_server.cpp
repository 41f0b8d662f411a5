// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/devices/virtio/vhost_user/fake_server.hpp"

#include <sys/socket.h>

#include <array>
#include <cstring>

#include "vmm/base/bytes.hpp"

namespace gpuvm::test {
namespace {

Request request_of(const FakeServer::Received& message) {
  return static_cast<Request>(message.header.request);
}

}  // namespace

UniqueFd FakeServer::start() {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return {};
  }
  socket_.reset(ends[0]);
  thread_ = std::thread([this] { run(); });
  return UniqueFd(ends[1]);
}

void FakeServer::stop() {
  hang_up();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void FakeServer::hang_up() {
  ::shutdown(socket_.get(), SHUT_RDWR);
}

std::optional<FakeServer::Received> FakeServer::receive(int socket) {
  Received message;
  iovec part{.iov_base = &message.header, .iov_len = sizeof message.header};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr raw{};
  raw.msg_iov = &part;
  raw.msg_iovlen = 1;
  raw.msg_control = control.data();
  raw.msg_controllen = control.size();
  if (::recvmsg(socket, &raw, MSG_WAITALL | MSG_CMSG_CLOEXEC) !=
      static_cast<ssize_t>(sizeof message.header)) {
    return std::nullopt;
  }
  if (const cmsghdr* const head = CMSG_FIRSTHDR(&raw); head != nullptr) {
    const std::size_t count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(head) + i * sizeof fd, sizeof fd);
      message.fds.emplace_back(fd);
    }
  }
  message.payload.resize(message.header.size);
  if (!message.payload.empty() &&
      ::recv(socket, message.payload.data(), message.payload.size(), MSG_WAITALL) !=
          static_cast<ssize_t>(message.payload.size())) {
    return std::nullopt;
  }
  return message;
}

bool FakeServer::send_on(int socket, const Header& header, std::span<const std::byte> payload,
                         std::span<const int> fds) {
  Bytes bytes;
  append_bytes(bytes, header);
  bytes.insert(bytes.end(), payload.begin(), payload.end());
  iovec part{.iov_base = bytes.data(), .iov_len = bytes.size()};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(16 * sizeof(int))> control{};
  msghdr raw{};
  raw.msg_iov = &part;
  raw.msg_iovlen = 1;
  if (!fds.empty()) {
    raw.msg_control = control.data();
    raw.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const head = CMSG_FIRSTHDR(&raw);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(head), fds.data(), fds.size_bytes());
  }
  return ::sendmsg(socket, &raw, MSG_NOSIGNAL) == static_cast<ssize_t>(bytes.size());
}

/// What came is remembered before it is answered: the client may be done before we are.
void FakeServer::run() {
  while (auto received = receive(socket_.get())) {
    const auto message = std::make_shared<Received>(std::move(*received));
    {
      const MutexLock lock(mutex_);
      kept_.push_back(message);
    }
    const auto handler = handlers_.find(request_of(*message));
    if (handler != handlers_.end()) {
      handler->second(*this, *message);
    } else {
      obey(*message);
    }
  }
}

void FakeServer::send(const Header& header, std::span<const std::byte> payload,
                      std::span<const int> fds) {
  send_on(socket_.get(), header, payload, fds);
}

void FakeServer::answer(const Received& message, std::span<const std::byte> payload) {
  send({.request = message.header.request,
        .flags = vhost_user::kVersion | vhost_user::kReply,
        .size = static_cast<std::uint32_t>(payload.size())},
       payload);
}

void FakeServer::acknowledge(const Received& message, std::uint64_t result) {
  if ((message.header.flags & vhost_user::kNeedReply) != 0) {
    answer(message, vhost_user::bytes_of(result));
  }
}

Bytes FakeServer::config_answer(const Received& message) {
  Bytes answer = message.payload;
  const MutexLock lock(mutex_);
  const std::size_t size = std::min(config_.size(), answer.size() - sizeof(vhost_user::ConfigHead));
  std::copy_n(config_.begin(), size, answer.begin() + sizeof(vhost_user::ConfigHead));
  return answer;
}

void FakeServer::obey(Received& message) {
  switch (request_of(message)) {
    case Request::kGetFeatures:
      return answer(message, vhost_user::bytes_of(features));
    case Request::kGetProtocolFeatures:
      return answer(message, vhost_user::bytes_of(protocol_features));
    case Request::kGetQueueNum:
      return answer(message, vhost_user::bytes_of(queues));
    case Request::kGetConfig:
      return answer(message, config_answer(message));
    case Request::kGetVringBase:
      return answer(message, message.payload);
    case Request::kSetBackendReqFd:
      backend_ = std::move(message.fds.at(0));
      return acknowledge(message);
    default:
      return acknowledge(message);
  }
}

bool FakeServer::ask(const Header& header) {
  return send_on(backend_.get(), header, {}, {});
}

std::optional<FakeServer::Received> FakeServer::receive_answer() {
  return receive(backend_.get());
}

void FakeServer::set_config(Bytes bytes) {
  const MutexLock lock(mutex_);
  config_ = std::move(bytes);
}

std::vector<Request> FakeServer::requests() {
  const MutexLock lock(mutex_);
  std::vector<Request> all;
  for (const auto& one : kept_) {
    all.push_back(request_of(*one));
  }
  return all;
}

std::vector<Bytes> FakeServer::payloads(Request request) {
  const MutexLock lock(mutex_);
  std::vector<Bytes> all;
  for (const auto& one : kept_) {
    if (request_of(*one) == request) {
      all.push_back(one->payload);
    }
  }
  return all;
}

std::vector<std::size_t> FakeServer::fd_counts(Request request) {
  const MutexLock lock(mutex_);
  std::vector<std::size_t> all;
  for (const auto& one : kept_) {
    if (request_of(*one) == request) {
      all.push_back(one->fds.size());
    }
  }
  return all;
}

int FakeServer::last_fd(Request request) {
  const MutexLock lock(mutex_);
  int fd = -1;
  for (const auto& one : kept_) {
    if (request_of(*one) == request && !one->fds.empty()) {
      fd = one->fds.back().get();
    }
  }
  return fd;
}

}  // namespace gpuvm::test
