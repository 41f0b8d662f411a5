// SPDX-License-Identifier: Apache-2.0
// Fakes around a virtio function: the interfaces to the machine, and FunctionDriver, which drives a
// function as an operating system does: it finds the structures by their capabilities, negotiates,
// sets up a queue and waits for interrupts.
#pragma once

#include <gtest/gtest.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <fstream>
#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "tests/unit/devices/virtio/ring_driver.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/mutex.hpp"

namespace gpuvm::test {

/// How long a test waits for another thread before it fails.
constexpr int kPatienceMs = 20000;

/// A thread of which a test must know that it waits for something.
class Sleeper {
 public:
  explicit Sleeper(std::function<void()> work)
      : thread_([this, work = std::move(work)] {
          id_.store(static_cast<int>(::gettid()));
          work();
        }) {}
  ~Sleeper() { join(); }
  /// Returns once the thread sleeps in the kernel (proc(5), the state in /proc/PID/stat).
  void wait_asleep() {
    while (state() != 'S') {
      std::this_thread::yield();
    }
  }
  void join() {
    if (thread_.joinable()) {
      thread_.join();
    }
  }

 private:
  char state() const {
    std::string line;
    std::getline(std::ifstream(fmt::format("/proc/self/task/{}/stat", id_.load())), line);
    const auto end = line.rfind(')');
    return end == std::string::npos ? '?' : line.at(end + 2);
  }
  std::atomic<int> id_{0};
  std::thread thread_;
};

class FakeMsiRoutes : public MsiController {
 public:
  struct Route {
    int event_fd = -1;
    MsiMessage message;
  };
  Result<Gsi> connect(int event_fd, MsiMessage message) override {
    const MutexLock lock(mutex_);
    routes_[next_] = {event_fd, message};
    return Gsi(next_++);
  }
  Status update(Gsi route, MsiMessage message) override {
    const MutexLock lock(mutex_);
    routes_.at(route.value()).message = message;
    return {};
  }
  void disconnect(Gsi route, int) override {
    const MutexLock lock(mutex_);
    routes_.erase(route.value());
  }
  /// The eventfd of the route with this data; -1: none.
  int event_of(std::uint32_t data) {
    const MutexLock lock(mutex_);
    for (const auto& [gsi, route] : routes_) {
      if (route.message.data == data) {
        return route.event_fd;
      }
    }
    return -1;
  }
  bool empty() {
    const MutexLock lock(mutex_);
    return routes_.empty();
  }

 private:
  Mutex mutex_;
  std::map<std::uint32_t, Route> routes_ GPUVM_GUARDED_BY(mutex_);
  std::uint32_t next_ GPUVM_GUARDED_BY(mutex_) = 24;
};

class FakePins : public InterruptPins {
 public:
  void set_level(Gsi pin, bool high) override {
    const MutexLock lock(mutex_);
    levels_[pin.value()] = high;
    changed_.notify_all();
  }
  Status connect_level(Gsi, int, int) override { return {}; }
  void disconnect_level(Gsi, int) override {}
  bool high(std::uint32_t pin) {
    const MutexLock lock(mutex_);
    return levels_[pin];
  }
  bool wait_high(std::uint32_t pin) {
    MutexLock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(kPatienceMs);
    while (!levels_[pin]) {
      if (!changed_.wait_until(lock, end)) {
        return levels_[pin];
      }
    }
    return true;
  }

