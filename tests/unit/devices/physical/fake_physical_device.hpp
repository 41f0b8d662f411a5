// SPDX-License-Identifier: Apache-2.0
// FakePhysicalDevice: a physical device in memory (configuration space from a dump, BARs in memfds)
// that records every call.
#pragma once

#include <fmt/core.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "tests/unit/vmm/bus/fake_guest_bus.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/event_fd.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::test {

class FakePhysicalDevice : public PhysicalDevice {
 public:
  explicit FakePhysicalDevice(std::vector<std::byte> config, std::string name = "0000:01:00.0")
      : name_(std::move(name)), config_(std::move(config)) {
    regions_[7] = {.size = config_.size(), .readable = true, .writable = true};
  }

  /// A memory BAR behind a memfd.
  void add_bar(unsigned bar, std::uint64_t size, bool mappable = true) {
    files_[bar] = UniqueFd(::memfd_create("bar", MFD_CLOEXEC));
    require(::ftruncate(files_[bar].get(), static_cast<off_t>(size)) == 0);
    regions_[bar] = {.size = size,
                     .readable = true,
                     .writable = true,
                     .mappable = mappable,
                     .msix_mappable = true};
  }
  void add_rom(std::vector<std::byte> contents) {
    rom_ = std::move(contents);
    regions_[6] = {.size = rom_.size(), .readable = true};
  }
  RegionInfo& edit_region(unsigned index) { return regions_[index]; }
  void set_irq(IrqType type, std::uint32_t count) { irqs_[type] = {.count = count}; }
  std::vector<std::byte>& config() { return config_; }
  std::uint32_t config_dword(std::uint16_t offset) const {
    return load_at<std::uint32_t>(config_, offset).value_or(0);
  }
  void set_config(std::uint16_t offset, std::uint32_t value) {
    store_le(std::span(config_).subspan(offset, 4), value);
  }
  std::vector<std::byte> bar_bytes(unsigned bar, std::uint64_t offset, std::size_t count) const {
    std::vector<std::byte> bytes(count);
    [[maybe_unused]] const auto moved =
        ::pread(files_[bar].get(), bytes.data(), count, static_cast<off_t>(offset));
    return bytes;
  }
  void set_gone(bool gone) { gone_ = gone; }
  bool is_gone() const override { return gone_; }
  /// Called at each configuration write before it takes effect.
  std::function<void(std::uint64_t offset, std::uint64_t value)> on_config_write;

  std::uint32_t completers = 0;       ///< atomic_completers()
  std::optional<CardLink> card = {};  ///< card_link()
  bool can_function_reset = true;
  std::function<Status()> on_function_reset;

  History history;  ///< irq calls, configuration writes, maps, ROM reads
  /// The eventfds as the device has them now, by type.
  std::map<IrqType, std::vector<int>> irq_fds;
  bool fail_irqs = false;
  bool refuses_disable = false;  ///< says so of disable_irqs(), which works all the same
  std::optional<std::uint64_t> ignored_write;  ///< the hardware drops writes at this offset

