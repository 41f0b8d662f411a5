// SPDX-License-Identifier: Apache-2.0
// MemorySlotTable, InterruptRouting and DoorbellTable before a fake kernel that checks what it is
// told: one after the other, and from several threads at once.
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <set>
#include <thread>

#include "vmm/base/units.hpp"
#include "vmm/kvm/doorbell_table.hpp"
#include "vmm/kvm/interrupt_routing.hpp"
#include "vmm/kvm/kvm_uapi.hpp"
#include "vmm/kvm/memory_slot_table.hpp"

namespace gpuvm::tables_test {
namespace {

/// Keeps what KVM would, refuses what KVM would.
class FakeVm {
 public:
  VmIoctl calls() {
    return [this](unsigned long request, void* argument) {
      const MutexLock lock(mutex_);
      const int error = std::exchange(error_of_next_, 0) != 0 ? EIO : answer(request, argument);
      errno = error;
      return error == 0 ? 0 : -1;
    };
  }
  void fail_next() {
    const MutexLock lock(mutex_);
    error_of_next_ = EIO;
  }
  std::size_t slots() {
    const MutexLock lock(mutex_);
    return slots_.size();
  }
  std::size_t doorbells() {
    const MutexLock lock(mutex_);
    return doorbells_.size();
  }
  std::size_t irqfds() {
    const MutexLock lock(mutex_);
    return irqfds_.size();
  }
  /// Where an MSI of this GSI goes: its data, 0 without a route.
  std::uint32_t msi_data(Gsi gsi) {
    const MutexLock lock(mutex_);
    return msis_[gsi.value()];
  }
  unsigned routings() {
    const MutexLock lock(mutex_);
    return routings_;
  }

 private:
  int answer(unsigned long request, const void* argument) GPUVM_REQUIRES(mutex_) {
    switch (request) {
      case KVM_SET_USER_MEMORY_REGION:
        return set_slot(*static_cast<const kvm_userspace_memory_region*>(argument));
      case KVM_IOEVENTFD:
        return set_doorbell(*static_cast<const kvm_ioeventfd*>(argument));
      case KVM_IRQFD:
        return set_irqfd(*static_cast<const kvm_irqfd*>(argument));
      case kvm_uapi::kSetGsiRouting:
        return set_routing(static_cast<const std::byte*>(argument));
      default:
        return request == KVM_IRQ_LINE ? 0 : ENOTTY;
    }
  }
  int set_slot(const kvm_userspace_memory_region& region) GPUVM_REQUIRES(mutex_) {
    if (region.memory_size == 0) {
      return slots_.erase(region.slot) == 1 ? 0 : EINVAL;
    }
    const auto range =
        *GuestRange::create(GuestAddress(region.guest_phys_addr), region.memory_size);
    for (const auto& [id, used] : slots_) {
      if (id == region.slot || used.overlaps(range)) {
        return EEXIST;
      }
    }
    slots_.emplace(region.slot, range);
    return 0;
  }
  int set_doorbell(const kvm_ioeventfd& doorbell) GPUVM_REQUIRES(mutex_) {
    if ((doorbell.flags & KVM_IOEVENTFD_FLAG_DEASSIGN) != 0) {
      return doorbells_.erase(doorbell.addr) == 1 ? 0 : ENOENT;
    }
    return doorbells_.insert(doorbell.addr).second ? 0 : EEXIST;
  }
  int set_irqfd(const kvm_irqfd& irqfd) GPUVM_REQUIRES(mutex_) {
    if ((irqfd.flags & KVM_IRQFD_FLAG_DEASSIGN) != 0) {
      return irqfds_.erase(irqfd.fd) == 1 ? 0 : EINVAL;
    }
    const bool routed = irqfd.gsi < InterruptRouting::kIoApicPins || msis_[irqfd.gsi] != 0;
    return routed && irqfds_.insert(irqfd.fd).second ? 0 : EBUSY;
  }
  int set_routing(const std::byte* bytes) GPUVM_REQUIRES(mutex_) {
    ++routings_;
    kvm_uapi::RoutingHead head{};
    std::memcpy(&head, bytes, sizeof head);
    msis_.clear();
    for (std::uint32_t i = 0; i < head.nr; ++i) {
      kvm_irq_routing_entry entry{};
      std::memcpy(&entry, bytes + sizeof head + i * sizeof entry, sizeof entry);
      if (entry.type == KVM_IRQ_ROUTING_MSI && !msis_.emplace(entry.gsi, entry.u.msi.data).second) {
        return EINVAL;
      }
    }
    return 0;
  }

