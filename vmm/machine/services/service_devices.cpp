// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/services/service_devices.hpp"

#include "devices/virtio/console/console_device.hpp"
#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/rng/rng_device.hpp"
#include "devices/virtio/vhost_user/vhost_user_device.hpp"
#include "devices/virtio/vhost_user/vhost_user_queues.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "devices/virtio/vsock/vsock_device.hpp"
#include "vmm/machine/pci/root_bus_slots.hpp"

namespace gpuvm {
namespace {

using Parts = RootBusDevice::Parts;

// File systems, VIRTIO 1.2, 5.11.
constexpr std::uint16_t kFileSystemType = 26;
constexpr std::size_t kTagSize = 36;        ///< 5.11.4, at 0
constexpr std::size_t kRequestQueues = 36;  ///< 32 bits
constexpr std::uint16_t kFileSystemConfigSize = 40;
constexpr std::uint16_t kFileSystemQueueSize = 128;
constexpr std::uint32_t kClassMassStorage = 0x018000;  // PCI Code and ID Assignment

Result<Parts> make_parts(std::unique_ptr<VirtioDevice> device,
                         std::unique_ptr<QueueBackend> backend,
                         const RootBusEnvironment& environment, Gsi pin,
                         bool multi_function = false) {
  auto function = TRY(VirtioPci::create({.device = *device,
                                         .backend = std::move(backend),
                                         .memory = environment.memory,
                                         .intx_pin = pin,
                                         .mmio = environment.mmio,
                                         .doorbells = environment.doorbells,
                                         .msi = environment.msi,
                                         .pins = environment.pins,
                                         .bar_space = environment.bar_space,
                                         .multi_function = multi_function}));
  return Parts{.device = std::move(device), .function = std::move(function)};
}

Result<Parts> make_rng(const RootBusEnvironment& environment, Gsi pin) {
  auto device = TRY(RngDevice::create({.name = "rng"}));
  auto backend = TRY(InProcessQueues::create(*device));
  return make_parts(std::move(device), std::move(backend), environment, pin);
}

Result<Parts> make_console(ConsoleChannel& channel, const RootBusEnvironment& environment,
                           Gsi pin) {
  auto device = std::make_unique<VirtioConsole>("virtio-console", channel);
  auto backend = TRY(InProcessQueues::create(*device));
  return make_parts(std::move(device), std::move(backend), environment, pin);
}

Result<Parts> make_status_port(const NamedPortDevice::Options& options,
                               const RootBusEnvironment& environment, Gsi pin) {
  auto device = std::make_unique<NamedPortDevice>(options);
  auto backend = TRY(InProcessQueues::create(*device));
  return make_parts(std::move(device), std::move(backend), environment, pin);
}

Result<Parts> make_vsock(VsockAddress& address, const RootBusEnvironment& environment, Gsi pin) {
  auto device = std::make_unique<VsockDevice>("vsock", address.cid());
  auto backend = TRY(VhostVsockQueues::create(address.release()));
  return make_parts(std::move(device), std::move(backend), environment, pin);
}

/// One queue for what must not wait, one for everything else.
Result<Parts> make_share(Share& share, std::size_t index, bool multi_function,
                         const RootBusEnvironment& environment, Gsi pin) {
  auto device = TRY(VhostUserDevice::create({.name = fmt::format("share-{}", index),
                                             .identity = {.type = kFileSystemType,
                                                          .class_code = kClassMassStorage,
                                                          .features = 0,
                                                          .queues = 2,
                                                          .queue_size = kFileSystemQueueSize,
                                                          .config_size = kFileSystemConfigSize},
                                             .client = share.client()}));
  for (std::size_t i = 0; i < kTagSize && i < share.tag().size(); ++i) {
    device->config().define(i, 1, static_cast<std::uint8_t>(share.tag()[i]));
  }
  device->config().define(kRequestQueues, 4, 1);
  auto backend =
      std::make_unique<VhostUserQueues>(VhostUserQueues::Options{.client = share.client()});
  return make_parts(std::move(device), std::move(backend), environment, pin, multi_function);
}

}  // namespace

std::vector<RootBusDevice> service_devices(const MachineConfig& machine, ServiceHosts& hosts) {
  std::vector<RootBusDevice> devices;
  if (machine.rng) {
    devices.push_back({.slot = kRngSlot, .make = make_rng});
  }
  if (hosts.vsock) {
    devices.push_back({.slot = kVsockSlot, .make = [&hosts](const auto& environment, Gsi pin) {
                         return make_vsock(*hosts.vsock, environment, pin);
                       }});
  }
  if (hosts.console != nullptr) {
    devices.push_back(
        {.slot = kVirtioConsoleSlot, .make = [&hosts](const auto& environment, Gsi pin) {
           return make_console(*hosts.console, environment, pin);
         }});
  }
  if (hosts.status_port) {
    devices.push_back({.slot = kStatusPortSlot, .make = [&hosts](const auto& environment, Gsi pin) {
                         return make_status_port(*hosts.status_port, environment, pin);
                       }});
  }
  for (std::size_t i = 0; i < hosts.shares.size(); ++i) {
    const bool multi_function = hosts.shares.size() > 1;
    devices.push_back({.slot = kShareSlot,
                       .function = static_cast<std::uint8_t>(i),
                       .make = [&hosts, i, multi_function](const auto& environment, Gsi pin) {
                         return make_share(*hosts.shares[i], i, multi_function, environment, pin);
                       }});
  }
  return devices;
}

}  // namespace gpuvm
