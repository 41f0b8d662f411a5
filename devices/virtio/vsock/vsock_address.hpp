// SPDX-License-Identifier: Apache-2.0
// VsockAddress: the address (CID) by which the host's kernel knows a guest, held as long as this
// lives: no two guests of a host have the same one, whoever runs them.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm {

class VsockAddress {
 public:
  /// Takes an address for an open /dev/vhost-vsock: true if it has it now, false if another guest
  /// has it. Errors: kHost.
  using Take = std::function<Result<bool>(int vhost, std::uint32_t cid)>;

  /// What a guest of this name gets where it is free; the same in each run.
  static std::uint32_t preferred(std::string_view guest);
  /// `vhost`: /dev/vhost-vsock. With `wanted` that one or an error; else the preferred one or the
  /// next that is free. Errors: kConfig (in use), kHost.
  static Result<VsockAddress> take(UniqueFd vhost, std::optional<std::uint32_t> wanted,
                                   std::string_view guest, const Take& take = of_kernel);

  std::uint32_t cid() const { return cid_; }
  /// The open device, which holds the address: for who serves the queues, once.
  UniqueFd release() { return std::move(vhost_); }

  static Result<bool> of_kernel(int vhost, std::uint32_t cid);

 private:
  VsockAddress(UniqueFd vhost, std::uint32_t cid) : vhost_(std::move(vhost)), cid_(cid) {}
  UniqueFd vhost_;
  std::uint32_t cid_;
};

}  // namespace gpuvm
