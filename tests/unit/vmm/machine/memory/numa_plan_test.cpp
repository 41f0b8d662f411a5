// SPDX-License-Identifier: Apache-2.0
// Nodes cut out of guest memory, and what ACPI is told of them, on a made-up host of two nodes.
#include "vmm/machine/memory/numa_plan.hpp"

#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::numa_plan_test {
namespace {

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

TEST(CutMemory, PartsFollowEachOtherAroundTheHole) {
  const std::vector<GuestRange> memory = {range(0, 2_GiB), range(4_GiB, 3_GiB)};
  const auto parts = cut_memory(memory, {1_GiB, 2_GiB, 2_GiB});
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0], (std::vector{range(0, 1_GiB)}));
  EXPECT_EQ(parts[1], (std::vector{range(1_GiB, 1_GiB), range(4_GiB, 1_GiB)}));
  EXPECT_EQ(parts[2], (std::vector{range(5_GiB, 2_GiB)}));
}

TEST(CutMemory, PartsFollowEachOtherAroundTheHoleBelow1TiB) {
  const auto parts = cut_memory(place_ram(1100_GiB, 2_GiB), {1000_GiB, 100_GiB});
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0], (std::vector{range(0, 2_GiB), range(4_GiB, 998_GiB)}));
  EXPECT_EQ(parts[1], (std::vector{range(1002_GiB, 10_GiB), range(1024_GiB, 90_GiB)}));
}

class NumaPlanTest : public ::testing::Test {
 protected:
  NumaPlanTest() {
    host_.file("/sys/devices/system/node/online", "0-1\n");
    host_.file("/sys/devices/system/node/node0/distance", "10 21\n");
    host_.file("/sys/devices/system/node/node1/distance", "21 10\n");
    host_.file("/sys/devices/system/cpu/online", "0-3\n");
    host_.add_device("0000:01:00.0", "0x030000", 1, "nouveau");
    host_.file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "1\n");
    config_.machine.memory = 256_MiB;
    config_.machine.cpus = 2;
    functions_ = {{.host = *Bdf::parse("0000:01:00.0"), .reset = {}}};
  }
  Result<NumaPlan> create() {
    return NumaPlan::create(host_, config_, pointers_to(functions_), memory_);
  }

  FakeHost host_;
  Config config_;
  std::vector<HostFunction> functions_;
  GuestMemory memory_ = GuestMemory::create({.size = 256_MiB}).value();
};

TEST_F(NumaPlanTest, WithoutNodesNothingIsTold) {
  const auto plan = create();
  ASSERT_TRUE(plan);
  EXPECT_FALSE(plan->node_of(functions_[0]));
  EXPECT_FALSE(plan->describe({}, {}));
  EXPECT_EQ(plan->cpus().packages(), 1U);
  EXPECT_EQ(plan->cpus().cpus(), 2U);
}

TEST_F(NumaPlanTest, NodesOfTheConfiguration) {
  config_.nodes = {{.cpus = {1}, .memory = 128_MiB, .host_node = 0},
                   {.cpus = {0}, .memory = 128_MiB, .host_node = {}}};
  const auto plan = create();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->node_of(functions_[0]), 1U) << "the host's node of the GPU is the second one's";
  const auto numa = plan->describe({}, {{.bus = 1, .devfn = 0, .domain = 1}});
  ASSERT_TRUE(numa);
  EXPECT_EQ(numa->cpu_domains, (std::vector<std::uint32_t>{1, 0}));
  ASSERT_EQ(numa->memory.size(), 2U);
  EXPECT_EQ(numa->memory[1].range, range(128_MiB, 128_MiB));
  EXPECT_EQ(numa->memory[1].domain, 1U);
  EXPECT_EQ(numa->distances, (std::vector<std::vector<std::uint8_t>>{{10, 21}, {21, 10}}));
  EXPECT_EQ(numa->initiators.size(), 1U);
  EXPECT_EQ(plan->cpus().packages(), 2U);
  EXPECT_EQ(plan->cpus().apic_id(0), 0U) << "of the second node, but KVM starts it";
  EXPECT_EQ(plan->cpus().apic_id(1), 8U);
}

