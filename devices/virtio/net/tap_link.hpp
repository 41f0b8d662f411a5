// SPDX-License-Identifier: Apache-2.0
// TapLink: frames through a tap of the host (Linux, Documentation/networking/tuntap.rst), which was
// opened with IFF_TAP, IFF_NO_PI and IFF_VNET_HDR and a header of 12 bytes. The kernel checks the
// headers.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <thread>

#include "devices/virtio/net/network_link.hpp"
#include "devices/virtio/token_bucket.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class TapLink : public NetworkLink {
 public:
  struct Options {
    UniqueFd fd;           ///< non-blocking
    std::string name;      ///< of the interface
    bool offloads = true;  ///< TUNSETOFFLOAD works
    /// How the thread waits that changes offloads too often.
    std::function<void(std::chrono::milliseconds)> sleep = [](std::chrono::milliseconds time) {
      std::this_thread::sleep_for(time);
    };
  };
  explicit TapLink(Options options) : options_(std::move(options)) {}

  std::uint64_t offloads() const override;
  void set_offloads(std::uint64_t features) override;
  int fd() const override { return options_.fd.get(); }
  Result<Sent> send(std::span<const iovec> frame) override;
  bool has_unsent() const override { return false; }
  Status flush() override { return {}; }
  Result<std::size_t> receive(std::span<std::byte> frame) override;
  void inspect(InspectNode& node) const override;

 private:
  static unsigned flags_of(std::uint64_t features);

  const Options options_;
  std::optional<unsigned> offloads_set_;  ///< flags that the kernel has; nothing: not known
  TokenBucket changes_{5, 20, TokenBucket::Clock::now()};
  log::RateLimit limit_;
};

}  // namespace gpuvm
