// SPDX-License-Identifier: Apache-2.0
// Networks: the guest's [[net]] entries: what the host has for them (taps, passt), and the virtio
// network devices on bus 0 that they become.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "devices/virtio/net/network_link.hpp"
#include "devices/virtio/throttle.hpp"
#include "vmm/config/config.hpp"
#include "vmm/helper/confinement.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/machine/pci/root_bus_devices.hpp"
#include "vmm/machine/pci/root_bus_slots.hpp"
#include "vmm/network/passt.hpp"

namespace gpuvm {

/// One card's side of the host.
struct Network {
  std::string name;  ///< "net-0"
  MacAddress mac;
  std::optional<std::uint16_t> mtu;
  Throttle::Limits limits = {};       ///< in each direction
  std::unique_ptr<Passt> passt;       ///< null with a tap; goes after the link
  std::unique_ptr<NetworkLink> link;  ///< its thread is the device's
  std::vector<UniqueFd> queues = {};  ///< further ones of a tap
  /// /dev/vhost-net for each queue of a tap, where the kernel serves them; else none.
  std::vector<UniqueFd> vhosts = {};
};
using Networks = std::vector<Network>;

/// Whether a start could have them; changes nothing. Errors: those of check_tap() and
/// Passt::check(), with the entry's number.
Status check_networks(const HostSystem& host, const std::vector<NetConfig>& configs);

/// Makes and opens all; what was made goes with them. `guest`: its name. `rules`: for passt.
Result<Networks> open_networks(const HostSystem& host, const std::vector<NetConfig>& configs,
                               std::string_view guest, const HelperRules& rules);

/// "user, mac 02:…", for people.
std::string network_text(const NetConfig& config, std::string_view guest, std::size_t index);

/// Told once for each network whose link is gone for good, on the device's thread.
using OnNetworkLost = std::function<void(const std::string& name, const Error& error)>;

/// A network device for each, in slots from kFirstNetworkSlot on; at most kNetworkSlots. The
/// networks must outlive the devices.
std::vector<RootBusDevice> network_devices(Networks& networks, const OnNetworkLost& on_lost);

}  // namespace gpuvm
