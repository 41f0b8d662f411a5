// SPDX-License-Identifier: Apache-2.0
// [[net]]: virtio network cards. Whether the host has the bridge, the tap or passt is known by the
// rooms that use them.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostNets = 4;           ///< as many slots as the machine keeps for them
constexpr std::size_t kLongestInterface = 15;  ///< IFNAMSIZ - 1
constexpr std::int64_t kMostDescriptor = 1 << 20;
constexpr std::int64_t kMostPairs = 8;         ///< pairs; a vhost and a queue of the tap for each
constexpr std::uint16_t kMostUserMtu = 65520;  ///< passt(1), --mtu: frames of 65534 bytes
constexpr std::string_view kInterfaceRule =
    "the name of a network interface: 1 to 15 characters without spaces, \"/\" and \":\"";
constexpr std::string_view kMacRule =
    "the address of one card: six bytes in hexadecimal, the first one even, for instance "
    "\"52:54:00:12:34:56\"";
constexpr std::string_view kForwardRule =
    "\"tcp:HOST_PORT:GUEST_PORT\" or \"udp:…\" with single ports from 1 to 65535, for instance "
    "\"tcp:2222:22\", or with an address of the host \"tcp:127.0.0.1/2222:22\"";

std::string shown_text(std::string_view text) {
  return '"' + printable(text) + '"';
}

/// As Linux's dev_valid_name() has it.
bool is_interface_name(std::string_view name) {
  const auto is_bad = [](char c) { return c <= ' ' || c == '/' || c == ':' || c == '\x7f'; };
  return !name.empty() && name.size() <= kLongestInterface && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), is_bad);
}

Result<std::string> read_interface(TableReader& entry, std::string_view key) {
  const auto name = TRY(entry.optional_string(key, kInterfaceRule));
  // "%d" would make the kernel choose a number.
  if (name && (!is_interface_name(*name) || name->find('%') != std::string::npos)) {
    return entry.must_be(key, kInterfaceRule, shown_text(*name));
  }
  return name.value_or("");
}

Result<std::optional<MacAddress>> read_mac(TableReader& entry) {
  const auto text = TRY(entry.optional_string("mac", kMacRule));
  if (!text) {
    return std::optional<MacAddress>();
  }
  const auto address = MacAddress::parse(*text);
  if (!address || !address->is_unicast()) {
    return entry.must_be("mac", kMacRule, shown_text(*text));
  }
  return address;
}

bool read_port(std::string_view text, std::uint16_t& port) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size() && port != 0;
}

/// One that IPv6 has, too: IPv4's are mapped (RFC 4291, 2.5.5.2), whatever their spelling.
std::optional<in6_addr> read_address(const std::string& text) {
  in6_addr address{};
  in_addr small{};
  if (::inet_pton(AF_INET6, text.c_str(), &address) == 1) {
    return address;
  }
  if (::inet_pton(AF_INET, text.c_str(), &small) != 1) {
    return std::nullopt;
  }
  address.s6_addr[10] = address.s6_addr[11] = 0xff;
  std::memcpy(&address.s6_addr[12], &small, sizeof small);
  return address;
}

/// Whether one of both, or the other, stands for all addresses of the other's kind: no address and
/// "::" for those of IPv4 also.
bool covers(const in6_addr& one, const in6_addr& other) {
  const auto any_of_4 = read_address("0.0.0.0");
  return IN6_IS_ADDR_UNSPECIFIED(&one) ||
         (IN6_IS_ADDR_V4MAPPED(&other) && any_of_4 && IN6_ARE_ADDR_EQUAL(&one, &*any_of_4));
}

/// Whether both listen somewhere together, however their addresses are spelt.
bool may_meet(const std::string& one, const std::string& other) {
  const auto a = read_address(one).value_or(in6addr_any);
  const auto b = read_address(other).value_or(in6addr_any);
  return covers(a, b) || covers(b, a) || IN6_ARE_ADDR_EQUAL(&a, &b);
}

std::optional<PortForward> parse_forward(std::string_view text) {
  PortForward forward;
  const auto kind = text.substr(0, text.find(':'));
  forward.udp = kind == "udp";
  if ((kind != "tcp" && kind != "udp") || kind.size() == text.size()) {
    return std::nullopt;
  }
  text.remove_prefix(kind.size() + 1);
  if (const auto slash = text.find('/'); slash != std::string_view::npos) {
    forward.address = text.substr(0, slash);
    if (!read_address(forward.address)) {
      return std::nullopt;
    }
    text.remove_prefix(slash + 1);
  }
  const auto colon = text.find(':');
  const bool is_good = colon != std::string_view::npos &&
                       read_port(text.substr(0, colon), forward.host) &&
                       read_port(text.substr(colon + 1), forward.guest);
  return is_good ? std::optional(forward) : std::nullopt;
}

bool is_same_port(const PortForward& one, const PortForward& other) {
  return one.udp == other.udp && one.host == other.host && may_meet(one.address, other.address);
}

bool has_port(const std::vector<PortForward>& list, const PortForward& forward) {
  return std::any_of(list.begin(), list.end(),
                     [&](const auto& other) { return is_same_port(other, forward); });
}