  Mutex mutex_;
  int error_of_next_ GPUVM_GUARDED_BY(mutex_) = 0;
  std::map<std::uint32_t, GuestRange> slots_ GPUVM_GUARDED_BY(mutex_);
  std::set<std::uint64_t> doorbells_ GPUVM_GUARDED_BY(mutex_);
  std::set<std::uint32_t> irqfds_ GPUVM_GUARDED_BY(mutex_);
  std::map<std::uint32_t, std::uint32_t> msis_ GPUVM_GUARDED_BY(mutex_);
  unsigned routings_ GPUVM_GUARDED_BY(mutex_) = 0;
};

constexpr std::uint64_t kMsiAddress = 0xfee00000;

/// Host memory that nobody touches.
std::span<std::byte> pages(std::size_t count) {
  alignas(kPageSize) static std::byte memory[8 * kPageSize];
  return std::span(memory).first(count * kPageSize);
}

/// Calls `work` with a number on each of three threads, and `watch` on this one meanwhile.
template <class Work, class Watch>
void at_once(const Work& work, const Watch& watch) {
  std::atomic<unsigned> working{3};
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 3; ++i) {
    threads.emplace_back([&work, &working, i] {
      work(i);
      --working;
    });
  }
  while (working != 0) {
    watch();
  }
  for (auto& thread : threads) {
    thread.join();
  }
}

// What the kernel refused is not in force, and the same update must try again.
TEST(InterruptRouting, AFailedUpdateChangesNothing) {
  FakeVm vm;
  InterruptRouting routing;
  ASSERT_TRUE(routing.attach(vm.calls()));
  const auto gsi = routing.connect(7, {kMsiAddress, 0x41});
  ASSERT_TRUE(gsi);
  vm.fail_next();
  EXPECT_FALSE(routing.update(*gsi, {kMsiAddress, 0x42}));
  EXPECT_EQ(vm.msi_data(*gsi), 0x41U);
  ASSERT_TRUE(routing.update(*gsi, {kMsiAddress, 0x42}));
  EXPECT_EQ(vm.msi_data(*gsi), 0x42U);
}

TEST(InterruptRouting, AnUpdateThatChangesNothingCostsNothing) {
  FakeVm vm;
  InterruptRouting routing;
  ASSERT_TRUE(routing.attach(vm.calls()));
  const auto gsi = routing.connect(7, {kMsiAddress, 0x41});
  ASSERT_TRUE(gsi);
  const auto before = vm.routings();
  EXPECT_TRUE(routing.update(*gsi, {kMsiAddress, 0x41}));
  EXPECT_EQ(vm.routings(), before);
  EXPECT_FALSE(routing.update(Gsi(gsi->value() + 1), {kMsiAddress, 0x41}));
}

TEST(InterruptRouting, AFailedConnectLeavesNothing) {
  FakeVm vm;
  InterruptRouting routing;
  ASSERT_TRUE(routing.attach(vm.calls()));
  vm.fail_next();
  EXPECT_FALSE(routing.connect(7, {kMsiAddress, 0x41}));
  EXPECT_EQ(routing.route_count(), 0U);
  EXPECT_EQ(vm.irqfds(), 0U);
  EXPECT_TRUE(routing.connect(7, {kMsiAddress, 0x41}));
}

// A device may leave while the machine reboots: its irqfds went with the VM.
TEST(InterruptRouting, BetweenTwoVmsRoutesCanGo) {
  FakeVm vm;
  InterruptRouting routing;
  ASSERT_TRUE(routing.attach(vm.calls()));
  const auto gsi = routing.connect(7, {kMsiAddress, 0x41});
  ASSERT_TRUE(gsi);
  routing.detach();
  routing.set_level(Gsi(4), true);
  EXPECT_FALSE(routing.connect(8, {kMsiAddress, 0x42}));
  EXPECT_FALSE(routing.connect_level(Gsi(16), 9, 10));
  routing.disconnect(*gsi, 7);
  EXPECT_EQ(routing.route_count(), 0U);
  FakeVm next;
  ASSERT_TRUE(routing.attach(next.calls()));
  EXPECT_EQ(next.msi_data(*gsi), 0U);
}

TEST(InterruptRouting, RoutesComeAndGoFromManyThreads) {
  FakeVm vm;
  InterruptRouting routing;
  ASSERT_TRUE(routing.attach(vm.calls()));
  at_once(
      [&](unsigned thread) {
        const int event_fd = 100 + static_cast<int>(thread);
        for (std::uint32_t i = 1; i <= 200; ++i) {
          const auto gsi = routing.connect(event_fd, {kMsiAddress, 3 * i + thread});
          ASSERT_TRUE(gsi);
          EXPECT_EQ(vm.msi_data(*gsi), 3 * i + thread);
          EXPECT_TRUE(routing.update(*gsi, {kMsiAddress, 1000 + thread}));
          EXPECT_EQ(vm.msi_data(*gsi), 1000 + thread);
          routing.set_level(Gsi(thread), i % 2 == 0);
          routing.disconnect(*gsi, event_fd);
        }
      },
      [&] {
        InspectNode node;
        routing.inspect(node);
        EXPECT_LE(routing.route_count(), 3U);
      });
  EXPECT_EQ(routing.route_count(), 0U);
  EXPECT_EQ(vm.irqfds(), 0U);
}

TEST(MemorySlotTable, RefusesWhatDoesNotFit) {
  FakeVm vm;
  MemorySlotTable table(3);
  ASSERT_TRUE(table.attach(vm.calls()));
  const auto map = [&](std::uint64_t at, std::size_t count) {
    return table.map(GuestAddress(at), pages(count), SlotAccess::kReadWrite);
  };
  const auto first = map(0x1000, 2);
  ASSERT_TRUE(first);
  EXPECT_FALSE(map(0x2000, 1)) << "overlaps";
  EXPECT_FALSE(map(0x3800, 1)) << "no whole page";
  EXPECT_FALSE(map(0x3000, 0)) << "empty";
  EXPECT_FALSE(map(~std::uint64_t{0} << 12, 2)) << "past the end";
  EXPECT_TRUE(map(0x3000, 1));
  const auto full = map(0x4000, 1);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().kind(), ErrorKind::kHost);
  table.unmap(*first);
  table.unmap(*first);
  vm.fail_next();
  EXPECT_FALSE(map(0x1000, 1));
  EXPECT_EQ(*map(0x1000, 1), *first) << "the lowest number";
  EXPECT_EQ(vm.slots(), 2U);
}

