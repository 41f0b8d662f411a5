// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/vhost_user/client.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <system_error>

#include "devices/virtio/virtio_spec.hpp"
#include "vmm/base/background_thread.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/log.hpp"
#include "vmm/sandbox/roles/sandbox.hpp"

namespace gpuvm::vhost_user {
namespace {

constexpr std::uint64_t kWantedProtocol =
    kProtocolMq | kProtocolReplyAck | kProtocolBackendReq | kProtocolConfig;

/// For messages.
std::string_view to_string(Request request) {
  switch (request) {
    case Request::kGetFeatures:
      return "GET_FEATURES";
    case Request::kSetFeatures:
      return "SET_FEATURES";
    case Request::kSetOwner:
      return "SET_OWNER";
    case Request::kSetMemTable:
      return "SET_MEM_TABLE";
    case Request::kSetVringNum:
      return "SET_VRING_NUM";
    case Request::kSetVringAddr:
      return "SET_VRING_ADDR";
    case Request::kSetVringBase:
      return "SET_VRING_BASE";
    case Request::kGetVringBase:
      return "GET_VRING_BASE";
    case Request::kSetVringKick:
      return "SET_VRING_KICK";
    case Request::kSetVringCall:
      return "SET_VRING_CALL";
    case Request::kGetProtocolFeatures:
      return "GET_PROTOCOL_FEATURES";
    case Request::kSetProtocolFeatures:
      return "SET_PROTOCOL_FEATURES";
    case Request::kGetQueueNum:
      return "GET_QUEUE_NUM";
    case Request::kSetVringEnable:
      return "SET_VRING_ENABLE";
    case Request::kSetBackendReqFd:
      return "SET_BACKEND_REQ_FD";
    case Request::kGetConfig:
      return "GET_CONFIG";
  }
  return "a request";
}

}  // namespace

Result<std::unique_ptr<Client>> Client::create(UniqueFd socket, Options options) {
  auto stop = TRY(EventFd::create());
  std::unique_ptr<Client> client(
      new Client(std::move(socket), std::move(options), std::move(stop)));
  TRY(client->negotiate());
  TRY(client->start_watching());
  return client;
}

Client::~Client() {
  {
    const MutexLock lock(state_);
    is_lost_ = true;  // by ourselves: nobody is told
  }
  stop_.signal();
  channel_.shut_down();
  backend_channel_.shut_down();
  if (watcher_.joinable()) {
    watcher_.join();
  }
}

Status Client::negotiate() {
  features_ = load_le(TRY(ask(Request::kGetFeatures, {}, sizeof features_)));
  if ((features_ & virtio::kFeatureVersion1) == 0) {
    return fail(ErrorKind::kHost, "{} knows no virtio 1 (features {:#x})", name(), features_);
  }
  if ((features_ & kFeatureProtocolFeatures) != 0) {
    const auto offered =
        load_le(TRY(ask(Request::kGetProtocolFeatures, {}, sizeof(std::uint64_t))));
    const std::uint64_t wanted = offered & kWantedProtocol;
    TRY(tell(Request::kSetProtocolFeatures, bytes_of(wanted)));
    protocol_ = wanted;
  }
  TRY(tell(Request::kSetOwner, {}));
  if (has(kProtocolMq)) {
    queue_limit_ = load_le(TRY(ask(Request::kGetQueueNum, {}, sizeof(std::uint64_t))));
  }
  return has(kProtocolBackendReq) ? open_backend_channel() : Status();
}

Status Client::open_backend_channel() {
  std::array<int, 2> ends{-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot make a socket for " + name());
  }
  backend_channel_ = Channel(UniqueFd(ends[0]));
  const UniqueFd theirs(ends[1]);
  const int fd = theirs.get();
  return tell(Request::kSetBackendReqFd, {}, {&fd, 1});
}

Status Client::start_watching() {
  try {
    watcher_ = std::thread([this] { watch(); });
  } catch (const std::system_error& error) {
    return fail(ErrorKind::kHost,
                "No thread can be made that watches {} ({}): raise `ulimit -u` or TasksMax= of the "
                "systemd unit",
                name(), error.what());
  }
  return {};
}

/// What comes on the main channel are answers, which belong to who asked.
void Client::watch() {
  enter_background_thread("vhost-user");
  sandbox::enter(sandbox::ThreadRole::kReader);
  std::array<pollfd, 3> waits{pollfd{.fd = stop_.fd(), .events = POLLIN, .revents = 0},
                              pollfd{.fd = channel_.fd(), .events = 0, .revents = 0},
                              pollfd{.fd = backend_channel_.fd(), .events = POLLIN, .revents = 0}};
  for (;;) {
    if (::poll(waits.data(), waits.size(), -1) < 0) {
      if (errno == EINTR) {
        continue;
      }
      return lose("it cannot be watched");
    }
    if (waits[0].revents != 0) {
      return;
    }
    if (waits[1].revents != 0) {
      return lose(std::string(kClosed));
    }
    if ((waits[2].revents & POLLIN) != 0) {
      if (const auto taken = take_backend_message(); !taken) {
        return lose(taken.error().to_string());
      }
    } else if (waits[2].revents != 0) {
      waits[2].fd = -1;  // it does not want to ask
    }
  }
}

/// An answer goes before what follows of it: the server may wait for it and do nothing else.
Status Client::take_backend_message() {
  const auto message = TRY(backend_channel_.receive(deadline()));
  const bool is_known =
      message.header.request == static_cast<std::uint32_t>(BackendRequest::kConfigChanged);
  if ((message.header.flags & kNeedReply) != 0) {
    const std::uint64_t answer = is_known ? 0 : 1;
    TRY(backend_channel_.send({.request = message.header.request, .flags = kReply},
                              bytes_of(answer), {}, deadline()));
  }
  if (is_known) {
    tell_of_config();
  }
  return {};
}

void Client::tell_of_config() {
  const MutexLock lock(telling_config_);
  if (on_config_) {
    on_config_();
  }
}

Channel::Deadline Client::deadline() const {
  return std::chrono::steady_clock::now() + options_.timeout;
}

void Client::set_config_listener(std::function<void()> listener) {
  const MutexLock lock(telling_config_);
  on_config_ = std::move(listener);
}

void Client::set_loss_listener(std::function<void(const Error&)> listener) {
  const MutexLock lock(telling_loss_);
  on_loss_ = std::move(listener);
}

Result<Message> Client::converse(Request request, std::uint32_t flags,
                                 std::span<const std::byte> payload, std::span<const int> fds) {
  TRY(channel_.send({.request = static_cast<std::uint32_t>(request), .flags = flags}, payload, fds,
                    deadline()));
  return channel_.receive(deadline());
}

/// With `answer`: its payload has this size. Errors lose the server.
Result<Bytes> Client::exchange(Request request, std::span<const std::byte> payload,
                               std::span<const int> fds, std::optional<std::size_t> answer) {
  const bool is_acknowledged = !answer && has(kProtocolReplyAck);
  auto outcome = [&]() -> Result<Message> {
    const MutexLock lock(conversation_);
    if (is_lost()) {
      return lost_error();
    }
    if (!answer && !is_acknowledged) {
      TRY(channel_.send({.request = static_cast<std::uint32_t>(request)}, payload, fds,
                        deadline()));
      return Message{};
    }
    auto reply = TRY(converse(request, is_acknowledged ? kNeedReply : 0, payload, fds));
    const std::size_t expected = answer.value_or(sizeof(std::uint64_t));
    if (reply.header.request != static_cast<std::uint32_t>(request) ||
        (reply.header.flags & kReply) == 0 || reply.payload.size() != expected) {
      return fail(ErrorKind::kHost, "it answered {} with message {} of {} bytes",
                  to_string(request), reply.header.request, reply.payload.size());
    }
    return reply;
  }();
  if (!outcome) {
    lose(outcome.error().to_string());
    return lost_error();
  }
  if (is_acknowledged && load_le(outcome->payload) != 0) {
    return fail(ErrorKind::kHost, "{} refused {}", name(), to_string(request));
  }
  return std::move(outcome->payload);
}

Status Client::tell(Request request, std::span<const std::byte> payload, std::span<const int> fds) {
  TRY(exchange(request, payload, fds, std::nullopt));
  return {};
}

Result<Bytes> Client::ask(Request request, std::span<const std::byte> payload, std::size_t size) {
  return exchange(request, payload, {}, size);
}

Result<Bytes> Client::config(std::size_t size) {
  if (!has(kProtocolConfig) || size > kMaxConfig) {
    return fail(ErrorKind::kHost, "{} does not tell the device's configuration", name());
  }
  const ConfigHead head{.offset = 0, .size = static_cast<std::uint32_t>(size), .flags = 0};
  Bytes payload;
  append_bytes(payload, head);
  payload.resize(sizeof head + size);
  auto answer = TRY(ask(Request::kGetConfig, payload, payload.size()));
  answer.erase(answer.begin(), answer.begin() + sizeof head);
  return answer;
}

bool Client::is_lost() const {
  const MutexLock lock(state_);
  return is_lost_;
}

Error Client::lost_error() const {
  const MutexLock lock(state_);
  return fail(ErrorKind::kHost, "{} does not serve any more: {}", name(), reason_);
}

void Client::lose(const std::string& reason) {
  {
    const MutexLock lock(state_);
    if (is_lost_) {
      return;
    }
    is_lost_ = true;
    reason_ = reason;
  }
  channel_.shut_down();
  backend_channel_.shut_down();
  const Error error = lost_error();
  {
    const MutexLock lock(telling_loss_);
    if (on_loss_) {
      on_loss_(error);
    }
  }
  if (options_.on_lost) {
    options_.on_lost(error);
  }
}

void Client::inspect(InspectNode& node) const {
  node.field("server", name());
  node.field("lost", is_lost());
  node.hex("features", features_);
  node.hex("protocol_features", protocol_);
}

}  // namespace gpuvm::vhost_user
