// SPDX-License-Identifier: Apache-2.0
// ConfigWindow: an index and a data register in a BAR by which a driver reaches another part of the
// device; where the index lies in a mirror of configuration space, the data is the virtual one's.
// Everything else goes to the hardware, the index too, so that it stays right there. Facts: QEMU,
// hw/vfio/pci-quirks.c, the NVIDIA BAR 5 and ATI BAR 4 quirks.
#pragma once

#include <vector>

#include "devices/passthrough/quirks/config_mirror.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm {

class ConfigWindow final : public BarOverlay {
 public:
  /// An index from base to base + size - 1 means configuration space from its start.
  struct Target {
    std::uint32_t base;
    std::uint32_t size;
  };
  struct Options {
    PhysicalDevice& device;
    unsigned bar;
    std::uint64_t index;  ///< offset of the index register, 4 bytes
    std::uint64_t data;   ///< of the data register, 4 bytes
    std::vector<Target> targets;
    /// Registers whose bit 0 must all be set for the window to work: NVIDIA's master and enable.
    std::vector<std::uint64_t> enables;
    ConfigAccess config;
  };
  explicit ConfigWindow(Options options)
      : options_(std::move(options)), enabled_(options_.enables.size(), false) {}

  bool touches(std::uint64_t offset, std::uint64_t length) const override;
  IoStatus overlay_read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus overlay_write(std::uint64_t offset, std::span<const std::byte> in) override;
  /// After a reset of the device.
  void reset();

 private:
  /// Offset in configuration space that the data register stands for now, plus `byte`.
  std::optional<std::uint64_t> target(std::uint64_t byte, std::size_t length) const;
  void note_registers(std::uint64_t offset, std::span<const std::byte> in);

  const Options options_;
  mutable Mutex mutex_;  ///< not held while config or device are called
  std::uint32_t index_ GPUVM_GUARDED_BY(mutex_) = 0;
  std::vector<bool> enabled_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
