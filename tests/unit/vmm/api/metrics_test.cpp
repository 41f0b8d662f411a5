// SPDX-License-Identifier: Apache-2.0
// Metrics, read by a parser of Prometheus' text format 0.0.4 as strict as promtool.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "vmm/api/guest_view.hpp"
#include "vmm/api/prometheus_text.hpp"

namespace gpuvm::metrics_test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Series and their values; each fault is a failure of the test.
class Exposition {
 public:
  explicit Exposition(const std::string& text) {
    EXPECT_TRUE(text.empty() || text.back() == '\n');
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      take(line);
    }
  }
  double value(const std::string& series) const {
    const auto found = series_.find(series);
    EXPECT_NE(found, series_.end()) << series;
    return found == series_.end() ? -1 : found->second;
  }
  bool has(const std::string& series) const { return series_.contains(series); }
  std::size_t size() const { return series_.size(); }

 private:
  void take(const std::string& line) {
    static const std::regex help(R"(# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) ([^\\\n]|\\\\|\\n)+)");
    static const std::regex type(R"(# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge))");
    static const std::regex sample(
        R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)\{(([a-zA-Z_][a-zA-Z0-9_]*="([^"\\]|\\\\|\\"|\\n)*",?)*)\} (-?[0-9.e+-]+))re");
    std::smatch match;
    if (std::regex_match(line, match, help)) {
      EXPECT_TRUE(families_.insert(match[1]).second) << "twice, or not in one piece: " << line;
      family_ = match[1];
      EXPECT_THAT(family_, testing::StartsWith("gpuvm_"));
    } else if (std::regex_match(line, match, type)) {
      EXPECT_EQ(match[1], family_) << line;
      EXPECT_EQ(match[2] == "counter", family_.ends_with("_total")) << line;
    } else if (std::regex_match(line, match, sample)) {
      EXPECT_EQ(match[1], family_) << line;
      EXPECT_THAT(match[2].str(), Not(testing::EndsWith(",")));
      check_labels(match[2]);
      const std::string series = match[1].str() + "{" + match[2].str() + "}";
      EXPECT_TRUE(series_.emplace(series, std::stod(match[5])).second) << "twice: " << series;
    } else {
      ADD_FAILURE() << "no line of the format: " << line;
    }
  }
  static void check_labels(const std::string& text) {
    static const std::regex label(R"re(([a-zA-Z_][a-zA-Z0-9_]*)="([^"\\]|\\.)*")re");
    std::set<std::string> names;
    for (std::sregex_iterator it(text.begin(), text.end(), label), end; it != end; ++it) {
      EXPECT_TRUE(names.insert((*it)[1]).second) << text;
    }
    EXPECT_TRUE(names.contains("vm")) << text;
  }

  std::string family_;
  std::set<std::string> families_;
  std::map<std::string, double> series_;
};

InspectNode machine() {
  InspectNode root("machine");
  root.child("ports").field("unclaimed", std::uint64_t{132});
  root.child("mmio").field("unclaimed", std::uint64_t{0});
  auto& kvm = root.child("kvm");
  kvm.child("memory_slots").field("count", std::uint64_t{6});
  for (const auto* const name : {"vcpu_0", "vcpu_1"}) {
    auto& vcpu = kvm.child(name);
    vcpu.field("port_exits", std::uint64_t{18291});
    vcpu.field("mmio_exits", std::uint64_t{5});
    vcpu.field("kvm_exits", std::uint64_t{150174});
    vcpu.field("kvm_mmio_exits", std::uint64_t{4});
    vcpu.field("kvm_halt_exits", std::uint64_t{3});
  }
  auto& serial = root.child("platform").child("serial");
  serial.field("transmitted", std::uint64_t{8828});
  serial.field("received", std::uint64_t{2});
  auto& function = root.child("host_devices").child("0000:01:00.0");
  function.field("port", std::uint64_t{0});
  function.field("function", std::uint64_t{0});
  auto& bus = root.child("pci").child("root_bus");
  auto& disk = bus.child("disk-0");
  disk.field("requests", std::uint64_t{12});
  disk.child("device").field("reads", std::uint64_t{10});
  disk.child("device").field("bytes_read", std::uint64_t{40960});
  bus.child("net-0").child("device").field("link_up", true);
  bus.child("net-0").child("device").field("sent_frames", std::uint64_t{9});
  auto& kernels = bus.child("net-1");
  kernels.field("backend", "vhost-net");
  kernels.child("device").field("sent_frames", std::uint64_t{0});
  kernels.child("device").field("link_up", false);
  return root;
}

GuestTally tally() {
  GuestTally made(GuestTally::Time(std::chrono::milliseconds(1'700'000'000'250)));
  made.add(
      {.what = StateChange{.from = LifecycleState::kResetting, .to = LifecycleState::kRunning}});
  made.add({.what = DevicesReset{.reason = "start",
                                 .functions = "0000:01:00.0 0000:01:00.1",
                                 .verdict = "verified",
                                 .duration_ms = 131}});
  return made;
}

// As status has them: one that has come while the guest runs is one of its devices.
TEST(Metrics, CountCardsThatHaveCome) {
  auto root = machine();
  auto& slot = root.child("hot_plug").child("port_1");
  slot.field("state", "in");
  auto& card = slot.child("functions").child("0000:41:00.0");
  card.field("port", std::uint64_t{1});
  card.field("function", std::uint64_t{0});
  root.child("hot_plug").child("port_2").field("state", "empty");
  const Exposition metrics(
      metrics_text({.name = "main"}, tally(), {.connections = 3, .viewers = 1}, root));
  EXPECT_EQ(metrics.value(R"(gpuvm_devices{vm="main"})"), 2);
  const auto* const info =
      R"(gpuvm_device_info{vm="main",device="0000:41:00.0",port="1",function="0"})";
  EXPECT_EQ(metrics.value(info), 1);
}

TEST(Metrics, AreThese) {
  const ApiGuest guest{.name = "main", .cpus = 2, .memory = 1 << 30};
  const Exposition metrics(
      metrics_text(guest, tally(), {.connections = 3, .viewers = 1}, machine()));
  EXPECT_EQ(metrics.value(R"(gpuvm_state{vm="main",state="running"})"), 1);
  EXPECT_EQ(metrics.value(R"(gpuvm_state{vm="main",state="paused"})"), 0);
  EXPECT_EQ(metrics.value(R"(gpuvm_start_time_seconds{vm="main"})"), 1'700'000'000.25);
  EXPECT_EQ(metrics.value(R"(gpuvm_lives_total{vm="main"})"), 1);
  EXPECT_EQ(metrics.value(R"(gpuvm_memory_bytes{vm="main"})"), 1 << 30);
  EXPECT_EQ(metrics.value(R"(gpuvm_devices{vm="main"})"), 1);
  EXPECT_EQ(
      metrics.value(R"(gpuvm_device_reset_seconds_total{vm="main",)"
                    R"(device="0000:01:00.0 0000:01:00.1",reason="start",verdict="verified"})"),
      0.131);
  EXPECT_EQ(metrics.value(R"(gpuvm_vcpu_exits_total{vm="main",vcpu="1"})"), 150174);
  EXPECT_EQ(metrics.value(R"(gpuvm_vcpu_exits_by_reason_total{vm="main",vcpu="0",reason="mmio"})"),
            4);
  EXPECT_EQ(metrics.value(R"(gpuvm_vcpu_emulated_exits_total{vm="main",vcpu="0",kind="port"})"),
            18291);
  EXPECT_EQ(metrics.value(R"(gpuvm_unclaimed_accesses_total{vm="main",bus="ports"})"), 132);
  EXPECT_EQ(
      metrics.value(R"(gpuvm_console_bytes_total{vm="main",console="serial",direction="output"})"),
      8828);
  EXPECT_EQ(metrics.value(R"(gpuvm_control_connections{vm="main"})"), 3);
  EXPECT_EQ(metrics.value(R"(gpuvm_virtio_requests_total{vm="main",device="disk-0"})"), 12);
  EXPECT_EQ(metrics.value(R"(gpuvm_disk_read_bytes_total{vm="main",device="disk-0"})"), 40960);
  EXPECT_EQ(metrics.value(R"(gpuvm_net_sent_frames_total{vm="main",device="net-0"})"), 9);
  EXPECT_EQ(metrics.value(R"(gpuvm_net_link_up{vm="main",device="net-1"})"), 0);
  EXPECT_FALSE(metrics.has(R"(gpuvm_net_sent_frames_total{vm="main",device="net-1"})"))
      << "the kernel's frames are not counted, which is not 0";
}

TEST(Metrics, OfAMachineThatIsNotThereYet) {
  const auto text = metrics_text({.name = "main"}, GuestTally({}), {}, InspectNode("machine"));
  const Exposition metrics(text);
  EXPECT_EQ(metrics.value(R"(gpuvm_state{vm="main",state="created"})"), 1);
  EXPECT_THAT(text, Not(HasSubstr("gpuvm_vcpu_exits_total"))) << "a head without samples";
}

TEST(Metrics, LabelsAreEscaped) {
  PrometheusText text("a\\b\"c\nd");
  text.family("gpuvm_x", PrometheusText::Type::kGauge, "Something.");
  text.sample(1.5, {{"device", "\xff\x01"}});
  EXPECT_EQ(text.text(),
            "# HELP gpuvm_x Something.\n# TYPE gpuvm_x gauge\n"
            "gpuvm_x{vm=\"a\\\\b\\\"c\\nd\",device=\"??\"} 1.5\n");
  const Exposition readable(text.text());
  EXPECT_EQ(readable.size(), 1U);
}

TEST(Metrics, LargeNumbersKeepTheirDigits) {
  PrometheusText text("m");
  text.family("gpuvm_x", PrometheusText::Type::kGauge, "Something.");
  text.sample(17592186044416.0);
  EXPECT_THAT(text.text(), HasSubstr(" 17592186044416\n"));
}

}  // namespace
}  // namespace gpuvm::metrics_test