 private:
  Mutex mutex_;
  Condition changed_;
  std::map<std::uint32_t, bool> levels_ GPUVM_GUARDED_BY(mutex_);
};

class FakeDoorbells : public Doorbells {
 public:
  Status connect(GuestAddress at, unsigned size, int event_fd) override {
    if (refuse) {
      return fail(ErrorKind::kHost, "No doorbell is left");
    }
    EXPECT_EQ(size, 2U);
    EXPECT_TRUE(bells.emplace(at, event_fd).second);
    return {};
  }
  Status connect_value(GuestAddress, unsigned, std::uint64_t, int) override {
    return fail(ErrorKind::kInternal, "Virtio has no doorbells of single values");
  }
  void disconnect(GuestAddress at) override { EXPECT_EQ(bells.erase(at), 1U); }
  std::map<GuestAddress, int> bells;
  bool refuse = false;
};

/// The machine around functions.
struct FakeMachine {
  GuestMemory memory = make_memory(4_MiB);
  MmioBus mmio{"MMIO"};
  FakeDoorbells doorbells;
  FakeMsiRoutes msi;
  FakePins pins;
  BarSpace bar_space{{{*GuestRange::create(GuestAddress(0), 4_MiB), "RAM"}}};

  VirtioPci::Options options(RequestDevice& device) {
    return options(device, InProcessQueues::create(device).value());
  }
  VirtioPci::Options options(VirtioDevice& device, std::unique_ptr<QueueBackend> backend,
                             Gsi pin = Gsi(16)) {
    return {.device = device,
            .backend = std::move(backend),
            .memory = memory,
            .intx_pin = pin,
            .mmio = mmio,
            .doorbells = doorbells,
            .msi = msi,
            .pins = pins,
            .bar_space = bar_space};
  }
};

/// Drives one function whose BAR it puts at kBar.
class FunctionDriver {
 public:
  static constexpr std::uint32_t kBar = 0x80000000;
  static constexpr std::uint32_t kQueueMessage = 0x41;
  static constexpr std::uint32_t kConfigMessage = 0x42;

  FunctionDriver(FakeMachine& machine, VirtioPci& function)
      : ring(machine.memory, 8), machine_(machine), function_(function) {}

  std::uint32_t config(std::uint16_t offset) { return function_.config_read(offset); }
  void set_config(std::uint16_t offset, std::uint32_t value, std::uint32_t mask = pci::kAllOnes) {
    function_.config_write(offset, value, mask);
  }
  void set_command(std::uint16_t command) { set_config(pci::kCommand, command, 0xffff); }

  std::uint64_t read(std::uint64_t offset, std::size_t size) {
    std::array<std::byte, 8> bytes{};
    machine_.mmio.read(GuestAddress(kBar + offset), std::span(bytes).first(size));
    return load_le(std::span(bytes).first(size));
  }
  /// As the guest's CPU does: what is a doorbell does not exit.
  void write(std::uint64_t offset, std::size_t size, std::uint64_t value) {
    const GuestAddress at(kBar + offset);
    const auto bell = machine_.doorbells.bells.find(at);
    if (size == 2 && bell != machine_.doorbells.bells.end()) {
      const std::uint64_t one = 1;
      ASSERT_EQ(::write(bell->second, &one, sizeof one), 8);
      return;
    }
    std::array<std::byte, 8> bytes{};
    store_le(std::span(bytes).first(size), value);
    machine_.mmio.write(at, std::span(bytes).first(size));
  }
  /// Where a structure is, by its capability (4.1.4); the BAR must be 0.
  std::optional<std::uint64_t> find(virtio::StructureType type) {
    for (auto at = static_cast<std::uint16_t>(config(pci::kCapabilitiesPointer) & 0xff); at != 0;
         at = static_cast<std::uint16_t>(config(at) >> 8 & 0xff)) {
      const std::uint32_t header = config(at);
      if ((header & 0xff) == 0x09 && header >> 24 == static_cast<std::uint8_t>(type)) {
        EXPECT_EQ(config(static_cast<std::uint16_t>(at + 4)) & 0xff, 0U);
        return config(static_cast<std::uint16_t>(at + 8));
      }
    }
    return std::nullopt;
  }
  std::uint64_t common() { return *find(virtio::StructureType::kCommon); }
  std::uint8_t status() {
    return static_cast<std::uint8_t>(read(common() + virtio::kDeviceStatus, 1));
  }
  void set_status(unsigned value) { write(common() + virtio::kDeviceStatus, 1, value); }

