// SPDX-License-Identifier: Apache-2.0
// VirtioUnderFuzz: a virtio disk with two queues as a guest has it, over a disk in memory, served
// by SynchronousQueues; the steps of a driver that a fuzzer should not have to find by itself; and
// what the host does meanwhile. For the targets virtio_pci and machine.
#pragma once

#include <cstring>
#include <memory>

#include "devices/virtio/block/block_device.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "tests/fuzz/machine/fresh_memory.hpp"
#include "tests/fuzz/machine/pci_hierarchy.hpp"
#include "tests/fuzz/machine/synchronous_queues.hpp"

namespace gpuvm::fuzz {

class MemoryDisk : public Disk {
 public:
  const Geometry& geometry() const override { return geometry_; }
  Status read(std::uint64_t offset, std::span<const iovec> pieces) override {
    for (const auto& piece : pieces) {
      check(offset, piece.iov_len);
      std::memset(piece.iov_base, 0x5a, piece.iov_len);
      offset += piece.iov_len;
    }
    return {};
  }
  Status write(std::uint64_t offset, std::span<const iovec> pieces) override {
    for (const auto& piece : pieces) {
      check(offset, piece.iov_len);
      offset += piece.iov_len;
    }
    return {};
  }
  Status flush() override { return {}; }
  Status discard(std::uint64_t offset, std::uint64_t length) override {
    check(offset, length);
    return {};
  }
  Status write_zeroes(std::uint64_t offset, std::uint64_t length, Unmap) override {
    check(offset, length);
    return {};
  }

 private:
  void check(std::uint64_t offset, std::uint64_t length) const {
    must(offset <= geometry_.size && length <= geometry_.size - offset, "the disk has an end");
  }
  const Geometry geometry_{.size = 64_KiB};
};

class VirtioUnderFuzz {
 public:
  static constexpr std::uint64_t kBar = 0x90000000;  ///< at power-on
  static constexpr std::uint16_t kQueues = 2;

  VirtioUnderFuzz(const GuestMemory& memory, CheckedGuest& guest, BarSpace& space)
      : memory_(memory), disk_("disk", "serial", bytes_, {.queues = kQueues}) {
    auto backend = std::make_unique<SynchronousQueues>(disk_);
    backend_ = backend.get();
    function_ = VirtioPci::create({.device = disk_,
                                   .backend = std::move(backend),
                                   .memory = memory,
                                   .intx_pin = Gsi(20),
                                   .mmio = guest.mmio,
                                   .doorbells = guest.doorbells,
                                   .msi = guest.msi,
                                   .pins = guest.pins,
                                   .bar_space = space})
                    .value();
    must(function_->bars().set_power_on_address(0, kBar), "the BAR has a place");
  }
  ~VirtioUnderFuzz() { function_->quiesce(); }
  VirtioUnderFuzz(const VirtioUnderFuzz&) = delete;
  VirtioUnderFuzz& operator=(const VirtioUnderFuzz&) = delete;

  VirtioPci& function() { return *function_; }

