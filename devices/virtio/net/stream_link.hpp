// SPDX-License-Identifier: Apache-2.0
// StreamLink: frames through a stream socket, each behind its length as 32 bits, big-endian, and
// without a virtio header: the protocol of passt(1) and of QEMU's "-netdev stream". What is on the
// other side is as hostile as a guest.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "devices/virtio/net/net_spec.hpp"
#include "devices/virtio/net/network_link.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class StreamLink : public NetworkLink {
 public:
  struct Options {
    UniqueFd socket;   ///< connected
    std::string peer;  ///< for messages, such as "passt"
  };
  explicit StreamLink(Options options);

  std::uint64_t offloads() const override { return 0; }
  void set_offloads(std::uint64_t) override {}
  int fd() const override { return options_.socket.get(); }
  Result<Sent> send(std::span<const iovec> frame) override;
  bool has_unsent() const override { return sent_ != out_.size(); }
  Status flush() override;
  Result<std::size_t> receive(std::span<std::byte> frame) override;
  void inspect(InspectNode& node) const override;

 private:
  static constexpr std::size_t kPrefix = 4;
  Result<bool> fill(std::size_t size);
  Error lost(int error_number) const;

  const Options options_;
  std::vector<std::byte> out_;  ///< a frame with its length
  std::size_t sent_ = 0;        ///< of it
  std::vector<std::byte> in_;   ///< the length, then its frame
  std::size_t got_ = 0;         ///< of it
};

}  // namespace gpuvm
