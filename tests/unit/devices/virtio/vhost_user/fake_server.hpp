// SPDX-License-Identifier: Apache-2.0
// FakeServer: the back-end of vhost-user on a thread, for tests. It obeys the protocol, remembers
// what it was told, and does as a test wants in place of any answer.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "devices/virtio/vhost_user/client.hpp"
#include "devices/virtio/virtio_spec.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm::test {

using vhost_user::Bytes;
using vhost_user::Header;
using vhost_user::Request;

class FakeServer {
 public:
  struct Received {
    Header header;
    Bytes payload;
    std::vector<UniqueFd> fds;
  };
  /// What it has instead of its own answer; on its thread.
  using Handler = std::function<void(FakeServer&, Received&)>;

  ~FakeServer() { stop(); }
  FakeServer() = default;
  FakeServer(const FakeServer&) = delete;
  FakeServer& operator=(const FakeServer&) = delete;

  // Before start().
  std::uint64_t features = virtio::kFeatureVersion1 | virtio::kFeatureIndirect |
                           vhost_user::kFeatureProtocolFeatures | 1U << 6;
  std::uint64_t protocol_features = vhost_user::kProtocolMq | vhost_user::kProtocolReplyAck |
                                    vhost_user::kProtocolBackendReq | vhost_user::kProtocolConfig;
  std::uint64_t queues = 4;
  void on(Request request, Handler handler) { handlers_[request] = std::move(handler); }

  /// The client's end of a connection to it.
  UniqueFd start();
  /// Hangs up and waits for its thread.
  void stop();

  // On its thread, or while it answers nothing.
  void answer(const Received& message, std::span<const std::byte> payload);
  void acknowledge(const Received& message, std::uint64_t result = 0);
  void send(const Header& header, std::span<const std::byte> payload,
            std::span<const int> fds = {});
  void hang_up();
  /// What it does unless told otherwise.
  void obey(Received& message);
  /// A message on the backend channel; true: it was sent.
  bool ask(const Header& header);
  /// The next message on the backend channel.
  std::optional<Received> receive_answer();

  // Any thread.
  void set_config(Bytes bytes);
  std::vector<Request> requests();
  /// Payloads of all messages of this kind.
  std::vector<Bytes> payloads(Request request);
  std::vector<std::size_t> fd_counts(Request request);
  /// The last descriptor that came with such a message; -1: none.
  int last_fd(Request request);

 private:
  static std::optional<Received> receive(int socket);
  static bool send_on(int socket, const Header& header, std::span<const std::byte> payload,
                      std::span<const int> fds);
  void run();
  Bytes config_answer(const Received& message);

  std::map<Request, Handler> handlers_;
  UniqueFd socket_;
  UniqueFd backend_;
  std::uint64_t agreed_ = 0;  ///< protocol features
  Mutex mutex_;
  std::vector<std::shared_ptr<const Received>> kept_ GPUVM_GUARDED_BY(mutex_);
  Bytes config_ GPUVM_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace gpuvm::test
