// SPDX-License-Identifier: Apache-2.0
// PostCodePort: port 0x80, where firmware writes how far it came (and where Linux's serial driver
// writes to pass time). The last code is kept for `gpuvm inspect`. Reads give all ones, as a POST
// card does.
#pragma once

#include <atomic>
#include <cstdint>

#include "vmm/base/address.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"

namespace gpuvm {

inline constexpr IoPort kPostCodePort{0x80};

class PostCodePort : public IoHandler, public Resettable, public Inspectable {
 public:
  std::string_view name() const override { return "POST code"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  /// Survives: the count of writes.
  void reset() override { last_.store(0); }
  void inspect(InspectNode& node) const override;

 private:
  std::atomic<std::uint8_t> last_{0};
  std::atomic<std::uint64_t> writes_{0};
};

}  // namespace gpuvm
