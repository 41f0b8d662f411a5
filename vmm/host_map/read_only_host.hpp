// SPDX-License-Identifier: Apache-2.0
// ReadOnlyHost: a host that is elsewhere, of which something was saved: whatever would change it
// fails, and no path of it is one of this machine.
#pragma once

#include <string>
#include <string_view>

#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// Any thread.
class ReadOnlyHost : public HostSystem {
 public:
  ReadOnlyHost();

  bool is_saved() const final { return true; }

  Status write(std::string_view absolute, std::string_view text) const final;
  Result<bool> write_within(std::string_view absolute, std::string_view text,
                            std::chrono::milliseconds limit) const final;
  int try_write(std::string_view absolute, std::string_view text) const final;
  Status write_bytes(std::string_view absolute, std::uint64_t offset,
                     std::span<const std::byte> bytes) const final;
  Status load_module(const std::string& name) const final;
};

}  // namespace gpuvm
