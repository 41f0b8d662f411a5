// SPDX-License-Identifier: Apache-2.0
// Functions of a report behind the interfaces of the reset plan and the facts: what gpuvm would do
// with a card can be told from its report. What VFIO said counts, where it is recorded. Values are
// of whoever wrote the file, and hostile.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "devices/passthrough/function_facts.hpp"
#include "devices/physical/physical_device.hpp"
#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

/// Reads of configuration space, and of registers that are recorded; everything else fails. One
/// thread.
class RecordedFunction : public PhysicalDevice {
 public:
  /// `record` must outlive this.
  explicit RecordedFunction(const FunctionRecord& record);

  const FunctionRecord& record() const { return record_; }
  const RecordedHotReset& hot_reset() const;

  const std::string& name() const override { return name_; }
  const RegionInfo& region(RegionIndex index) const override;
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override;
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override;
  Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) override;
  IrqInfo irq(IrqType type) const override;
  Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) override;
  Status disable_irqs(IrqType) override { return {}; }
  Status set_intx_unmask_fd(int fd) override;
  Status set_intx_masked(bool masked) override;
  std::uint32_t atomic_completers() const override;
  DriverAnswer driver_answer() const override;
  bool has_function_reset() const override;
  Status function_reset() override;

 protected:
  std::vector<std::byte>& config() { return config_; }

 private:
  Error refuse() const;

  const FunctionRecord& record_;
  const std::string name_;
  std::vector<std::byte> config_;
  RegionInfo config_region_;
};

/// Knows what a hot reset of recorded functions would cover.
class RecordedHost : public PhysicalHost {
 public:
  Status map_dma(Iova at, const DmaMemory& memory) override;
  Status unmap_dma(Iova at, std::uint64_t size) override;
  /// Of a RecordedFunction.
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) override;
  Status hot_reset(PhysicalDevice& device) override;
};

/// By what VFIO said, or else by what sysfs shows. Errors: kHost (it does not answer), kConfig (a
/// bridge).
Result<FunctionFacts> recorded_facts(const FunctionRecord& record);

}  // namespace gpuvm