  void place(std::uint16_t command = pci::kCommandMemory | pci::kCommandBusMaster) {
    set_config(pci::kBar0, kBar);
    set_command(command);
  }
  /// MSI-X with the queue's vector 0 and the configuration's 1.
  void enable_msix() {
    for (std::uint32_t vector = 0; vector < 2; ++vector) {
      const std::uint64_t entry = virtio_bar::kMsixTable + vector * 16U;
      write(entry, 4, 0xfee00000);
      write(entry + 4, 4, 0);
      write(entry + 8, 4, vector == 0 ? kQueueMessage : kConfigMessage);
      write(entry + 12, 4, 0);
    }
    set_config(0x40, 0x80000000, 0xffff0000);
    write(common() + virtio::kQueueSelect, 2, 0);
    write(common() + virtio::kQueueVector, 2, 0);
    write(common() + virtio::kConfigVector, 2, 1);
  }
  std::uint64_t offered() {
    std::uint64_t features = 0;
    for (unsigned i = 0; i < 2; ++i) {
      write(common() + virtio::kDeviceFeatureSelect, 4, i);
      features |= read(common() + virtio::kDeviceFeature, 4) << i * 32;
    }
    return features;
  }
  /// Up to FEATURES_OK.
  void negotiate(std::uint64_t features) {
    set_status(0);
    set_status(1);
    set_status(3);
    for (unsigned i = 0; i < 2; ++i) {
      write(common() + virtio::kDriverFeatureSelect, 4, i);
      write(common() + virtio::kDriverFeature, 4, features >> i * 32 & 0xffffffff);
    }
    set_status(0x0b);
    ring.setup().indirect = (features & virtio::kFeatureIndirect) != 0;
    ring.setup().event_index = (features & virtio::kFeatureEventIndex) != 0;
  }
  void enable_queue(GuestAddress used = GuestAddress(RingDriver::kUsed)) {
    ring.clear();
    const auto& setup = ring.setup();
    write(common() + virtio::kQueueSelect, 2, 0);
    write(common() + virtio::kQueueSize, 2, setup.size);
    const auto address = [this](std::uint16_t field, GuestAddress at) {
      write(common() + field, 4, at.value() & 0xffffffff);
      write(common() + field + 4U, 4, at.value() >> 32);
    };
    address(virtio::kQueueDescriptors, setup.descriptors);
    address(virtio::kQueueDriver, setup.available);
    address(virtio::kQueueDevice, used);
    write(common() + virtio::kQueueEnable, 2, 1);
  }
  /// Everything that a driver does until its device runs, with all features but those left out.
  void bring_up(std::uint64_t without = 0) {
    place();
    negotiate(offered() & ~without);
    enable_msix();
    enable_queue();
    set_status(0x0f);
  }
  void kick() { write(*find(virtio::StructureType::kNotify), 2, 0); }

  /// True once the interrupt with this data has come; takes it.
  bool wait_interrupt(std::uint32_t data = kQueueMessage) {
    const int fd = machine_.msi.event_of(data);
    pollfd event{.fd = fd, .events = POLLIN, .revents = 0};
    std::uint64_t count = 0;
    return fd >= 0 && ::poll(&event, 1, kPatienceMs) == 1 && ::read(fd, &count, sizeof count) == 8;
  }
  /// Waits for `index` chains to be used in all.
  bool wait_used(std::uint16_t index) {
    ring.set_used_event(static_cast<std::uint16_t>(index - 1));
    std::atomic_thread_fence(std::memory_order_seq_cst);
    while (ring.used_index() != index) {
      if (!wait_interrupt()) {
        return false;
      }
    }
    return true;
  }

  RingDriver ring;

 private:
  FakeMachine& machine_;
  VirtioPci& function_;
};

}  // namespace gpuvm::test
