// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/numa.hpp"

#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::numa_test {
namespace {

using Numbers = std::vector<unsigned>;

TEST(NumberList, AsTheKernelWritesIt) {
  EXPECT_EQ(parse_number_list("0"), Numbers({0}));
  EXPECT_EQ(parse_number_list("0-2,8,10-11"), Numbers({0, 1, 2, 8, 10, 11}));
  EXPECT_EQ(parse_number_list(""), Numbers());
  for (const char* wrong : {"a", "1-", "-1", "2-1", "0-4294967295", "1,,2", "1 2"}) {
    EXPECT_FALSE(parse_number_list(wrong)) << wrong;
  }
}

TEST(Numa, NodesAndDistances) {
  FakeHost host;
  EXPECT_TRUE(numa_nodes(host).empty());
  EXPECT_FALSE(numa_distance(host, 0, 0));
  EXPECT_TRUE(check_numa_node(host, 7, "node.0.host_node")) << "a kernel without nodes";
  host.file("/sys/devices/system/node/online", "0,2\n");
  host.file("/sys/devices/system/node/node0/distance", "10 21\n");
  host.file("/sys/devices/system/node/node2/distance", "21\n");
  EXPECT_EQ(numa_nodes(host), Numbers({0, 2}));
  EXPECT_EQ(numa_distance(host, 0, 2), 21);
  EXPECT_EQ(numa_distance(host, 2, 0), 21);
  EXPECT_FALSE(numa_distance(host, 2, 2)) << "the line is too short";
  EXPECT_FALSE(numa_distance(host, 0, 1));
}

TEST(Numa, ChecksNameKeyAndCure) {
  FakeHost host;
  host.file("/sys/devices/system/node/online", "0-1\n");
  host.file("/sys/devices/system/cpu/online", "0-3\n");
  EXPECT_TRUE(check_numa_node(host, 1, "node.0.host_node"));
  const auto node = check_numa_node(host, 2, "node.0.host_node");
  ASSERT_FALSE(node);
  EXPECT_EQ(node.error().kind(), ErrorKind::kConfig);
  EXPECT_EQ(node.error().to_string(),
            "node.0.host_node = 2: this host has no such NUMA node; it has 0-1");
  EXPECT_TRUE(check_host_cpu(host, 3, "machine.pin"));
  EXPECT_FALSE(check_host_cpu(host, 4, "machine.pin"));
}

TEST(Numa, ProcessorsOfANode) {
  FakeHost host;
  host.file("/sys/devices/system/node/node1/cpulist", "2-3,8\n");
  host.file("/sys/devices/system/node/node2/cpulist", "\n");
  EXPECT_EQ(numa_cpus(host, 1), (std::vector<unsigned>{2, 3, 8}));
  EXPECT_TRUE(numa_cpus(host, 2).empty()) << "memory alone";
  EXPECT_TRUE(numa_cpus(host, 3).empty());
}

}  // namespace
}  // namespace gpuvm::numa_test
