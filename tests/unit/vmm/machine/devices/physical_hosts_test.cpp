// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/physical_hosts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/devices/physical/reset/fake_reset_device.hpp"

namespace gpuvm::physical_hosts_test {
namespace {

using ::testing::ElementsAre;

TEST(PhysicalHosts, AResetGoesToTheHostOfTheFunction) {
  History history;
  FakeResetDevice ours(history, "0000:01:00.0");
  FakeResetDevice remote(history, "/run/gpu.sock");
  FakeResetDevice stranger(history, "0000:09:00.0");
  FakeResetHost kernel(history);
  FakeResetHost server(history);
  kernel.sets = {{member("0000:01:00.0")}};
  kernel.on_hot_reset = [&] {
    history.emplace_back("by the kernel");
    return Status();
  };
  server.on_hot_reset = [&] {
    history.emplace_back("by the server");
    return Status();
  };
  PhysicalHosts hosts;
  hosts.add(kernel, {&ours});
  hosts.add(server, {&remote});
  EXPECT_THAT(hosts.devices(), ElementsAre(&ours, &remote));
  EXPECT_TRUE(hosts.hot_reset(remote));
  EXPECT_TRUE(hosts.hot_reset(ours));
  EXPECT_THAT(history, ElementsAre("hot reset at /run/gpu.sock", "by the server",
                                   "hot reset at 0000:01:00.0", "by the kernel"));
  EXPECT_TRUE(hosts.hot_reset_set(ours));
  EXPECT_FALSE(hosts.hot_reset_set(remote));
  EXPECT_FALSE(hosts.hot_reset(stranger));
  EXPECT_FALSE(hosts.hot_reset_set(stranger));
  hosts.clear();
  EXPECT_FALSE(hosts.hot_reset(ours));
}

/// Counts what it is asked for, and refuses when told to.
class CountingHost : public PhysicalHost {
 public:
  Status map_dma(Iova at, const DmaMemory& memory) override {
    ++maps;
    mapped.push_back(
        fmt::format("{:#x}+{:#x} of {:#x}", at.value(), memory.bytes.size(), memory.file_offset));
    return refuses ? Status(fail(ErrorKind::kHost, "No")) : Status();
  }
  Status unmap_dma(Iova, std::uint64_t) override {
    ++unmaps;
    return {};
  }
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice&) override {
    return fail(ErrorKind::kHost, "None");
  }
  Status hot_reset(PhysicalDevice&) override { return fail(ErrorKind::kHost, "None"); }
  std::uint64_t map_step() const override { return step; }
  std::uint64_t step = ~std::uint64_t{0};
  std::vector<std::string> mapped;
  int maps = 0;
  int unmaps = 0;
  bool refuses = false;
};

TEST(PhysicalHosts, MemoryGoesToAll) {
  CountingHost first;
  CountingHost second;
  PhysicalHosts hosts;
  EXPECT_TRUE(hosts.map_dma(Iova(0), {}));  // nobody is there
  hosts.add(first, {});
  hosts.add(second, {});
  EXPECT_TRUE(hosts.map_dma(Iova(0), {}));
  EXPECT_TRUE(hosts.unmap_dma(Iova(0), 0x1000));
  EXPECT_EQ(first.maps + second.maps + first.unmaps + second.unmaps, 4);
  second.refuses = true;
  EXPECT_FALSE(hosts.map_dma(Iova(0), {}));
}

// A kernel that pins what it maps takes long: a stop must not wait for all of it.
TEST(PhysicalHosts, MemoryIsMappedInStepsUntilItIsUnwanted) {
  CountingHost kernel;
  kernel.step = 0x2000;
  CountingHost server;  // takes any size at once
  PhysicalHosts hosts;
  hosts.add(kernel, {});
  hosts.add(server, {});
  std::vector<std::byte> memory(0x5000);
  const DmaMemory all{.bytes = memory, .fd = -1, .file_offset = 0x100000};
  std::vector<std::uint64_t> asked;
  EXPECT_TRUE(hosts.map_in_steps(Iova(0x10000), all, [&](std::uint64_t end) {
    asked.push_back(end);
    return false;
  }));
  EXPECT_THAT(asked, ElementsAre(0x102000U, 0x104000U, 0x105000U, 0x105000U));
  EXPECT_THAT(kernel.mapped, ElementsAre("0x10000+0x2000 of 0x100000", "0x12000+0x2000 of 0x102000",
                                         "0x14000+0x1000 of 0x104000"));
  EXPECT_THAT(server.mapped, ElementsAre("0x10000+0x5000 of 0x100000"));
  kernel.mapped.clear();
  const auto broken_off =
      hosts.map_in_steps(Iova(0), all, [](std::uint64_t end) { return end == 0x104000; });
  ASSERT_FALSE(broken_off);
  EXPECT_EQ(broken_off.error().kind(), ErrorKind::kCancelled);
  EXPECT_THAT(kernel.mapped, ElementsAre("0x0+0x2000 of 0x100000"));
  EXPECT_EQ(server.maps, 1);
}

}  // namespace
}  // namespace gpuvm::physical_hosts_test
