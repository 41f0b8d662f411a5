// SPDX-License-Identifier: Apache-2.0
// FwCfg: the device by which virtual machines tell their firmware things: numbered items of bytes,
// read through a selector and a data port or copied by the device into guest memory. Sources:
// QEMU's docs/specs/fw_cfg.rst (register layout, keys, file directory, DMA descriptor), and
// edk2's OvmfPkg/Include/IndustryStandard/QemuFwCfg.h for the keys.
//
// All items are read-only. Missing: writable items (a write asked for by DMA reports an error) and
// the ACPI device QEMU0002, by which an operating system would find this.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/base/result.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

namespace fw_cfg {
inline constexpr IoPort kPort{0x510};

// Keys of items without a file name.
inline constexpr std::uint16_t kSignature = 0x00;
inline constexpr std::uint16_t kRevision = 0x01;
inline constexpr std::uint16_t kCpuCount = 0x05;
inline constexpr std::uint16_t kKernelSize = 0x08;
inline constexpr std::uint16_t kInitrdSize = 0x0b;
inline constexpr std::uint16_t kBootMenu = 0x0e;
inline constexpr std::uint16_t kCpuLimit = 0x0f;
inline constexpr std::uint16_t kKernelData = 0x11;
inline constexpr std::uint16_t kInitrdData = 0x12;
inline constexpr std::uint16_t kCommandLineSize = 0x14;
inline constexpr std::uint16_t kCommandLineData = 0x15;
inline constexpr std::uint16_t kSetupSize = 0x17;
inline constexpr std::uint16_t kSetupData = 0x18;
inline constexpr std::uint16_t kDirectory = 0x19;
inline constexpr std::uint16_t kFirstFile = 0x20;

/// The longest file name, without its NUL.
inline constexpr std::size_t kLongestName = 55;

// Bits of a DMA descriptor's control word.
inline constexpr std::uint32_t kDmaError = 1u << 0;
inline constexpr std::uint32_t kDmaRead = 1u << 1;
inline constexpr std::uint32_t kDmaSkip = 1u << 2;
inline constexpr std::uint32_t kDmaSelect = 1u << 3;
inline constexpr std::uint32_t kDmaWrite = 1u << 4;
}  // namespace fw_cfg

/// What an item holds. Called with the device's lock held.
class FwCfgItem {
 public:
  virtual ~FwCfgItem() = default;
  /// Bytes; at most 4 GiB less one.
  virtual std::uint64_t size() const = 0;
  /// Fills out from [offset, offset + out.size()), which is inside. False: it cannot be read.
  virtual bool read(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

class FwCfg : public IoHandler, public Resettable, public Inspectable {
 public:
  /// From kPort up: selector (2 bytes), data (the second of them), DMA address (8 at offset 4).
  static constexpr std::uint64_t kPortCount = 12;

  struct File {
    std::string name;  ///< as add_file() takes it, others are left out
    std::vector<std::byte> bytes;
  };

  /// memory must outlive this.
  explicit FwCfg(const GuestMemory& memory);

  // A key or name that is there is replaced. Any thread.
  void add(std::uint16_t key, std::unique_ptr<FwCfgItem> item) GPUVM_EXCLUDES(mutex_);
  void add(std::uint16_t key, std::vector<std::byte> bytes) GPUVM_EXCLUDES(mutex_);
  /// A number of 2 or 4 bytes, little-endian.
  void add_number(std::uint16_t key, std::uint64_t value, unsigned size);
  /// Errors: kInternal for a name that is empty or too long.
  Status add_file(const std::string& name, std::unique_ptr<FwCfgItem> item) GPUVM_EXCLUDES(mutex_);
  Status add_file(const std::string& name, std::vector<std::byte> bytes);

  /// Called whenever the guest asks for the directory, which it does before it reads a file: time
  /// to make contents that depend on what the guest did. What it returns is added, all at once.
  /// From a vCPU's thread, or several at once; the device answers others meanwhile. Set before
  /// vCPUs run.
  void set_before_directory(std::function<std::vector<File>()> make) {
    before_directory_ = std::move(make);
  }

  std::string_view name() const override { return "fw_cfg"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  /// Survives: the items.
  void reset() override;
  void inspect(InspectNode& node) const override;

 private:
  struct State {
    std::uint16_t selected = 0;
    std::uint64_t offset = 0;  ///< next byte of the selected item
    std::uint32_t dma_address_high = 0;
  };

  void prepare(std::uint16_t key) GPUVM_EXCLUDES(mutex_);
  void set(std::uint16_t key, std::unique_ptr<FwCfgItem> item) GPUVM_REQUIRES(mutex_);
  Status set_file(const std::string& name, std::unique_ptr<FwCfgItem> item) GPUVM_REQUIRES(mutex_);
  void select(std::uint16_t key) GPUVM_REQUIRES(mutex_);
  const FwCfgItem* selected() const GPUVM_REQUIRES(mutex_);
  std::vector<std::byte> directory() const GPUVM_REQUIRES(mutex_);
  /// The next bytes; zeros past the item's end. False: the item cannot be read.
  bool read_next(std::span<std::byte> out) GPUVM_REQUIRES(mutex_);
  std::optional<GuestAddress> write_dma_address(std::uint64_t offset, std::uint32_t value)
      GPUVM_EXCLUDES(mutex_);
  void run_dma(GuestAddress descriptor) GPUVM_EXCLUDES(mutex_);
  std::uint32_t run_command(std::uint32_t control, std::uint32_t length, GuestAddress target)
      GPUVM_EXCLUDES(mutex_);

  const GuestMemory& memory_;
  std::function<std::vector<File>()> before_directory_;
  log::RateLimit limit_;
  Mutex making_;         ///< held while before_directory_ runs: tables take memory, once is enough
  mutable Mutex mutex_;  ///< not held while before_directory_ runs
  std::map<std::uint16_t, std::unique_ptr<FwCfgItem>> items_ GPUVM_GUARDED_BY(mutex_);
  std::map<std::string, std::uint16_t> files_ GPUVM_GUARDED_BY(mutex_);
  State state_ GPUVM_GUARDED_BY(mutex_);
  /// How often the guest selected an item.
  std::map<std::uint16_t, std::uint64_t> selections_ GPUVM_GUARDED_BY(mutex_);
};

}  // namespace gpuvm
