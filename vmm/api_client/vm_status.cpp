// SPDX-License-Identifier: Apache-2.0
#include "vmm/api_client/vm_status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <nlohmann/json.hpp>

#include "vmm/base/duration.hpp"
#include "vmm/base/text.hpp"

namespace gpuvm {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kMostDevices = 256;
constexpr std::size_t kLongestWord = 256;
constexpr unsigned kDeepest = 64;
constexpr std::size_t kColumns = 7;

/// For a line of a terminal.
std::string one_line(std::string_view text) {
  std::string clean = terminal_text(text.substr(0, kLongestWord));
  std::replace(clean.begin(), clean.end(), '\n', '?');
  return clean;
}

std::string string_in(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? one_line(found->get<std::string>()) : "";
}

/// 0 for what is none.
std::uint64_t number_in_json(const Json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end() || !found->is_number()) {
    return 0;
  }
  if (found->is_number_float()) {
    const double value = found->get<double>();
    constexpr double kMost = 1e15;
    return value > 0 && value < kMost ? static_cast<std::uint64_t>(value) : 0;
  }
  return found->is_number_unsigned() ? found->get<std::uint64_t>() : 0;
}

std::string dump(const Json& json) {
  return json.dump(-1, ' ', true, Json::error_handler_t::replace);
}

std::vector<std::string> devices_in(const Json& object) {
  std::vector<std::string> devices;
  const auto found = object.find("devices");
  if (found == object.end() || !found->is_array()) {
    return devices;
  }
  for (const Json& device : *found) {
    if (devices.size() < kMostDevices && device.is_object()) {
      const std::string bdf = string_in(device, "bdf");
      const std::string place = bdf.empty() ? string_in(device, "socket") : bdf;
      devices.push_back(place.empty() ? "?" : place);
    }
  }
  return devices;
}

/// Text that people read quickly: "8G", "1536M".
std::string size_text(std::uint64_t bytes) {
  constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
  constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
  return bytes % kGiB == 0 ? fmt::format("{}G", bytes / kGiB) : fmt::format("{}M", bytes / kMiB);
}

/// Nobody's guest is older than 1000 days; a number that says so is not multiplied.
std::string uptime_text(std::uint64_t seconds) {
  constexpr std::uint64_t kMost = 1000 * 86400ULL;
  return to_string(std::chrono::seconds(std::min(seconds, kMost)));
}

using Row = std::array<std::string, kColumns>;

Row row_of(const ListedGuest& guest) {
  if (!guest.status) {
    return {one_line(guest.name), one_line(guest.problem), "-", "-", "-", "-", "-"};
  }
  const VmStatus& status = *guest.status;
  // By the name of its socket it is found; what it calls itself may be anything.
  const std::string name = one_line(guest.name);
  return {status.name == name ? name : fmt::format("{} (says {})", name, status.name),
          status.state,
          std::to_string(status.pid),
          uptime_text(status.uptime_s),
          std::to_string(status.cpus),
          size_text(status.memory_bytes),
          status.devices.empty() ? "-" : fmt::format("{}", fmt::join(status.devices, ","))};
}

std::string value_text(const Json& value) {
  return value.is_string() ? one_line(value.get<std::string>()) : one_line(dump(value));
}

/// Values first, then what has values of its own, as InspectNode::to_text(). The depth is that of
/// object_in().
void add_tree(const Json& object, std::string_view name, std::size_t indent, std::string& text) {
  text += fmt::format("{:{}}{}\n", "", indent, one_line(name));
  for (const auto& [key, value] : object.items()) {
    if (!value.is_object()) {
      text += fmt::format("{:{}}{}: {}\n", "", indent + 2, one_line(key), value_text(value));
    }
  }
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      add_tree(value, key, indent + 2, text);
    }
  }
}

/// Nothing for what is no object. A depth that takes a parser's stack is no object either.
std::optional<Json> object_in(std::string_view text) {
  bool is_too_deep = false;
  const auto watch = [&is_too_deep](int depth, Json::parse_event_t, Json&) {
    is_too_deep = is_too_deep || depth > static_cast<int>(kDeepest);
    return !is_too_deep;
  };
  Json json = Json::parse(text, watch, false);
  return json.is_object() && !is_too_deep ? std::optional(std::move(json)) : std::nullopt;
}

}  // namespace

Result<VmStatus> VmStatus::parse(std::string_view text) {
  const auto json = object_in(text);
  VmStatus status;
  if (json) {
    status.name = string_in(*json, "name");
    status.state = string_in(*json, "state");
  }
  if (status.name.empty() || status.state.empty()) {
    return fail(ErrorKind::kHost, "The answer at the control socket is no status of a guest");
  }
  constexpr std::uint64_t kMostProcesses = std::uint64_t{1} << 31;
  const auto process = [&json, kMostProcesses](const char* key) {
    return static_cast<std::int64_t>(std::min(number_in_json(*json, key), kMostProcesses));
  };
  status.pid = process("pid");
  status.monitor_pid = process("monitor_pid");
  status.uptime_s = number_in_json(*json, "uptime_s");
  status.cpus = number_in_json(*json, "cpus");
  status.memory_bytes = number_in_json(*json, "memory_bytes");
  status.devices = devices_in(*json);
  status.json = dump(*json);
  return status;
}

std::string guest_table(std::span<const ListedGuest> guests) {
  std::vector<Row> rows = {{"NAME", "STATE", "PID", "UPTIME", "CPUS", "MEMORY", "DEVICES"}};
  for (const ListedGuest& guest : guests) {
    rows.push_back(row_of(guest));
  }
  std::array<std::size_t, kColumns> widths{};
  for (const Row& row : rows) {
    for (std::size_t i = 0; i < kColumns; ++i) {
      widths[i] = std::max(widths[i], row[i].size());
    }
  }
  std::string text;
  for (const Row& row : rows) {
    for (std::size_t i = 0; i + 1 < kColumns; ++i) {
      text += fmt::format("{:<{}}  ", row[i], widths[i]);
    }
    text += row.back() + '\n';
  }
  return text;
}

std::string guest_json(std::span<const ListedGuest> guests) {
  Json array = Json::array();
  for (const ListedGuest& guest : guests) {
    Json object = guest.status ? Json::parse(guest.status->json, nullptr, false) : Json::object();
    if (!guest.status) {
      object["name"] = guest.name;
      object["state"] = "unknown";
      object["problem"] = guest.problem;
    }
    object["socket"] = guest.path;
    array.push_back(std::move(object));
  }
  return dump(array);
}

std::string status_text(const VmStatus& status) {
  const Json object = object_in(status.json).value_or(Json::object());
  std::string text;
  for (const auto& [key, value] : object.items()) {
    text += fmt::format("{}: {}\n", one_line(key), value_text(value));
  }
  return text;
}

Result<std::string> tree_text(std::string_view text) {
  const auto json = object_in(text);
  if (!json) {
    return fail(ErrorKind::kHost, "The answer at the control socket is no JSON object");
  }
  std::string out;
  add_tree(*json, "guest", 0, out);
  return out;
}

}  // namespace gpuvm
