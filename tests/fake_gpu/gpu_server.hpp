// SPDX-License-Identifier: Apache-2.0
// GpuServer: the server's side of the vfio-user protocol (QEMU docs/interop/vfio-user.rst) for a
// fake card. One client at a time; the card keeps its state when a client leaves.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "devices/physical/vfio_user/message_socket.hpp"
#include "tests/fake_gpu/card.hpp"
#include "tests/fake_gpu/faults.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::fake_gpu {

class GpuServer {
 public:
  explicit GpuServer(const Options& options) : options_(options) {}

  /// Errors: kHost.
  Status listen();
  /// Serves until a fault or a signal ends it.
  Status run();

 private:
  static constexpr std::size_t kIrqTypes = 5;
  struct Mapping {
    MappedRegion memory;
  };

  Result<std::unique_ptr<Card>> make_card();
  void serve(const vfio_user::Message& message);
  void reply(const vfio_user::Message& message, std::span<const std::byte> payload,
             std::span<const int> fds = {});
  void refuse(const vfio_user::Message& message, std::uint32_t error);
  void greet(const vfio_user::Message& message);
  void describe_region(const vfio_user::Message& message);
  void describe_nvlink(const vfio_user::Message& message);
  void describe_irq(const vfio_user::Message& message);
  void connect_irqs(const vfio_user::Message& message);
  void access_region(const vfio_user::Message& message, bool is_write);
  void map_memory(const vfio_user::Message& message);
  void unmap_memory(const vfio_user::Message& message);
  bool take_client();
  void drop_client();
  void handle_signal();
  std::uint32_t irq_count(std::uint32_t type) const;
  void raise(std::uint32_t vector);
  void signal(std::size_t type, std::size_t vector) const;
  std::span<std::byte> memory_at(std::uint64_t iova, std::uint64_t size) const;

  const Options options_;
  UniqueFd signals_;
  UniqueFd listener_;
  UniqueFd client_fd_;  ///< a second descriptor of the client's socket, to wait at
  std::unique_ptr<vfio_user::MessageSocket> client_;
  std::optional<vfio_user::Message> waiting_map_;
  std::unique_ptr<Card> gpu_;
  UniqueFd nvlink_;  ///< the file behind NVLink2 memory
  std::map<std::uint64_t, Mapping> memory_;
  std::array<std::vector<UniqueFd>, kIrqTypes> events_;
};

}  // namespace gpuvm::fake_gpu
