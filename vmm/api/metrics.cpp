// SPDX-License-Identifier: Apache-2.0
// Numbers of a guest for Prometheus. What inspect shows as text is read back as a number here, so
// that nothing is counted twice.
#include <fmt/format.h>

#include <array>
#include <charconv>
#include <optional>

#include "vmm/api/guest_view.hpp"
#include "vmm/api/prometheus_text.hpp"

namespace gpuvm {
namespace {

using Type = PrometheusText::Type;

constexpr std::array kStates = {LifecycleState::kCreated,   LifecycleState::kResetting,
                                LifecycleState::kRunning,   LifecycleState::kPaused,
                                LifecycleState::kRebooting, LifecycleState::kStopping,
                                LifecycleState::kStopped,   LifecycleState::kFailed};

std::optional<double> number_in(const InspectNode& node, std::string_view key) {
  const std::string_view text = node.get(key);
  if (text == "true" || text == "false") {
    return text == "true" ? 1.0 : 0.0;
  }
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) {
    return std::nullopt;
  }
  return static_cast<double>(value);
}

/// The node at a/b/c; an empty one where there is none.
const InspectNode& node_at(const InspectNode& root, std::initializer_list<std::string_view> path) {
  static const InspectNode kNone;
  const InspectNode* node = &root;
  for (const auto name : path) {
    node = node->find(name);
    if (node == nullptr) {
      return kNone;
    }
  }
  return *node;
}

double seconds_of(std::chrono::milliseconds time) {
  return static_cast<double>(time.count()) / 1000.0;
}

void add_guest(PrometheusText& text, const ApiGuest& guest, const GuestTally& tally) {
  const auto now = std::chrono::system_clock::now();
  text.family("gpuvm_state", Type::kGauge, "1 for the state that the guest is in.");
  for (const LifecycleState state : kStates) {
    text.sample(state == tally.state() ? 1 : 0, {{"state", to_string(state)}});
  }
  text.family("gpuvm_start_time_seconds", Type::kGauge, "When gpuvm began, as Unix time.");
  text.sample(seconds_of(
      std::chrono::duration_cast<std::chrono::milliseconds>(tally.began().time_since_epoch())));
  text.family("gpuvm_uptime_seconds", Type::kGauge,
              "Since the guest's first instruction in this run; 0 before it.");
  text.sample(seconds_of(tally.uptime(now)));
  text.family("gpuvm_lives_total", Type::kCounter, "Times that the guest was started or reset.");
  text.sample(static_cast<double>(tally.lives()));
  text.family("gpuvm_cpus", Type::kGauge, "vCPUs of the guest.");
  text.sample(guest.cpus);
  text.family("gpuvm_memory_bytes", Type::kGauge, "Memory of the guest.");
  text.sample(static_cast<double>(guest.memory));
  text.family("gpuvm_events_total", Type::kCounter, "Events of this run.");
  text.sample(static_cast<double>(tally.events()));
}

void add_resets(PrometheusText& text, const GuestTally& tally) {
  text.family("gpuvm_device_resets_total", Type::kCounter,
              "Resets of passed-through devices, by why and by what came of them.");
  for (const auto& [kind, resets] : tally.resets()) {
    const auto& [device, reason, verdict] = kind;
    text.sample(static_cast<double>(resets.count),
                {{"device", device}, {"reason", reason}, {"verdict", verdict}});
  }
  text.family("gpuvm_device_reset_seconds_total", Type::kCounter, "Time that these resets took.");
  for (const auto& [kind, resets] : tally.resets()) {
    const auto& [device, reason, verdict] = kind;
    text.sample(static_cast<double>(resets.milliseconds) / 1000.0,
                {{"device", device}, {"reason", reason}, {"verdict", verdict}});
  }
}

void add_devices(PrometheusText& text, const InspectNode& machine) {
  const auto functions = shown_functions(machine);
  text.family("gpuvm_devices", Type::kGauge, "Passed-through functions.");
  text.sample(static_cast<double>(functions.size()));
  text.family("gpuvm_device_info", Type::kGauge, "1 for each, with its place in the guest.");
  for (const InspectNode* const function : functions) {
    text.sample(1, {{"device", function->name()},
                    {"port", function->get("port")},
                    {"function", function->get("function")}});
  }
}

bool is_vcpu(const InspectNode& node) {
  return node.name().starts_with("vcpu_");
}

std::string_view vcpu_number(const InspectNode& node) {
  return std::string_view(node.name()).substr(std::string_view("vcpu_").size());
}

/// "kvm_halt_exits" is KVM's count of why "halt".
std::string_view reason_of(std::string_view key) {
  constexpr std::string_view kBefore = "kvm_";
  constexpr std::string_view kAfter = "_exits";
  return key.starts_with(kBefore) && key.ends_with(kAfter) &&
                 key.size() > kBefore.size() + kAfter.size()
             ? key.substr(kBefore.size(), key.size() - kBefore.size() - kAfter.size())
             : std::string_view();
}

void add_exits(PrometheusText& text, const InspectNode& machine) {
  const auto children = node_at(machine, {"kvm"}).children();
  const auto for_each = [&children](const auto& action) {
    for (const InspectNode* const child : children) {
      if (is_vcpu(*child)) {
        action(*child);
      }
    }
  };
  text.family("gpuvm_vcpu_exits_total", Type::kCounter,
              "Exits of a vCPU in this life, as KVM counts them.");
  for_each([&text](const InspectNode& vcpu) {
    if (const auto exits = number_in(vcpu, "kvm_exits")) {
      text.sample(*exits, {{"vcpu", vcpu_number(vcpu)}});
    }
  });
  text.family("gpuvm_vcpu_exits_by_reason_total", Type::kCounter,
              "Those that KVM counts by their reason, too.");
  for_each([&text](const InspectNode& vcpu) {
    for (const std::string_view key : vcpu.keys()) {
      const auto exits = number_in(vcpu, key);
      if (const auto reason = reason_of(key); !reason.empty() && exits) {
        text.sample(*exits, {{"vcpu", vcpu_number(vcpu)}, {"reason", reason}});
      }
    }
  });
  text.family("gpuvm_vcpu_emulated_exits_total", Type::kCounter,
              "Exits of a vCPU in this life that gpuvm itself served.");
  for_each([&text](const InspectNode& vcpu) {
    for (const std::string_view kind : {"port", "mmio"}) {
      if (const auto exits = number_in(vcpu, std::string(kind) + "_exits")) {
        text.sample(*exits, {{"vcpu", vcpu_number(vcpu)}, {"kind", kind}});
      }
    }
  });
}

void add_machine(PrometheusText& text, const InspectNode& machine) {
  text.family("gpuvm_unclaimed_accesses_total", Type::kCounter,
              "Accesses of the guest that no device answered.");
  for (const std::string_view bus : {"ports", "mmio"}) {
    if (const auto count = number_in(node_at(machine, {bus}), "unclaimed")) {
      text.sample(*count, {{"bus", bus}});
    }
  }
  text.family("gpuvm_memory_slots", Type::kGauge, "KVM's memory slots: memory and mapped BARs.");
  if (const auto count = number_in(node_at(machine, {"kvm", "memory_slots"}), "count")) {
    text.sample(*count);
  }
}

struct ConsoleCount {
  std::string_view console;
  const InspectNode& node;
  std::string_view output;
  std::string_view input;
};

void add_console(PrometheusText& text, const InspectNode& machine, const ApiCounts& counts) {
  const std::array consoles = {
      ConsoleCount{"serial", node_at(machine, {"platform", "serial"}), "transmitted", "received"},
      ConsoleCount{"virtio", node_at(machine, {"pci", "root_bus", "virtio-console", "device"}),
                   "written", "read"}};
  text.family("gpuvm_console_bytes_total", Type::kCounter,
              "Bytes that the guest printed (output) and read (input).");
  for (const ConsoleCount& console : consoles) {
    if (const auto bytes = number_in(console.node, console.output)) {
      text.sample(*bytes, {{"console", console.console}, {"direction", "output"}});
    }
    if (const auto bytes = number_in(console.node, console.input)) {
      text.sample(*bytes, {{"console", console.console}, {"direction", "input"}});
    }
  }
  text.family("gpuvm_control_connections", Type::kGauge, "Clients of the control socket.");
  text.sample(static_cast<double>(counts.connections));
  text.family("gpuvm_console_viewers", Type::kGauge, "Those of them that look at a console.");
  text.sample(static_cast<double>(counts.viewers));
}

/// A number of devices of bus 0 that count it: "gpuvm_disk_reads_total".
struct DeviceMetric {
  std::string_view device;  ///< of devices whose names are this, "-" and more
  std::string_view what;
  std::string_view key;  ///< of the device's node
  std::string_view help;
  Type type = Type::kCounter;