Result<std::vector<PortForward>> read_forward(TableReader& entry) {
  std::vector<PortForward> list;
  const auto texts = TRY(entry.optional_strings("forward"));
  for (const auto& text : texts.value_or(std::vector<std::string>())) {
    const auto forward = parse_forward(text);
    if (!forward) {
      return entry.must_be("forward", fmt::format("a list of {}", kForwardRule), shown_text(text));
    }
    if (has_port(list, *forward)) {
      return entry.wrong("forward", fmt::format("has {} port {} twice: remove one",
                                                forward->udp ? "UDP" : "TCP", forward->host));
    }
    list.push_back(*forward);
  }
  return list;
}

/// Keys of one mode in the other.
Status check_mode(const TableReader& entry, const NetConfig& net) {
  if (net.queues > 1 && (net.mode == NetMode::kUser || net.fd)) {
    return entry.wrong("queues", net.fd ? "does not go with fd, which is one queue of a tap; name "
                                          "the tap, or remove this key"
                                        : "belongs to mode = \"tap\": passt has one connection; "
                                          "remove it");
  }
  if (net.queues > 1 && net.throttle.is_there()) {
    return entry.wrong("throttle",
                       "does not go with several pairs of queues, which the kernel (vhost-net) "
                       "serves without limits: remove queues, or limit the tap with tc(8)");
  }
  if (net.mode == NetMode::kTap) {
    if (entry.has("host_loopback")) {
      return entry.wrong("host_loopback",
                         "belongs to mode = \"user\": with a tap the guest reaches what listens on "
                         "the bridge's or the tap's address; remove it");
    }
    if (entry.has("forward")) {
      return entry.wrong("forward",
                         "belongs to mode = \"user\": with a tap the guest has an "
                         "address of its own; remove it");
    }
    for (const auto* const key : {"tap", "bridge"}) {
      if (net.fd && entry.has(key)) {
        return entry.wrong(key, "does not go with fd, which is a tap already; remove one of them");
      }
    }
    return {};
  }
  for (const auto* const key : {"tap", "bridge", "fd"}) {
    if (entry.has(key)) {
      return entry.wrong(key, "belongs to mode = \"tap\": set that too, or remove this key");
    }
  }
  if (net.mtu.value_or(0) > kMostUserMtu) {
    return entry.wrong(
        "mtu", fmt::format("is at most {} with mode = \"user\", as passt has it", kMostUserMtu));
  }
  return {};
}

Result<NetConfig> read_net(TableReader entry) {
  NetConfig net;
  net.place.text = entry.own_place();
  net.mode = TRY(entry.choice("mode", net.mode));
  net.tap = TRY(read_interface(entry, "tap"));
  net.bridge = TRY(read_interface(entry, "bridge"));
  if (const auto fd = TRY(entry.optional_integer("fd", {.least = 3, .most = kMostDescriptor}))) {
    net.fd = static_cast<int>(*fd);
  }
  net.forward = TRY(read_forward(entry));
  net.host_loopback = TRY(entry.boolean("host_loopback", net.host_loopback));
  net.mac = TRY(read_mac(entry));
  if (const auto mtu = TRY(entry.optional_integer("mtu", {.least = 68, .most = 65535}))) {
    net.mtu = static_cast<std::uint16_t>(*mtu);
  }
  net.queues = static_cast<std::uint16_t>(TRY(entry.integer("queues", {1, kMostPairs}, 1)));
  const auto throttle = TRY(read_throttle_table(entry, "packets"));
  net.throttle = {.packets = throttle.count, .bandwidth = throttle.bandwidth};
  TRY(entry.finish());
  TRY(check_mode(entry, net));
  return net;
}

Status check_conflict(const TableReader& entry, const NetConfig& later, const NetConfig& earlier,
                      std::size_t index) {
  if (!later.tap.empty() && later.tap == earlier.tap) {
    return entry.wrong("tap", fmt::format("is that of net.{} already", index));
  }
  if (later.fd && later.fd == earlier.fd) {
    return entry.wrong("fd", fmt::format("is that of net.{} already", index));
  }
  for (const auto& forward : later.forward) {
    if (has_port(earlier.forward, forward)) {
      return entry.wrong("forward", fmt::format("has {} port {}, which net.{} has already",
                                                forward.udp ? "UDP" : "TCP", forward.host, index));
    }
  }
  return {};
}

MacAddress mac_of(const NetConfig& net, std::string_view guest, std::size_t index) {
  return net.mac.value_or(MacAddress::of_name(guest, index));
}

}  // namespace

Result<std::vector<NetConfig>> read_nets(const std::vector<TableReader>& entries,
                                         std::string_view guest) {
  std::vector<NetConfig> all;
  for (const auto& entry : entries) {
    const std::size_t index = all.size();
    if (index == kMostNets) {
      return entry.wrong(
          "mode",
          fmt::format("is in one section too many: at most {} [[net]] are accepted", kMostNets));
    }
    all.push_back(TRY(read_net(entry)));
    for (std::size_t i = 0; i < index; ++i) {
      TRY(check_conflict(entry, all.back(), all[i], i));
      if (mac_of(all.back(), guest, index) == mac_of(all[i], guest, i)) {
        return entry.wrong("mac", fmt::format("is that of net.{} already", i));
      }
    }
  }
  return all;
}

}  // namespace gpuvm::config
