// SPDX-License-Identifier: Apache-2.0
#include "vmm/network/name_servers.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace gpuvm {
namespace {

constexpr std::size_t kMostServers = 3;     // MAXNS of resolv.h
constexpr std::size_t kMostText = 1 << 16;  // of a file; the rest is not looked at
constexpr const char* kOfHost = "/etc/resolv.conf";
constexpr const char* kOfResolver = "/run/systemd/resolve/resolv.conf";

struct Servers {
  std::vector<std::string> reachable;
  bool has_loopback = false;
};

void add(const std::string& address, Servers& servers) {
  in_addr four{};
  in6_addr six{};
  const bool is_four = ::inet_pton(AF_INET, address.c_str(), &four) == 1;
  if (!is_four && ::inet_pton(AF_INET6, address.c_str(), &six) != 1) {
    return;  // nothing, or of one link ("fe80::1%eth0"), which means nothing to the guest
  }
  const bool is_loopback =
      is_four ? ntohl(four.s_addr) >> 24 == IN_LOOPBACKNET : IN6_IS_ADDR_LOOPBACK(&six);
  servers.has_loopback = servers.has_loopback || is_loopback;
  if (!is_loopback && servers.reachable.size() < kMostServers) {
    servers.reachable.push_back(address);
  }
}

Servers read(std::string_view text) {
  Servers servers;
  std::istringstream lines{std::string(text.substr(0, kMostText))};
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    std::string address;
    if (words >> key >> address && key == "nameserver") {
      add(address, servers);
    }
  }
  return servers;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  std::string text(kMostText, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::max<std::streamsize>(file.gcount(), 0)));
  return text;
}

}  // namespace

NameServers choose_name_servers(std::string_view of_host, std::string_view of_resolver) {
  const Servers known = read(of_host);
  if (!known.reachable.empty() || !known.has_loopback) {
    return {};
  }
  auto upstream = read(of_resolver).reachable;
  const bool none = upstream.empty();
  return {.instead = std::move(upstream), .none_reachable = none};
}

NameServers name_servers_for_guest(const HostSystem& host) {
  return choose_name_servers(text_of(host.path(kOfHost)), text_of(host.path(kOfResolver)));
}

}  // namespace gpuvm