  std::string name() const {
    return fmt::format("gpuvm_{}_{}{}", device, what, type == Type::kCounter ? "_total" : "");
  }
};
constexpr std::array kDeviceMetrics = {
    DeviceMetric{"disk", "reads", "reads", "Reads of a disk."},
    DeviceMetric{"disk", "writes", "writes", "Writes to a disk."},
    DeviceMetric{"disk", "flushes", "flushes", "Flushes of a disk."},
    DeviceMetric{"disk", "read_bytes", "bytes_read", "Bytes read from a disk."},
    DeviceMetric{"disk", "written_bytes", "bytes_written", "Bytes written to a disk."},
    DeviceMetric{"disk", "errors", "errors", "Requests of a disk that failed."},
    DeviceMetric{"net", "link_up", "link_up", "1 while a network card has its link.", Type::kGauge},
    DeviceMetric{"net", "sent_frames", "sent_frames",
                 "Frames that the guest sent; none where the kernel serves the card."},
    DeviceMetric{"net", "sent_bytes", "sent_bytes", "Bytes of them."},
    DeviceMetric{"net", "sent_dropped", "sent_dropped",
                 "Frames that the guest sent and the host did not take."},
    DeviceMetric{"net", "received_frames", "received_frames",
                 "Frames for the guest; none where the kernel serves the card."},
    DeviceMetric{"net", "received_bytes", "received_bytes", "Bytes of them."},
    DeviceMetric{"net", "received_dropped", "received_dropped",
                 "Frames for the guest that it had no room for."},
};

/// vhost-net's frames do not come by here.
bool has_metric(const InspectNode& device, const DeviceMetric& metric) {
  return device.name().starts_with(fmt::format("{}-", metric.device)) &&
         (metric.key == "link_up" || device.get("backend") != "vhost-net");
}

void add_bus(PrometheusText& text, const InspectNode& machine) {
  const auto devices = node_at(machine, {"pci", "root_bus"}).children();
  text.family("gpuvm_virtio_requests_total", Type::kCounter,
              "Requests of a virtio device that gpuvm served.");
  for (const InspectNode* const device : devices) {
    if (const auto count = number_in(*device, "requests")) {
      text.sample(*count, {{"device", device->name()}});
    }
  }
  for (const DeviceMetric& metric : kDeviceMetrics) {
    text.family(metric.name(), metric.type, metric.help);
    for (const InspectNode* const device : devices) {
      const InspectNode& counts = node_at(*device, {"device"});
      const auto count = number_in(counts, metric.key);
      if (has_metric(*device, metric) && count) {
        text.sample(*count, {{"device", device->name()}});
      }
    }
  }
}

}  // namespace

std::string metrics_text(const ApiGuest& guest, const GuestTally& tally, const ApiCounts& counts,
                         const InspectNode& machine) {
  PrometheusText text(guest.name);
  add_guest(text, guest, tally);
  add_devices(text, machine);
  add_resets(text, tally);
  add_exits(text, machine);
  add_machine(text, machine);
  add_console(text, machine, counts);
  add_bus(text, machine);
  return text.text();
}

}  // namespace gpuvm
