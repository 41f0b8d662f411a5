// SPDX-License-Identifier: Apache-2.0
// NetworkLink: where the frames of a network device go and come from: a tap (tap_link.hpp), a
// program behind a socket (stream_link.hpp), or a fake in tests. A frame is an Ethernet frame with
// a virtio header in front of it (VIRTIO 1.2, 5.1.6).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/inspect.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// One thread at a time, but for inspect(), which any calls. No call blocks. An error, always
/// kHost, means that the link is gone for good.
class NetworkLink : public Inspectable {
 public:
  enum class Sent {
    kSent,
    kDropped,  ///< as networks do; nothing else came of it
    kFull,     ///< not taken: again once has_unsent() is false
  };

  /// The features of virtio_net::kOffloads that it can.
  virtual std::uint64_t offloads() const = 0;
  /// What the driver has accepted of them.
  virtual void set_offloads(std::uint64_t features) = 0;

  /// To wait on: readable when a frame is there, writable when something unsent can go. Never
  /// changes.
  virtual int fd() const = 0;
  virtual Result<Sent> send(std::span<const iovec> frame) = 0;
  /// Whether something that was taken has not gone yet.
  virtual bool has_unsent() const = 0;
  /// Sends what can go of that.
  virtual Status flush() = 0;
  /// The next frame into `frame`, which has room for virtio_net::kMostFrame bytes; its size, 0 when
  /// there is none now.
  virtual Result<std::size_t> receive(std::span<std::byte> frame) = 0;
};

}  // namespace gpuvm
