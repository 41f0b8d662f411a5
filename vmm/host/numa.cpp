// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/numa.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <sstream>

namespace gpuvm {
namespace {

constexpr std::size_t kMostNumbers = 4096;

std::optional<unsigned> parse_number(std::string_view text) {
  unsigned number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc{} && end == text.data() + text.size() ? std::optional(number)
                                                                  : std::nullopt;
}

Status check_listed(const HostSystem& host, const char* path, unsigned number,
                    const std::string& key, const char* what) {
  const auto text = host.read(path);
  const auto list = text ? parse_number_list(*text) : std::nullopt;
  if (list && std::find(list->begin(), list->end(), number) == list->end()) {
    return fail(ErrorKind::kConfig, "{} = {}: this host has no such {}; it has {}", key, number,
                what, *text);
  }
  return {};
}

}  // namespace

std::optional<std::vector<unsigned>> parse_number_list(const std::string& text) {
  std::vector<unsigned> numbers;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const auto dash = part.find('-');
    const auto first = parse_number(std::string_view(part).substr(0, dash));
    const auto last =
        dash == std::string::npos ? first : parse_number(std::string_view(part).substr(dash + 1));
    if (!first || !last || *last < *first || *last - *first >= kMostNumbers - numbers.size()) {
      return std::nullopt;
    }
    for (unsigned number = *first; number <= *last; ++number) {
      numbers.push_back(number);
    }
  }
  return numbers;
}

std::vector<unsigned> numa_nodes(const HostSystem& host) {
  const auto text = host.read("/sys/devices/system/node/online");
  return text ? parse_number_list(*text).value_or(std::vector<unsigned>())
              : std::vector<unsigned>();
}

std::vector<unsigned> numa_cpus(const HostSystem& host, unsigned node) {
  const auto text = host.read(fmt::format("/sys/devices/system/node/node{}/cpulist", node));
  return text ? parse_number_list(*text).value_or(std::vector<unsigned>())
              : std::vector<unsigned>();
}

std::optional<std::uint8_t> numa_distance(const HostSystem& host, unsigned from, unsigned to) {
  const auto nodes = numa_nodes(host);
  const auto place = std::find(nodes.begin(), nodes.end(), to);
  const auto text = host.read(fmt::format("/sys/devices/system/node/node{}/distance", from));
  if (place == nodes.end() || !text) {
    return std::nullopt;
  }
  std::istringstream words(*text);
  std::string word;
  for (auto at = nodes.begin(); at <= place; ++at) {
    words >> word;
  }
  const auto distance = words ? parse_number(word) : std::nullopt;
  return distance && *distance <= 255 ? std::optional(static_cast<std::uint8_t>(*distance))
                                      : std::nullopt;
}

Status check_numa_node(const HostSystem& host, unsigned node, const std::string& key) {
  return check_listed(host, "/sys/devices/system/node/online", node, key, "NUMA node");
}

Status check_host_cpu(const HostSystem& host, unsigned cpu, const std::string& key) {
  return check_listed(host, "/sys/devices/system/cpu/online", cpu, key, "processor");
}

}  // namespace gpuvm
