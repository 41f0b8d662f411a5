// SPDX-License-Identifier: Apache-2.0
// Networks of a QEMU command line: -netdev, -nic, -net, and the cards.
#include <fmt/format.h>

#include <algorithm>

#include "vmm/convert/advice.hpp"
#include "vmm/convert/qemu_parts.hpp"
#include "vmm/convert/values.hpp"

namespace gpuvm::convert {
namespace {

constexpr std::size_t kMostCards = 64;
constexpr std::size_t kMostForwards = 256;

/// "tcp:127.0.0.1/2222:22" of "tcp:127.0.0.1:2222-:22"; nothing for what passt cannot do.
std::optional<std::string> forward_of(std::string_view text) {
  const auto colon = text.find(':');
  const std::string_view kind = text.substr(0, colon);
  if (colon == std::string_view::npos || (kind != "tcp" && kind != "udp" && !kind.empty())) {
    return std::nullopt;
  }
  text.remove_prefix(colon + 1);
  const auto dash = text.find('-');
  const auto host = text.substr(0, dash);
  const auto host_colon = host.rfind(':');
  if (dash == std::string_view::npos || host_colon == std::string_view::npos) {
    return std::nullopt;
  }
  const auto guest = text.substr(dash + 1);
  const auto guest_colon = guest.rfind(':');
  const auto from = number_of(host.substr(host_colon + 1));
  const auto to =
      number_of(guest.substr(guest_colon == std::string_view::npos ? 0 : guest_colon + 1));
  if (!from || !to || *from == 0 || *to == 0 || *from > 65535 || *to > 65535) {
    return std::nullopt;
  }
  const auto address = host.substr(0, host_colon);
  return fmt::format("{}:{}{}{}:{}", kind.empty() ? "tcp" : kind, address,
                     address.empty() ? "" : "/", *from, *to);
}

void read_user(OptionList& options, ForeignNet& net) {
  net.is_user = true;
  for (const auto& [name, value] : options.rest()) {
    if (name != "hostfwd") {
      continue;
    }
    const auto forward = forward_of(value);
    if (forward && net.forward.size() < kMostForwards) {
      net.forward.push_back(*forward);
    } else {
      net.notes.push_back({"hostfwd=" + value, net.line, std::string(advice::kUnknownValue)});
    }
  }
  options.skip({"hostfwd", "restrict", "ipv4", "ipv6"});
  for (const auto* const name :
       {"net", "host", "dns", "dhcpstart", "hostname", "domainname", "dnssearch", "ipv6-net",
        "ipv6-dns", "guestfwd", "tftp", "bootfile", "smb", "smbserver"}) {
    if (const auto value = options.take(name)) {
      net.notes.push_back(
          {fmt::format("{}={}", name, *value), net.line, std::string(advice::kNetAddress)});
    }
  }
}

void read_tap(OptionList& options, ForeignNet& net) {
  net.tap = options.text("ifname");
  net.bridge = options.text("br");
  net.fd = number_of(options.text("fd"));
  for (const auto* const name : {"script", "downscript", "helper"}) {
    const auto value = options.take(name);
    if (value && *value != "no" && !value->empty()) {
      net.notes.push_back(
          {fmt::format("{}={}", name, *value), net.line, std::string(advice::kNetScript)});
    }
  }
  options.skip({"vhost", "vhostforce", "sndbuf", "vnet-hdr", "vhostfd", "vhostfds"});
  if (const auto fds = options.take("fds")) {
    net.notes.push_back({"fds=" + *fds, net.line, "one tap has one descriptor here, fd = N"});
  }
  net.queues = number_of(options.text("queues"));
}

void read_card(OptionList& options, ForeignNet& net) {
  net.mac = options.text("mac", "macaddr");
  net.model = options.text("model");
  net.mtu = number_of(options.text("host-mtu"));
  options.skip({"id", "netdev", "name", "vlan", "addr", "bus", "vectors", "mq", "bootindex",
                "disable-legacy", "disable-modern", "romfile", "rombar", "multifunction",
                "iommu-platform", "packed", "ats", "rx-queue-size", "tx-queue-size"});
}

/// -net has the card in one option and where it leads in another.
bool is_joined_with_earlier(QemuParts& parts, const std::string& kind, OptionList& options) {
  auto& nets = parts.guest.nets;
  const auto open = std::find_if(nets.begin(), nets.end(), [&](const ForeignNet& net) {
    return net.what == "-net" && (kind == "nic" ? net.id != "nic" : net.id == "nic") &&
           net.id != "whole";
  });
  if (open == nets.end()) {
    return false;
  }
  if (kind == "nic") {
    read_card(options, *open);
  } else if (kind == "user") {
    read_user(options, *open);
  } else {
    read_tap(options, *open);
    open->is_user = false;
  }
  open->id = "whole";
  open->is_left_out = false;
  return true;
}

}  // namespace

void add_netdev(QemuParts& parts, OptionList options, const std::string& what) {
  const std::string kind = options.text("type");
  const bool is_old = what == "-net";
  if (kind == "none" || parts.guest.nets.size() >= kMostCards ||
      (is_old && is_joined_with_earlier(parts, kind, options))) {
    return;
  }
  ForeignNet net;
  net.line = options.line();
  net.what = what;
  net.id = options.text("id");
  if (kind == "user" || kind == "passt" || (is_old && kind == "nic")) {
    read_user(options, net);
  } else if (kind == "tap" || kind == "bridge") {
    read_tap(options, net);
    if (kind == "bridge" && net.bridge.empty()) {
      net.bridge = "br0";  // QEMU's default
    }
  } else {
    net.is_left_out = true;
    net.notes.push_back({what + " " + kind, net.line, std::string(advice::kOtherNet)});
  }
  if (is_old) {
    net.id = kind == "nic" ? "nic" : "half";
  }
  if (what != "-netdev") {
    read_card(options, net);
  }
  if (!net.is_left_out) {
    options.tell_rest(what, net.notes);
  }
  parts.guest.nets.push_back(std::move(net));
}

void use_netdev(QemuParts& parts, const std::string& driver, OptionList options) {
  const std::string id = options.text("netdev");
  auto& nets = parts.guest.nets;
  const auto net = std::find_if(nets.begin(), nets.end(), [&](const ForeignNet& other) {
    return !id.empty() && other.id == id;
  });
  if (net == nets.end()) {
    parts.guest.note("", "-device " + driver, options.line(),
                     "its network is not in this text: add a [[net]]");
    return;
  }
  read_card(options, *net);
  net->model = driver;
  options.tell_rest("-device " + driver, net->notes);
}

}  // namespace gpuvm::convert