  /// To be called after each step: serves, and looks whether the driver has reset the device.
  void follow() {
    std::array<std::byte, 1> status{};
    static_cast<void>(function_->read(virtio::kDeviceStatus, status));
    if (status[0] == std::byte{0}) {
      must(!backend_->is_running(), "a device that was reset rests");
      backend_->forget();
    }
    backend_->serve();
  }
  /// What a driver writes until its device runs, with one queue or both; `how`: bit 0 both, bit 1
  /// indirect descriptors, bit 2 an event index, bit 3 MSI-X, bits 4 to 6 log2 of a queue's size.
  void bring_up(std::uint8_t how) {
    function_->config_write(pci::kCommand, 6, 0xffff);
    set(virtio::kDeviceStatus, 1, 0);
    follow();
    set(virtio::kDeviceStatus, 1, virtio::kStatusAcknowledge | virtio::kStatusDriver);
    set(virtio::kDriverFeatureSelect, 4, 1);
    set(virtio::kDriverFeature, 4, 1);
    set(virtio::kDriverFeatureSelect, 4, 0);
    set(virtio::kDriverFeature, 4,
        virtio_block::kFeatureFlush | ((how & 2) != 0 ? virtio::kFeatureIndirect : 0) |
            ((how & 4) != 0 ? virtio::kFeatureEventIndex : 0));
    set(virtio::kDeviceStatus, 1, 0x0b);
    for (std::uint16_t queue = 0; queue < ((how & 1) != 0 ? kQueues : 1); ++queue) {
      const std::uint64_t at = table_of(queue);
      set(virtio::kQueueSelect, 2, queue);
      set(virtio::kQueueSize, 2, std::uint64_t{1} << (how >> 4 & 7));
      set(virtio::kQueueDescriptors, 4, at);
      set(virtio::kQueueDriver, 4, at + 0x1000);
      set(virtio::kQueueDevice, 4, at + 0x2000);
      set(virtio::kQueueVector, 2, (how & 8) != 0 ? queue : virtio::kNoVector);
      set(virtio::kQueueEnable, 2, 1);
    }
    set(virtio::kDeviceStatus, 1, 0x0f);
  }
  /// Writes a request into the memory of a queue: a header, data, a status; then rings.
  void offer(Input& input) {
    const auto how = input.byte();
    const std::uint64_t at = table_of(how & 1);
    const std::uint64_t header = 0x10000 + std::uint64_t{how & 0xe0U} * 0x10;
    put(header, 4, input.byte() % 16);
    put(header + 8, 8, (how & 2) != 0 ? input.take(8) : input.byte());
    const std::uint16_t data_flags =
        static_cast<std::uint16_t>(((how & 4) != 0 ? 2 : 0) | virtio::kDescriptorNext);
    descriptor(at, {header, 16, virtio::kDescriptorNext, 1});
    descriptor(at + 16, {header + 16, (how & 8) != 0 ? input.dword() : 512U, data_flags, 2});
    descriptor(at + 32, {header + 0x1000, 1, virtio::kDescriptorWrite, 0});
    std::array<std::byte, 2> index{};
    static_cast<void>(memory_.read(GuestAddress(at + 0x1002), index));
    put(at + 0x1002, 2, load_le(index) + 1 + ((how & 16) != 0 ? input.byte() : 0U));
    set(virtio_bar::kNotify + (how & 1U) * virtio_bar::kNotifyMultiplier, 2, how & 1U);
  }
  /// One register of the common configuration, by its natural width or another.
  void use_register(Input& input) {
    struct Field {
      std::uint16_t offset;
      std::uint8_t size;
    };
    static constexpr Field kFields[] = {
        {virtio::kDeviceFeatureSelect, 4},  {virtio::kDeviceFeature, 4},
        {virtio::kDriverFeatureSelect, 4},  {virtio::kDriverFeature, 4},
        {virtio::kConfigVector, 2},         {virtio::kDeviceStatus, 1},
        {virtio::kQueueSelect, 2},          {virtio::kQueueSize, 2},
        {virtio::kQueueVector, 2},          {virtio::kQueueEnable, 2},
        {virtio::kQueueNotifyOffset, 2},    {virtio::kQueueDescriptors, 4},
        {virtio::kQueueDriver, 4},          {virtio::kQueueDevice, 4},
        {virtio::kQueueDescriptors + 4, 4}, {virtio_bar::kNotify, 2}};
    const auto which = input.byte();
    const auto field = kFields[which % std::size(kFields)];
    Access access(input);
    const std::size_t size = (which & 0x80) != 0 ? access.size() : field.size;
    if (access.is_write()) {
      const auto value = load_le(access.value(input));
      set(field.offset, size, (which & 0x40) != 0 ? value & 0xff : value);
      if (field.offset >= virtio::kQueueSize && field.offset < virtio::kCommonSize) {
        function_->pause();  // what has changed of a queue shows where it is served anew
        function_->resume();
      }
    } else {
      std::array<std::byte, 8> bytes{};
      static_cast<void>(function_->read(field.offset, std::span(bytes).first(size)));
    }
  }
  /// What the host does.
  void disturb(std::uint8_t what) {
    switch (what % 8) {
      case 0:
        function_->expect_rest();
        function_->pause();
        break;
      case 1:
        function_->resume();
        break;
      case 2:
        function_->quiesce();
        function_->reset();
        backend_->forget();
        break;
      case 3:
        disk_.resize((what & 0x80) != 0 ? 32_KiB : 64_KiB);
        break;
      case 4:
        backend_->set_refuses((what & 0x80) != 0);
        break;
      default:
        look();
    }
  }
  void look() const {
    InspectNode node;
    function_->inspect(node);
    static_cast<void>(node.to_json());
  }

 private:
  static constexpr std::uint64_t table_of(unsigned queue) { return 0x1000 + queue * 0x4000U; }

  void set(std::uint64_t offset, std::size_t size, std::uint64_t value) {
    std::array<std::byte, 8> bytes{};
    store_le(bytes, value);
    static_cast<void>(function_->write(offset, std::span<const std::byte>(bytes).first(size)));
  }
  void put(std::uint64_t at, std::size_t size, std::uint64_t value) const {
    std::array<std::byte, 8> bytes{};
    store_le(bytes, value);
    static_cast<void>(
        memory_.write(GuestAddress(at), std::span<const std::byte>(bytes).first(size)));
  }
  void descriptor(std::uint64_t at, const virtio::Descriptor& value) const {
    static_cast<void>(memory_.write(GuestAddress(at), std::as_bytes(std::span(&value, 1))));
  }

  const GuestMemory& memory_;
  MemoryDisk bytes_;
  BlockDevice disk_;
  SynchronousQueues* backend_ = nullptr;  ///< the function's
  std::unique_ptr<VirtioPci> function_;
};

}  // namespace gpuvm::fuzz
