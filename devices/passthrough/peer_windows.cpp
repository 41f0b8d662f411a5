// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/peer_windows.hpp"

#include <numeric>

namespace gpuvm {

void PeerWindows::add(std::uint64_t at, std::span<std::byte> bytes) {
  if (host_ == nullptr) {
    return;
  }
  if (const auto mapped = host_->map_dma(Iova(at), {.bytes = bytes}); mapped) {
    windows_.push_back({Iova(at), bytes.size()});
    return;
  } else if (++refused_; limit_.allow()) {
    log::warn(
        "{}: Other devices cannot reach {:#x} bytes at {:#x}, pci.p2p has no effect there: {}",
        name_, bytes.size(), at, mapped.error().to_string());
  }
}

void PeerWindows::clear() {
  for (const auto& window : windows_) {
    const auto unmapped = host_->unmap_dma(window.at, window.size);
    if (!unmapped && limit_.allow()) {
      log::error("{}: {}", name_, unmapped.error().to_string());
    }
  }
  windows_.clear();
}

void PeerWindows::inspect(InspectNode& node) const {
  if (host_ == nullptr) {
    return;
  }
  node.hex("for_other_devices", std::accumulate(windows_.begin(), windows_.end(), std::uint64_t{0},
                                                [](std::uint64_t sum, const Window& window) {
                                                  return sum + window.size;
                                                }));
  node.field("refused", refused_);
}

}  // namespace gpuvm
