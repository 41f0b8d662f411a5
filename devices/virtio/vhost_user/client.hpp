// SPDX-License-Identifier: Apache-2.0
// Client: the front-end of the vhost-user protocol: what is agreed upon with a server that serves
// the queues of one device, and the requests to it. A thread of its own notices at once when the
// server goes, and hears of changes of the device's configuration. A server that breaks the
// protocol, or takes too long, is gone for good.
// Missing: a new connection to a server that is started again; configuration that the driver
// writes.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "devices/virtio/vhost_user/channel.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm::vhost_user {

class Client : public Inspectable {
 public:
  struct Options {
    std::string name;                          ///< of the server, for messages
    std::chrono::milliseconds timeout{10000};  ///< for an answer
    /// Called once when the server has gone (with an error that ends with kClosed where it hung up,
    /// which mostly means that it has ended, and who started it knows how), from any thread, maybe
    /// with locks of the caller's held: it must not wait. Not once destruction has begun. May be
    /// empty.
    std::function<void(const Error&)> on_lost = {};
  };

  /// Agrees on features. `socket`: connected. Errors: kHost: what is wrong with the server.
  static Result<std::unique_ptr<Client>> create(UniqueFd socket, Options options);
  ~Client() override;
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  const std::string& name() const { return options_.name; }
  /// The virtio features that the server offers.
  std::uint64_t features() const { return features_ & ~kFeatureProtocolFeatures; }
  /// What SET_FEATURES has besides those that the driver accepted.
  std::uint64_t own_features() const { return features_ & kFeatureProtocolFeatures; }
  /// Of protocol features: whether both sides have them.
  bool has(std::uint64_t feature) const { return (protocol_ & feature) == feature; }
  /// Queues that the server can serve; nothing: it does not say.
  std::optional<std::uint64_t> queue_limit() const { return queue_limit_; }

  /// The first `size` bytes of the device's configuration structure, at most kMaxConfig. Errors:
  /// kHost.
  Result<Bytes> config(std::size_t size);
  /// Called on the client's thread after each change of it; an empty one: nobody, and none is being
  /// told when this returns. It may call config().
  void set_config_listener(std::function<void()> listener) GPUVM_EXCLUDES(telling_config_);
  /// As Options::on_lost, for whoever uses it for a time.
  void set_loss_listener(std::function<void(const Error&)> listener) GPUVM_EXCLUDES(telling_loss_);

  /// A request that has no answer of its own: with REPLY_ACK it returns when the server has done
  /// it. Errors: kHost; it refused, or it has gone. Any thread.
  Status tell(Request request, std::span<const std::byte> payload, std::span<const int> fds = {});
  /// A request that is answered with exactly `size` bytes. Any thread.
  Result<Bytes> ask(Request request, std::span<const std::byte> payload, std::size_t size);

  bool is_lost() const GPUVM_EXCLUDES(state_);
  Error lost_error() const GPUVM_EXCLUDES(state_);
  /// For what is wrong with the server by another sign than its messages.
  void lose(const std::string& reason) GPUVM_EXCLUDES(state_, telling_loss_);

  void inspect(InspectNode& node) const override;

 private:
  Client(UniqueFd socket, Options options, EventFd stop)
      : options_(std::move(options)), channel_(std::move(socket)), stop_(std::move(stop)) {}
  Status negotiate();
  Status open_backend_channel();
  Status start_watching();
  void watch();
  Status take_backend_message();
  void tell_of_config();
  Channel::Deadline deadline() const;
  Result<Bytes> exchange(Request request, std::span<const std::byte> payload,
                         std::span<const int> fds, std::optional<std::size_t> answer)
      GPUVM_EXCLUDES(conversation_);
  Result<Message> converse(Request request, std::uint32_t flags, std::span<const std::byte> payload,
                           std::span<const int> fds) GPUVM_REQUIRES(conversation_);

  const Options options_;
  const Channel channel_;
  const EventFd stop_;
  Channel backend_channel_;  ///< on which the server asks; without one it has not BACKEND_REQ
  std::uint64_t features_ = 0;
  std::uint64_t protocol_ = 0;
  std::optional<std::uint64_t> queue_limit_;

  Mutex conversation_;  ///< one request and its answer at a time
  Mutex telling_config_;
  std::function<void()> on_config_ GPUVM_GUARDED_BY(telling_config_);
  Mutex telling_loss_;
  std::function<void(const Error&)> on_loss_ GPUVM_GUARDED_BY(telling_loss_);
  mutable Mutex state_;
  bool is_lost_ GPUVM_GUARDED_BY(state_) = false;
  std::string reason_ GPUVM_GUARDED_BY(state_);
  std::thread watcher_;
};

/// The bytes of a structure, to send.
template <class T>
std::span<const std::byte> bytes_of(const T& value) {
  return std::as_bytes(std::span<const T, 1>(&value, 1));
}

}  // namespace gpuvm::vhost_user
