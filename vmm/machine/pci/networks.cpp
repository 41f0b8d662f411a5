// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/pci/networks.hpp"

#include <fcntl.h>

#include "devices/virtio/in_process_queues.hpp"
#include "devices/virtio/net/net_device.hpp"
#include "devices/virtio/net/stream_link.hpp"
#include "devices/virtio/net/tap_link.hpp"
#include "devices/virtio/net/vhost_net_queues.hpp"
#include "devices/virtio/virtio_pci.hpp"
#include "vmm/base/log.hpp"
#include "vmm/network/name_servers.hpp"
#include "vmm/network/tap.hpp"

namespace gpuvm {
namespace {

TapRequest tap_of(const NetConfig& config) {
  return {.name = config.tap,
          .bridge = config.bridge,
          .fd = config.fd,
          .mtu = config.mtu,
          .queues = config.queues};
}

Passt::Options passt_of(const NetConfig& config) {
  Passt::Options options{.mtu = config.mtu, .host_loopback = config.host_loopback};
  for (const auto& forward : config.forward) {
    options.forward.push_back({.udp = forward.udp,
                               .address = forward.address,
                               .host = forward.host,
                               .guest = forward.guest});
  }
  return options;
}

MacAddress mac_of(const NetConfig& config, std::string_view guest, std::size_t index) {
  return config.mac.value_or(MacAddress::of_name(guest, index));
}

constexpr const char* kVhost = "/dev/vhost-net";

Error no_vhost_error(const NetConfig& config, const Error& why) {
  return fail(ErrorKind::kHost,
              "queues = {} needs vhost-net ({}): modprobe vhost_net, or remove queues",
              config.queues, why.to_string());
}

/// The kernel serves the queues of a tap where it can; nothing where it cannot.
Result<UniqueFd> open_vhost(const HostSystem& host) {
  UniqueFd vhost(::open(host.path(kVhost).c_str(), O_RDWR | O_CLOEXEC));
  if (!vhost) {
    return fail_errno(ErrorKind::kHost, std::string("Cannot open ") + kVhost);
  }
  return vhost;
}

Status open_vhosts(const HostSystem& host, const NetConfig& config, Network& network) {
  for (std::uint16_t i = 0; i < config.queues; ++i) {
    auto vhost = open_vhost(host);
    if (!vhost && config.queues > 1) {
      return no_vhost_error(config, vhost.error());
    }
    if (!vhost) {
      log::debug("{}; gpuvm serves the network itself", vhost.error().to_string());
      return {};
    }
    network.vhosts.push_back(std::move(vhost).value());
  }
  return {};
}

Status open_link(const HostSystem& host, const NetConfig& config, const HelperRules& rules,
                 Network& network) {
  if (config.mode == NetMode::kTap) {
    auto tap = TRY(open_tap(host, tap_of(config)));
    network.link = std::make_unique<TapLink>(TapLink::Options{
        .fd = std::move(tap.fd), .name = std::move(tap.name), .offloads = tap.offloads});
    network.queues = std::move(tap.more);
    if (config.throttle.is_there()) {
      log::info("{}: gpuvm serves it itself, for vhost-net knows no limits", network.name);
      return {};
    }
    return open_vhosts(host, config, network);
  }
  Passt::Options options = passt_of(config);
  options.profile = rules.is_confined ? &passt_profile() : nullptr;
  options.user = rules.user;
  if (!config.host_loopback) {
    const NameServers servers = name_servers_for_guest(host);
    options.name_servers = servers.instead;
    if (servers.none_reachable) {
      log::warn(
          "{}: the guest gets no name server: the host's is on its loopback alone; give it one by "
          "itself, or set host_loopback = true",
          network.name);
    }
  }
  network.passt = TRY(Passt::start(options));
  network.link = std::make_unique<StreamLink>(
      StreamLink::Options{.socket = TRY(network.passt->socket()), .peer = "passt"});
  return {};
}

/// Devices are made once for each network.
Result<std::unique_ptr<QueueBackend>> make_backend(Network& network, NetDevice& device) {
  if (network.vhosts.empty()) {
    return std::unique_ptr<QueueBackend>(TRY(InProcessQueues::create(device)));
  }
  VhostNetQueues::Options options{
      .name = network.name, .pairs = {}, .on_tap_gone = [&device](const Error& error) {
        device.lose(error);
      }};
  for (std::size_t i = 0; i < network.vhosts.size(); ++i) {
    options.pairs.push_back({.vhost = std::move(network.vhosts[i]),
                             .tap = i == 0 ? network.link->fd() : network.queues[i - 1].get()});
  }
  return std::unique_ptr<QueueBackend>(TRY(VhostNetQueues::create(std::move(options))));
}

Result<RootBusDevice::Parts> make_network(Network& network, const OnNetworkLost& on_lost,
                                          const RootBusEnvironment& environment, Gsi pin) {
  auto device = std::make_unique<NetDevice>(
      NetDevice::Options{.name = network.name,
                         .mac = network.mac,
                         .mtu = network.mtu,
                         .link = *network.link,
                         .pairs = static_cast<std::uint16_t>(network.queues.size() + 1),
                         .limits = network.limits,
                         .on_link_lost = [on_lost, name = network.name](const Error& error) {
                           log::warn("{}: {}; the guest's link is down until gpuvm is run again",
                                     name, error.to_string());
                           if (on_lost) {
                             on_lost(name, error);
                           }
                         }});
  auto function = TRY(VirtioPci::create({.device = *device,
                                         .backend = TRY(make_backend(network, *device)),
                                         .memory = environment.memory,
                                         .intx_pin = pin,
                                         .mmio = environment.mmio,
                                         .doorbells = environment.doorbells,
                                         .msi = environment.msi,
                                         .pins = environment.pins,
                                         .bar_space = environment.bar_space}));
  return RootBusDevice::Parts{.device = std::move(device), .function = std::move(function)};
}

Status check_tap_of(const HostSystem& host, const NetConfig& config) {
  TRY(check_tap(host, tap_of(config)));
  if (config.queues > 1) {
    if (const auto vhost = open_vhost(host); !vhost) {
      return no_vhost_error(config, vhost.error());
    }
  }
  return {};
}

}  // namespace

Status check_networks(const HostSystem& host, const std::vector<NetConfig>& configs) {
  for (std::size_t i = 0; i < configs.size(); ++i) {
    TRY_CONTEXT(configs[i].mode == NetMode::kTap ? check_tap_of(host, configs[i])
                                                 : Passt::check(passt_of(configs[i])),
                configs[i].place.or_else(fmt::format("net.{}", i)));
  }
  return {};
}

Result<Networks> open_networks(const HostSystem& host, const std::vector<NetConfig>& configs,
                               std::string_view guest, const HelperRules& rules) {
  Networks networks;
  for (std::size_t i = 0; i < configs.size(); ++i) {
    Network network{
        .name = fmt::format("net-{}", i),
        .mac = mac_of(configs[i], guest, i),
        .mtu = configs[i].mtu,
        .limits = {.requests = configs[i].throttle.packets, .bytes = configs[i].throttle.bandwidth},
        .passt = {},
        .link = {}};
    TRY_CONTEXT(open_link(host, configs[i], rules, network),
                configs[i].place.or_else(fmt::format("net.{}", i)));
    networks.push_back(std::move(network));
  }
  return networks;
}

std::string network_text(const NetConfig& config, std::string_view guest, std::size_t index) {
  std::string text = config.mode == NetMode::kUser ? "user"
                     : config.fd                   ? fmt::format("tap, descriptor {}", *config.fd)
                     : config.tap.empty()          ? std::string("tap, a new one")
                                                   : "tap " + config.tap;
  if (!config.bridge.empty()) {
    text += ", bridge " + config.bridge;
  }
  if (config.queues > 1) {
    text += fmt::format(", {} pairs of queues", config.queues);
  }
  if (config.throttle.packets != 0) {
    text += fmt::format(", {} packets a second", config.throttle.packets);
  }
  if (config.throttle.bandwidth != 0) {
    text += fmt::format(", {} MiB a second", config.throttle.bandwidth >> 20);
  }
  for (const auto& forward : config.forward) {
    text += fmt::format(", {} port {}{}{} to {}", forward.udp ? "UDP" : "TCP", forward.address,
                        forward.address.empty() ? "" : "/", forward.host, forward.guest);
  }
  text += config.host_loopback ? ", reaches the host's loopback" : "";
  return text + ", mac " + mac_of(config, guest, index).to_string();
}

std::vector<RootBusDevice> network_devices(Networks& networks, const OnNetworkLost& on_lost) {
  std::vector<RootBusDevice> devices;
  for (std::size_t i = 0; i < networks.size(); ++i) {
    devices.push_back(
        {.slot = static_cast<std::uint8_t>(kFirstNetworkSlot + i),
         .make = [on_lost, &network = networks[i]](const RootBusEnvironment& environment, Gsi pin) {
           return make_network(network, on_lost, environment, pin);
         }});
  }
  return devices;
}

}  // namespace gpuvm
