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

void read_user(OptionList& options, ForeignNet& net, ForeignGuest& guest) {
  net.is_user = true;
  auto all = options.take_all("hostfwd");
  const auto listed = options.take_all("hostfwd.str");  // JSON's
  all.insert(all.end(), listed.begin(), listed.end());
  for (const auto& value : all) {
    const auto forward = forward_of(value);
    if (forward && net.forward.size() < kMostForwards) {
      net.forward.push_back(*forward);
    } else {
      net.notes.push_back({"hostfwd=" + value, net.line, std::string(advice::kUnknownValue)});
    }
  }
  options.needs_no_key(net.what, guest, {"ipv4", "ipv6"});
  if (const auto restricted = options.take("restrict")) {
    if (switch_of(*restricted) == false) {
      guest.needs_no_key(fmt::format("{} restrict={}", net.what, *restricted));
    } else {
      net.notes.push_back({"restrict=" + *restricted, net.line,
                           "the guest reaches all that the host reaches: without [[net]] it "
                           "reaches nothing, and a bridge can have rules of its own"});
    }
  }
  for (const auto* const name : {"net",
                                 "host",
                                 "dns",
                                 "dhcpstart",
                                 "hostname",
                                 "domainname",
                                 "dnssearch",
                                 "dnssearch.str",
                                 "ipv6-net",
                                 "ipv6-prefix",
                                 "ipv6-prefixlen",
                                 "ipv6-host",
                                 "ipv6-dns",
                                 "guestfwd",
                                 "guestfwd.str",
                                 "tftp",
                                 "tftp-server-name",
                                 "bootfile",
                                 "smb",
                                 "smbserver"}) {
    for (const auto& value : options.take_all(name)) {
      net.notes.push_back(
          {fmt::format("{}={}", name, value), net.line,
           std::string(
               std::string_view(name).starts_with("smb")
                   ? std::string_view("folders of the host are a [[share]] each, by virtiofs")
                   : advice::kNetAddress)});
    }
  }
}

/// A descriptor of the tap, or several.
void read_descriptors(OptionList& options, ForeignNet& net) {
  const auto one = options.take("fd");
  const auto several = options.take("fds");
  const std::string text = one.value_or(several.value_or(""));
  net.fd = number_of(text.substr(0, text.find(':')));
  if (one) {
    net.notes.push_back({"fd=" + *one, net.line, std::string(advice::kDescriptor)});
  } else if (several) {
    net.notes.push_back({"fds=" + *several, net.line,
                         fmt::format("one tap has one descriptor here, this is the first: {}",
                                     advice::kDescriptor)});
  }
}

void read_tap(OptionList& options, ForeignNet& net, ForeignGuest& guest) {
  net.tap = options.text("ifname");
  net.bridge = options.text("br");
  read_descriptors(options, net);
  for (const auto* const name : {"script", "downscript", "helper"}) {
    const auto value = options.take(name);
    if (value && *value != "no" && !value->empty()) {
      net.notes.push_back(
          {fmt::format("{}={}", name, *value), net.line, std::string(advice::kNetScript)});
    }
  }
  options.needs_no_key(
      net.what, guest,
      {"vhost", "vhostforce", "sndbuf", "vnet-hdr", "vhostfd", "vhostfds", "poll-us"});
  if (const auto queues = options.number("queues")) {
    net.queues = *queues;
  }
}

void read_card(OptionList& options, ForeignNet& net, ForeignGuest& guest) {
  const std::string mac = options.text("mac", "macaddr");
  net.mac = mac.empty() ? net.mac : mac;
  const std::string model = options.text("model");
  net.model = model.empty() ? net.model : model;
  if (const auto mtu = options.number("host-mtu")) {
    net.mtu = *mtu;
  }
  if (const auto order = options.take("bootindex")) {
    net.notes.push_back({"bootindex=" + *order, net.line,
                         "gpuvm puts no network card first: choose it in the firmware's own boot "
                         "manager"});
  }
  options.drop_places();
  options.needs_no_key("-device", guest,
                       {"name",
                        "vlan",
                        "vectors",
                        "mq",
                        "disable-legacy",
                        "disable-modern",
                        "romfile",
                        "rombar",
                        "iommu-platform",
                        "packed",
                        "ats",
                        "rx-queue-size",
                        "tx-queue-size",
                        "rss",
                        "hash",
                        "event-idx",
                        "ioeventfd",
                        "csum",
                        "gso",
                        "guest-csum",
                        "guest-tso4",
                        "guest-tso6",
                        "guest-ecn",
                        "guest-ufo",
                        "host-tso4",
                        "host-tso6",
                        "host-ecn",
                        "host-ufo",
                        "mrg-rxbuf",
                        "tx",
                        "ctrl-vq",
                        "ctrl-rx",
                        "page-per-vq",
                        "failover",
                        "host-uso",
                        "guest-uso4",
                        "guest-uso6"});
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
    read_card(options, *open, parts.guest);
  } else if (kind == "user") {
    read_user(options, *open, parts.guest);
  } else if (kind == "tap" || kind == "bridge") {
    read_tap(options, *open, parts.guest);
    open->is_user = false;
  } else {
    open->is_left_out = true;
    open->notes.push_back(
        {"-net " + options.argument(), options.line(), std::string(advice::kOtherNet)});
    open->id = "whole";
    return true;
  }
  options.tell_rest("-net", open->notes);
  open->id = "whole";
  return true;
}

}  // namespace

void add_netdev(QemuParts& parts, OptionList options, const std::string& what) {
  const std::string kind = options.text("type");
  const bool is_old = what == "-net";
  if (kind == "none") {
    parts.guest.needs_no_key(what + " none");
    return;
  }
  if (is_old && is_joined_with_earlier(parts, kind, options)) {
    return;
  }
  ForeignNet net;
  net.line = options.line();
  net.what = what;
  net.id = options.text("id");
  net.has_card = what != "-netdev";
  if (kind == "user" || kind == "passt" || (is_old && kind == "nic")) {
    read_user(options, net, parts.guest);
  } else if (kind == "tap" || kind == "bridge") {
    read_tap(options, net, parts.guest);
    if (kind == "bridge" && net.bridge.empty() && !net.fd) {
      net.bridge = "br0";  // QEMU's default
    }
  } else {
    net.is_left_out = true;
    net.notes.push_back(
        {what + ' ' + options.argument(), net.line, std::string(advice::kOtherNet)});
  }
  if (is_old) {
    net.id = kind == "nic" ? "nic" : "half";
  }
  if (what != "-netdev") {
    read_card(options, net, parts.guest);
  }
  if (!net.is_left_out) {
    options.tell_rest(what, net.notes);
  }
  parts.guest.add(parts.guest.nets, kMostCards, std::move(net), what + ' ' + options.argument());
}

void use_netdev(QemuParts& parts, const std::string& driver, OptionList options) {
  const std::string id = options.text("netdev");
  auto& nets = parts.guest.nets;
  const auto net = std::find_if(nets.begin(), nets.end(), [&](const ForeignNet& other) {
    return !id.empty() && other.id == id;
  });
  if (net == nets.end()) {
    parts.guest.note("", "-device " + options.argument(), options.line(),
                     "its network is not in this text: add a [[net]]");
    return;
  }
  net->has_card = true;
  read_card(options, *net, parts.guest);
  net->model = driver;
  options.tell_rest("-device " + driver, net->notes);
}

}  // namespace gpuvm::convert