TEST_F(NumaPlanTest, CoherentMemoryIsANodeOfItsOwn) {
  functions_[0].view.coherent.bar = 2;
  const auto plan = create();
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->cpus().packages(), 1U);
  EXPECT_EQ(plan->node_of(functions_[0]), 1U);
  const auto numa = plan->describe({range(4_GiB, 1_GiB)}, {});
  ASSERT_TRUE(numa);
  ASSERT_EQ(numa->memory.size(), 2U);
  EXPECT_FALSE(numa->memory[0].is_device);
  EXPECT_TRUE(numa->memory[1].is_device);
  EXPECT_EQ(numa->memory[1].domain, 1U);
  EXPECT_EQ(numa->distances, (std::vector<std::vector<std::uint8_t>>{{10, 20}, {20, 10}}));
}

TEST_F(NumaPlanTest, TheBridgeIsNearWhereTheFunctionsAre) {
  config_.nodes = {{.cpus = {0}, .memory = 128_MiB, .host_node = 0},
                   {.cpus = {1}, .memory = 128_MiB, .host_node = 1}};
  EXPECT_EQ(NumaPlan::create(host_, config_, {}, memory_)->bridge_node(), std::nullopt);
  functions_[0].view.coherent.bar = 2;
  EXPECT_EQ(create()->node_of(functions_[0]), 2U);
  EXPECT_EQ(create()->bridge_node(), 1U) << "of its CPUs, not of its own memory";
  host_.add_device("0000:02:00.0", "0x010802", 2, "nvme");  // whose node nobody knows
  functions_.push_back({.host = *Bdf::parse("0000:02:00.0"), .reset = {}});
  EXPECT_EQ(create()->bridge_node(), 1U);
  host_.file("/sys/bus/pci/devices/0000:02:00.0/numa_node", "0\n");
  EXPECT_EQ(create()->bridge_node(), std::nullopt) << "they disagree";
}

TEST_F(NumaPlanTest, TwoNodesOnOneOfTheHostsAreNotTheSame) {
  config_.nodes = {{.cpus = {0}, .memory = 128_MiB, .host_node = 1},
                   {.cpus = {1}, .memory = 128_MiB, .host_node = 1}};
  EXPECT_EQ(create()->describe({}, {})->distances[0][1], 11) << "guests refuse 10 (SLIT)";
}

// The kernel refuses (mbind(2), EINVAL) nodes that it does not have, and no machine that runs this
// has 900: it stands for the EPERM of a container and the ENOSYS of a kernel without NUMA.
TEST_F(NumaPlanTest, ARefusedPreferenceIsNoReasonNotToStart) {
  host_.file("/sys/devices/system/node/online", "0-1,900\n");
  host_.file("/sys/bus/pci/devices/0000:01:00.0/numa_node", "900\n");
  EXPECT_TRUE(create()->bind(memory_)) << "without nodes: the GPU's";
  config_.nodes = {{.cpus = {0, 1}, .memory = 256_MiB, .host_node = {}}};
  EXPECT_TRUE(create()->bind(memory_)) << "a node that names none of the host's";
  config_.nodes[0].host_node = 900;
  const auto status = create()->bind(memory_);
  ASSERT_FALSE(status) << "a node that the user named";
  EXPECT_EQ(status.error().kind(), ErrorKind::kHost);
  EXPECT_NE(status.error().to_string().find("node 900"), std::string::npos);
}

TEST_F(NumaPlanTest, RefusesWhatTheHostDoesNotHave) {
  config_.nodes = {{.cpus = {0, 1}, .memory = 256_MiB, .host_node = 2}};
  auto plan = create();
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(plan.error().to_string().find("node.0.host_node = 2"), std::string::npos);
  config_.nodes.clear();
  config_.machine.pin = {0, 4};
  plan = create();
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().to_string().find("machine.pin = 4"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::numa_plan_test