TEST(MemorySlotTable, SlotsFollowIntoTheNextVm) {
  FakeVm vm;
  MemorySlotTable table(10);
  ASSERT_TRUE(table.attach(vm.calls()));
  const auto leaves = table.map(GuestAddress(0x1000), pages(1), SlotAccess::kReadWrite);
  ASSERT_TRUE(leaves);
  ASSERT_TRUE(table.map(GuestAddress(0x2000), pages(1), SlotAccess::kReadOnly));
  table.detach();
  table.unmap(*leaves);
  ASSERT_TRUE(table.map(GuestAddress(0x3000), pages(1), SlotAccess::kReadWrite));
  EXPECT_EQ(vm.slots(), 2U) << "not told any more";
  FakeVm next;
  ASSERT_TRUE(table.attach(next.calls()));
  EXPECT_EQ(next.slots(), 2U);
  EXPECT_EQ(table.count(), 2U);
}

TEST(MemorySlotTable, SlotsComeAndGoFromManyThreads) {
  FakeVm vm;
  MemorySlotTable table(100);
  ASSERT_TRUE(table.attach(vm.calls()));
  at_once(
      [&](unsigned thread) {
        for (std::uint64_t i = 0; i < 200; ++i) {
          const GuestAddress at((thread << 20) + i * kPageSize);
          const auto slot = table.map(at, pages(2), SlotAccess::kReadWrite);
          ASSERT_TRUE(slot);
          EXPECT_FALSE(table.map(at + kPageSize, pages(1), SlotAccess::kReadWrite));
          table.unmap(*slot);
        }
      },
      [&] {
        InspectNode node;
        table.inspect(node);
        EXPECT_LE(table.count(), 3U);
      });
  EXPECT_EQ(table.count(), 0U);
  EXPECT_EQ(vm.slots(), 0U);
  EXPECT_EQ(table.changes(), 1200U);
}

TEST(DoorbellTable, DoorbellsFollowIntoTheNextVm) {
  FakeVm vm;
  DoorbellTable table;
  ASSERT_TRUE(table.attach(vm.calls()));
  ASSERT_TRUE(table.connect(GuestAddress(0x1000), 2, 7));
  EXPECT_FALSE(table.connect(GuestAddress(0x1000), 2, 8)) << "one is there";
  ASSERT_TRUE(table.connect_value(GuestAddress(0x1004), 4, 5, 8));
  vm.fail_next();
  EXPECT_FALSE(table.connect(GuestAddress(0x1008), 2, 9));
  table.detach();
  table.disconnect(GuestAddress(0x1000));
  ASSERT_TRUE(table.connect(GuestAddress(0x2000), 2, 7));
  FakeVm next;
  ASSERT_TRUE(table.attach(next.calls()));
  EXPECT_EQ(next.doorbells(), 2U);
  table.disconnect(GuestAddress(0x1004));
  table.disconnect(GuestAddress(0x2000));
  table.disconnect(GuestAddress(0x2000));
  EXPECT_EQ(next.doorbells(), 0U);
}

TEST(DoorbellTable, DoorbellsComeAndGoFromManyThreads) {
  FakeVm vm;
  DoorbellTable table;
  ASSERT_TRUE(table.attach(vm.calls()));
  at_once(
      [&](unsigned thread) {
        for (std::uint64_t i = 0; i < 200; ++i) {
          const GuestAddress at((thread << 20) + i * 4);
          ASSERT_TRUE(table.connect(at, 2, 7));
          EXPECT_FALSE(table.connect(at, 2, 7));
          table.disconnect(at);
        }
      },
      [&] {
        InspectNode node;
        table.inspect(node);
      });
  EXPECT_EQ(vm.doorbells(), 0U);
}

}  // namespace
}  // namespace gpuvm::tables_test