  std::optional<std::vector<BarPlace>> places = {};  ///< bar_places()
  Result<std::optional<std::vector<BarPlace>>> bar_places() override { return places; }
  std::optional<CardLink> card_link() const override { return card; }
  const std::string& name() const override { return name_; }
  const RegionInfo& region(RegionIndex index) const override {
    return regions_[static_cast<std::uint32_t>(index)];
  }
  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override {
    TRY(check(index, offset, out.size()));
    if (index == RegionIndex::kConfig) {
      std::copy_n(config_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
      return {};
    }
    if (index == RegionIndex::kRom) {
      history.push_back("read rom");
      std::copy_n(rom_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
      return {};
    }
    const auto bar = static_cast<unsigned>(index);
    bar_sizes.push_back(out.size());
    [[maybe_unused]] const auto moved =
        ::pread(files_[bar].get(), out.data(), out.size(), static_cast<off_t>(offset));
    return {};
  }
  Status write(RegionIndex index, std::uint64_t offset, std::span<const std::byte> in) override {
    TRY(check(index, offset, in.size()));
    if (index == RegionIndex::kConfig) {
      history.push_back(fmt::format("config {:#x} <- {:#x}/{}", offset, load_le(in), in.size()));
      if (on_config_write) {
        on_config_write(offset, load_le(in));
      }
      if (offset == ignored_write) {
        return {};
      }
      std::copy(in.begin(), in.end(), config_.begin() + static_cast<std::ptrdiff_t>(offset));
      return {};
    }
    const auto bar = static_cast<unsigned>(index);
    bar_sizes.push_back(in.size());
    [[maybe_unused]] const auto moved =
        ::pwrite(files_[bar].get(), in.data(), in.size(), static_cast<off_t>(offset));
    return {};
  }
  Result<MappedRegion> map(RegionIndex index, RegionArea area, std::uint64_t alignment) override {
    const auto bar = static_cast<unsigned>(index);
    history.push_back(
        fmt::format("map {} {:#x}+{:#x} aligned {:#x}", bar, area.offset, area.size, alignment));
    return MappedRegion::create({.fd = files_[bar].get(),
                                 .offset = area.offset,
                                 .size = area.size,
                                 .alignment = alignment});
  }
  IrqInfo irq(IrqType type) const override {
    const auto found = irqs_.find(type);
    return found == irqs_.end() ? IrqInfo{} : found->second;
  }
  Status set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) override {
    history.push_back(fmt::format("irqs {} {}+{}", type_name(type), start, fds.size()));
    if (fail_irqs) {
      return fail(ErrorKind::kHost, "No vectors");
    }
    for (const auto& [other, connected] : irq_fds) {
      const bool both_reach_the_guest = type <= IrqType::kMsix && other <= IrqType::kMsix;
      if (other != type && both_reach_the_guest && !connected.empty()) {
        return fail(ErrorKind::kInternal, "Two interrupt types at once");
      }
    }
    irq_fds[type].assign(fds.begin(), fds.end());
    return {};
  }
  Status disable_irqs(IrqType type) override {
    history.push_back(fmt::format("disable {}", type_name(type)));
    irq_fds.erase(type);
    if (refuses_disable) {
      return fail(ErrorKind::kHost, "Not now");
    }
    return {};
  }
  Status set_intx_unmask_fd(int fd) override {
    history.emplace_back(fd >= 0 ? "unmask fd" : "no unmask fd");
    return {};
  }
  Status set_intx_masked(bool masked) override {
    history.emplace_back(masked ? "mask intx" : "unmask intx");
    return {};
  }
  std::uint32_t atomic_completers() const override { return completers; }
  bool has_function_reset() const override { return can_function_reset; }
  Status function_reset() override {
    history.emplace_back("function reset");
    return on_function_reset ? on_function_reset() : Status();
  }

  /// The hardware raises a vector.
  void fire(IrqType type, std::size_t vector) {
    const std::uint64_t one = 1;
    [[maybe_unused]] const auto moved = ::write(irq_fds.at(type).at(vector), &one, sizeof one);
  }
  std::size_t count(const std::string& prefix) const {
    return static_cast<std::size_t>(
        std::count_if(history.begin(), history.end(),
                      [&](const std::string& line) { return line.rfind(prefix, 0) == 0; }));
  }
  std::vector<std::size_t> bar_sizes;  ///< sizes of trapped accesses that arrived

 private:
  static void require(bool ok) {
    if (!ok) {
      std::abort();
    }
  }
  static const char* type_name(IrqType type) {
    switch (type) {
      case IrqType::kIntx:
        return "intx";
      case IrqType::kMsi:
        return "msi";
      case IrqType::kMsix:
        return "msix";
      default:
        return "other";
    }
  }
  Status check(RegionIndex index, std::uint64_t offset, std::size_t length) const {
    const auto& info = region(index);
    const bool any = index == RegionIndex::kConfig || index == RegionIndex::kRom;
    if (gone_ || offset > info.size || length > info.size - offset) {
      return fail(ErrorKind::kHost, "Device is gone or access is outside");
    }
    if (!any && (length > 8 || (length & (length - 1)) != 0 || offset % length != 0)) {
      return fail(ErrorKind::kInternal, "Access not naturally aligned");
    }
    return {};
  }

  const std::string name_;
  std::vector<std::byte> config_;
  std::vector<std::byte> rom_;
  std::array<RegionInfo, 9> regions_{};
  std::array<UniqueFd, 9> files_;
  std::map<IrqType, IrqInfo> irqs_;
  bool gone_ = false;
};

}  // namespace gpuvm::test
