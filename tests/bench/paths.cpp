// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/paths.hpp"

#include <array>
#include <cstdlib>
#include <memory>

#include "devices/pci/config_ports.hpp"
#include "devices/pci/ecam.hpp"
#include "devices/pci/root_port.hpp"
#include "devices/virtio/split_queue.hpp"
#include "tests/unit/devices/pci/fake_function.hpp"
#include "tests/unit/devices/virtio/ring_driver.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/bus/io_bus.hpp"

namespace gpuvm::bench {
namespace {

/// Answers at once.
class QuickHandler : public IoHandler {
 public:
  std::string_view name() const override { return "quick"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override {
    store_le(out, offset);
    return IoStatus::kOk;
  }
  IoStatus write(std::uint64_t /*offset*/, std::span<const std::byte> in) override {
    last = load_le(in);
    return IoStatus::kOk;
  }
  std::uint64_t last = 0;
};

void must(const Status& status) {
  if (!status) {
    std::abort();
  }
}

/// A bus with as many ranges as a guest with some devices has.
struct Bus {
  Bus() {
    for (std::uint64_t i = 0; i < 64; ++i) {
      const auto range = *GuestRange::create(GuestAddress(0xc0000000 + i * 0x10000), 0x1000);
      must(mmio.add({range, &handler}));
    }
  }
  QuickHandler handler;
  MmioBus mmio{"mmio"};
  std::array<std::byte, 4> bytes{};
  std::uint64_t at = 0;
};

std::function<void()> mmio_read() {
  const auto bus = std::make_shared<Bus>();
  return [bus] {
    bus->at = (bus->at + 7) % 64;
    bus->mmio.read(GuestAddress(0xc0000000 + bus->at * 0x10000 + 8), bus->bytes);
  };
}

std::function<void()> mmio_write() {
  const auto bus = std::make_shared<Bus>();
  return [bus] {
    bus->at = (bus->at + 7) % 64;
    bus->mmio.write(GuestAddress(0xc0000000 + bus->at * 0x10000 + 8), bus->bytes);
  };
}

/// A root port with a function behind it.
struct Config {
  Config() {
    must(topology.add_root_port(*port));
    must(port->attach(0, behind));
    must(port->set_power_on_setup({.secondary = 1, .subordinate = 1}));
  }
  FakeFunction behind{"behind"};
  std::unique_ptr<RootPort> port = RootPort::create({.name = "port1", .device = 2}).value();
  PciTopology topology;
  Ecam ecam{topology, 4};
  ConfigPorts ports{topology, nullptr};
  std::array<std::byte, 4> bytes{};
};

std::function<void()> config_read_ecam() {
  const auto config = std::make_shared<Config>();
  return [config] { config->ecam.read((1 << 20) + 0x10, config->bytes); };
}

/// As Linux's type 1 accesses: the address, then the data.
std::function<void()> config_read_ports() {
  const auto config = std::make_shared<Config>();
  return [config] {
    store_le(config->bytes, 0x80010010);
    config->ports.write(0, config->bytes);
    config->ports.read(4, config->bytes);
  };
}

/// A chain of three buffers, as a disk's request has.
std::function<void()> queue_round() {
  struct Queue {
    Queue() {
      driver.chain(
          0,
          {{0x10000, 16, 0, 0}, {0x20000, 4096, 0, 0}, {0x30000, 1, virtio::kDescriptorWrite, 0}});
    }
    GuestMemory memory = test::make_memory();
    test::RingDriver driver{memory, 256};
    SplitQueue queue = SplitQueue::create(memory, driver.setup()).value();
    DescriptorChain chain;
  };
  const auto queue = std::make_shared<Queue>();
  return [queue] {
    queue->driver.offer(0);
    must(queue->queue.pop(queue->chain) ? Status() : fail(ErrorKind::kInternal, "no chain"));
    queue->queue.push(queue->chain.head, 1);
    (void)queue->queue.must_interrupt();
  };
}

}  // namespace

std::span<const Path> paths() {
  static const std::array<Path, 5> kPaths{{
      {"mmio_read", "4 bytes from one of 64 ranges of the MMIO bus", mmio_read},
      {"mmio_write", "4 bytes to one of 64 ranges of the MMIO bus", mmio_write},
      {"config_read_ecam", "a dword of a function behind a port, by ECAM", config_read_ecam},
      {"config_read_ports", "the same by ports 0xcf8 and 0xcfc", config_read_ports},
      {"queue_round", "a chain of three buffers offered, taken and given back", queue_round},
  }};
  return kPaths;
}

}  // namespace gpuvm::bench
