// SPDX-License-Identifier: Apache-2.0
// A vfio-user server on a thread of the test. By itself it serves a small well-behaved function; a
// test gives it other answers, command by command, down to raw bytes.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "devices/physical/vfio_user/message_socket.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::test {

using vfio_user::Bytes;
using vfio_user::Command;
using vfio_user::Message;

class ScriptedServer {
 public:
  using Handler = std::function<void(const Message&)>;
  static constexpr std::uint64_t kBar2Size = 0x200000;
  static constexpr std::uint64_t kBar2Offset = 0x1000;  ///< in its file
  static constexpr std::uint8_t kExpress = 0x40;

  ScriptedServer();
  ~ScriptedServer();

  /// What answers a command in place of the well-behaved function. Before start().
  void on(Command command, Handler handler) { handlers_[command] = std::move(handler); }
  /// Serves from now on; yields the client's end.
  UniqueFd start();

  /// The well-behaved answer.
  void behave(const Message& message);
  void answer(const Message& message, std::span<const std::byte> payload,
              std::span<const int> fds = {});
  void answer_error(const Message& message, std::uint32_t error);
  /// Any bytes, with descriptors at the first one.
  void send_raw(std::span<const std::byte> bytes, std::span<const int> fds = {});
  void hang_up();

  /// The well-behaved payload of an answer, and its descriptors.
  Bytes payload_for(const Message& message, std::vector<int>& fds);
  /// Commands that came, in order.
  std::vector<Command> commands() const;
  /// The last message of a command, with its descriptors; empty if there was none.
  Message take_last(Command command);

  std::array<std::byte, 256> config{};
  Bytes bar0 = Bytes(0x10000);
  UniqueFd bar2;
  std::string capabilities = R"({"capabilities":{"max_msg_fds":3}})";
  /// Called when DEVICE_RESET or a write of configuration space came.
  std::function<void()> on_change;

 private:
  void serve();
  const Message& note(Message message);
  Bytes region_payload(std::uint32_t index, std::vector<int>& fds) const;
  std::span<std::byte> bytes_of_region(std::uint32_t region);

  std::map<Command, Handler> handlers_;
  UniqueFd client_;
  int server_fd_ = -1;
  std::unique_ptr<vfio_user::MessageSocket> socket_;
  mutable Mutex mutex_;
  std::vector<Command> commands_ GPUVM_GUARDED_BY(mutex_);
  std::map<Command, Message> last_ GPUVM_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace gpuvm::test
