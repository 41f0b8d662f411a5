// SPDX-License-Identifier: Apache-2.0
// A function with a configuration space of bytes, and a host with hot resets, that record every
// call which changes something. Resets do what the test says, by default nothing at all: a test
// that wants a device to be well afterwards must make it so.
#pragma once

#include <array>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "devices/physical/reset/function_state.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {

using History = std::vector<std::string>;

class FakeResetDevice : public PhysicalDevice {
 public:
  FakeResetDevice(History& history, std::string name) : history_(history), name_(std::move(name)) {
    set16(0x00, 0x1234);
    set16(0x02, 0x5678);
    set16(0x06, 0x0010);  // has capabilities
    set16(0x0a, 0x0300);  // class: VGA
    config[0x0e] = std::byte{0x80};
    config[0x34] = std::byte{kPower};
    set16(kPower, 0x5001);
    set16(kMsi, 0x6005);
    set16(kExpress, 0x9010);
    set16(kMsix, 0x0011);
    set16(kExpress + 0x12, 0x0083);  // generation 3, x8
    regions.at(0) = {0x1000000, true, true, true, false, {}};
    regions.at(7) = {0x100, true, true, false, false, {}};
  }
  static constexpr std::uint8_t kPower = 0x40;
  static constexpr std::uint8_t kMsi = 0x50;
  static constexpr std::uint8_t kExpress = 0x60;
  static constexpr std::uint8_t kMsix = 0x90;

  std::uint16_t get16(std::size_t offset) const {
    return static_cast<std::uint16_t>(load_le(std::span(config).subspan(offset, 2)));
  }
  void set16(std::size_t offset, std::uint16_t value) {
    store_le(std::span(config).subspan(offset, 2), value);
  }
  /// As a running guest leaves it.
  void make_busy() {
    set16(0x04, 0x0506);
    set16(kMsi + 2, 0x0081);
    set16(kMsix + 2, 0x8003);
  }

  /// Extended configuration space with a Resizable BAR capability behind another one.
  void make_resizable(std::uint16_t size_code) {
    regions.at(7).size = config.size();
    set16(0x100, 0x0001);
    set16(0x102, 0x1401);  // next: 0x140
    set16(0x140, 0x0015);
    set16(0x142, 0x0001);
    set16(0x148, static_cast<std::uint16_t>(size_code << 8 | 1 << 5));
  }

