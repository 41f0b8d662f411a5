// SPDX-License-Identifier: Apache-2.0
// HostileFunction: a physical function whose configuration space, regions and interrupts are a
// fuzzer's input, over memory of this process. It ends the process where what a guest does reaches
// it in a way that it must not: outside of a region, unaligned, at the registers of MSI and MSI-X
// (which are the host's), or while it is in a reset.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "tests/fuzz/input.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::fuzz {

class HostileFunction : public PhysicalDevice {
 public:
  /// Takes from the input how it differs from a graphics card with three BARs, a ROM, MSI of 32
  /// vectors, MSI-X of 64, PCI Express with FLR, Advanced Features and some extended capabilities.
  explicit HostileFunction(Input& input);
  HostileFunction(const HostileFunction&) = delete;
  HostileFunction& operator=(const HostileFunction&) = delete;

  /// Whether the guest reaches some bytes of this process without an exit.
  using Reaches = std::function<bool(std::span<const std::byte>)>;
  void set_reaches(Reaches reaches) { reaches_ = std::move(reaches); }
  void set_gone(bool gone) { gone_ = gone; }
  void set_refuses_irqs(bool refuses) { refuses_irqs_ = refuses; }
  void set_refuses_reset(bool refuses) { refuses_reset_ = refuses; }
  /// From now on until end_bus_reset() nothing may touch it, and the guest may not reach it.
  void begin_bus_reset();
  void end_bus_reset() { in_reset_ = false; }
  /// The hardware raises all vectors that it has.
  void fire() const;
  /// What a function level reset or a bus reset leaves: the guest has nothing of it.
  void must_be_out_of_reach() const;

  const std::string& name() const override { return name_; }
  bool is_gone() const override { return gone_; }
  const RegionInfo& region(RegionIndex index) const override;
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override;
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override;
  Status write_on_event(RegionIndex index, std::uint64_t offset, unsigned size, std::uint64_t value,
                        int event_fd) override;
  Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) override;
  IrqInfo irq(IrqType type) const override;
  Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) override;
  Status disable_irqs(IrqType type) override;
  Status set_intx_unmask_fd(int) override { return {}; }
  Status set_intx_masked(bool) override { return {}; }
  bool has_function_reset() const override { return true; }
  Status function_reset() override;

 private:
  static constexpr unsigned kRegions = 9;
  /// Registers of a capability that no write of a guest's may reach.
  struct HostRegisters {
    std::uint16_t offset = 0;
    std::uint16_t size = 0;  ///< 0: it has none
  };

  void add_bar(unsigned bar, std::uint64_t size, bool is_mappable);
  void shape(Input& input);
  void find_host_registers();
  Status check(RegionIndex index, std::uint64_t offset, std::size_t size) const;

  const std::string name_ = "0000:01:00.0";
  std::vector<std::byte> config_;
  std::vector<std::byte> rom_;
  std::array<RegionInfo, kRegions> regions_{};
  std::array<UniqueFd, 6> files_;
  std::array<std::span<const std::byte>, 16> mapped_{};  ///< what map() gave away, the last ones
  std::size_t maps_ = 0;
  std::array<std::vector<int>, 3> irq_fds_;  ///< by type
  std::array<std::uint32_t, 3> irq_counts_{1, 32, 2048};
  HostRegisters msi_;
  HostRegisters msix_;
  std::uint16_t power_ = 0;  ///< offset of power management's control
  Reaches reaches_;
  bool gone_ = false;
  bool refuses_irqs_ = false;
  bool refuses_reset_ = false;
  bool in_reset_ = false;
};

}  // namespace gpuvm::fuzz