  const std::string& name() const override { return name_; }
  const RegionInfo& region(RegionIndex index) const override {
    return regions.at(static_cast<std::size_t>(index));
  }
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override {
    if (index == RegionIndex::kConfig) {
      if (keeps_ids && offset < 4) {
        std::copy_n(config.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
        return {};
      }
      if (is_gone || not_ready_reads > 0) {
        not_ready_reads -= not_ready_reads > 0 ? 1 : 0;
        std::fill(out.begin(), out.end(), std::byte{0xff});
        return {};
      }
      std::copy_n(config.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
      return {};
    }
    // The host's kernel refuses BAR accesses while memory decode is off.
    if ((get16(0x04) & 2) == 0) {
      return fail(ErrorKind::kHost, "decode is off");
    }
    if (is_silent) {
      std::fill(out.begin(), out.end(), std::byte{0xff});
      return {};
    }
    store_le(out, registers[offset]);
    return {};
  }
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override {
    if (index != RegionIndex::kConfig) {
      registers[offset] = static_cast<std::uint32_t>(load_le(in));
      return {};
    }
    history_.push_back(fmt::format("{} config {:#x} = {:#x}", name_, offset, load_le(in)));
    if (is_power_stuck && offset == kPower + 4) {
      return {};
    }
    if (!is_gone) {
      std::copy(in.begin(), in.end(), config.begin() + static_cast<std::ptrdiff_t>(offset));
    }
    if (has_backup && offset == 0x04 && !in.empty() && (in[0] & std::byte{2}) != std::byte{0}) {
      for (BarPlace& place : places.value()) {
        place.hardware = place.host;
      }
    }
    if (on_config_write) {
      on_config_write();
    }
    return {};
  }
  Result<MappedRegion> map(RegionIndex, RegionArea, std::uint64_t) override {
    return fail(ErrorKind::kInternal, "not here");
  }
  IrqInfo irq(IrqType type) const override {
    return type <= IrqType::kMsix ? IrqInfo{1, true} : IrqInfo{};
  }
  Status set_irq_fds(IrqType, std::uint32_t, std::span<const int>) override { return {}; }
  Status disable_irqs(IrqType type) override {
    static constexpr std::array<const char*, 3> kNames{"INTx", "MSI", "MSI-X"};
    history_.push_back(name_ + " disable " + kNames.at(static_cast<std::size_t>(type)));
    return {};
  }
  Status set_intx_unmask_fd(int) override { return {}; }
  Status set_intx_masked(bool) override { return {}; }
  bool is_virtual_function() const override { return is_virtual; }
  Result<std::optional<std::vector<BarPlace>>> bar_places() override { return places; }
  bool is_withheld() const override { return is_taken; }
  bool has_function_reset() const override { return can_function_reset; }
  Status function_reset() override {
    history_.push_back(name_ + " function reset");
    return on_function_reset ? on_function_reset() : Status();
  }

  std::array<std::byte, 4096> config{};
  std::array<RegionInfo, 9> regions;
  std::map<std::uint64_t, std::uint32_t> registers;
  bool can_function_reset = true;
  bool is_gone = false;
  bool is_virtual = false;  ///< is_virtual_function()
  bool is_silent = false;   ///< its BARs read all ones
  bool is_taken = false;    ///< is_withheld()
  bool has_backup = false;  ///< as VFIO that was opened in time: memory decode mends BAR registers
  std::optional<std::vector<BarPlace>> places;  ///< bar_places()
  bool is_power_stuck = false;
  bool keeps_ids = false;  ///< as vfio-pci, which makes vendor and device id up
  int not_ready_reads = 0;
  std::function<Status()> on_function_reset;
  std::function<void()> on_config_write;

 private:
  History& history_;
  std::string name_;
};

class FakeResetHost : public PhysicalHost {
 public:
  explicit FakeResetHost(History& history) : history_(history) {}
  Status map_dma(Iova, const DmaMemory&) override { return {}; }
  Status unmap_dma(Iova, std::uint64_t) override { return {}; }
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice& device) override {
    for (const auto& set : sets) {
      for (const HotResetMember& member : set) {
        if (member.bdf.to_string() == device.name()) {
          return set;
        }
      }
    }
    return fail(ErrorKind::kHost, "The kernel offers no hot reset of {}", device.name());
  }
  Status hot_reset(PhysicalDevice& device) override {
    history_.push_back("hot reset at " + device.name());
    return on_hot_reset ? on_hot_reset() : Status();
  }

  Status check_link_retrain(PhysicalDevice& device) override {
    return can_retrain ? Status() : PhysicalHost::check_link_retrain(device);
  }
  Status retrain_link(PhysicalDevice& device) override {
    history_.push_back("retrain at " + device.name());
    return on_retrain ? on_retrain() : Status();
  }

  std::vector<std::vector<HotResetMember>> sets;
  std::function<Status()> on_hot_reset;
  bool can_retrain = false;
  std::function<Status()> on_retrain;

 private:
  History& history_;
};

/// A clock that only moves by sleeping; records sleeps that are no polls.
struct FakeClock {
  std::chrono::milliseconds time{0};
  std::vector<std::chrono::milliseconds> sleeps;
  ResetClock clock() {
    return {[this] { return time; },
            [this](std::chrono::milliseconds length) {
              sleeps.push_back(length);
              time += length;
            }};
  }
};

inline HotResetMember member(std::string_view bdf, std::uint32_t group = 13) {
  return {*Bdf::parse(bdf), group};
}

}  // namespace gpuvm
