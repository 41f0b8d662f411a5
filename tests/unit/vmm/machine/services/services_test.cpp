// SPDX-License-Identifier: Apache-2.0
// What is told of [vsock] and [[share]] before anything starts, and where the devices come to be.
#include <gmock/gmock.h>
#include <sys/statvfs.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/devices/virtio/fakes.hpp"
#include "vmm/machine/services/service_devices.hpp"
#include "vmm/machine/services/vsock.hpp"

namespace gpuvm::services_test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class ServicesTest : public ::testing::Test {
 protected:
  ServicesTest() {
    std::string pattern = std::filesystem::temp_directory_path() / "gpuvm-services-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~ServicesTest() override { std::filesystem::remove_all(folder_); }
  static std::string error_of(const std::string& path) {
    const auto checked = check_shares({{.path = path, .tag = "t"}});
    return checked ? std::string() : checked.error().to_string();
  }
  std::string folder_;
};

TEST_F(ServicesTest, AVsockNeedsItsSection) {
  const HostSystem host(folder_);
  const auto none = open_vsock(host, {}, "main");
  ASSERT_TRUE(none);
  EXPECT_FALSE(none->has_value());
  const auto missing = open_vsock(host, VsockConfig{}, "main");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kHost);
  EXPECT_THAT(missing.error().to_string(), HasSubstr("[vsock]: this host has no"));
  EXPECT_THAT(missing.error().to_string(), HasSubstr("modprobe vhost_vsock"));
  const auto placed = open_vsock(host, VsockConfig{.place = {"vsock (g.toml:3:1)"}}, "main");
  EXPECT_THAT(placed.error().to_string(), StartsWith("vsock (g.toml:3:1): this host has no"));
}

TEST_F(ServicesTest, WhatIsNoVhostIsRefused) {
  std::filesystem::create_directories(folder_ + "/dev");
  std::ofstream(folder_ + "/dev/vhost-vsock") << "a file";
  const auto refused = open_vsock(HostSystem(folder_), VsockConfig{}, "main");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().to_string(), HasSubstr("VHOST_VSOCK_SET_GUEST_CID"));
}

TEST_F(ServicesTest, TheCidIsToldWithoutTakingIt) {
  EXPECT_EQ(vsock_text({.cid = 42}, "main"), "CID 42");
  EXPECT_EQ(vsock_text({}, "main"), fmt::format("CID {}, or another one if that is in use",
                                                VsockAddress::preferred("main")));
}

TEST_F(ServicesTest, AShareIsAFolderThatIsThere) {
  std::ofstream(folder_ + "/file") << "no folder";
  EXPECT_THAT(error_of(folder_ + "/absent"), HasSubstr("share.0: path: cannot find the folder"));
  EXPECT_THAT(error_of(folder_ + "/file"), HasSubstr("is no folder"));
  const auto placed =
      check_shares({{.path = "/absent", .tag = "t", .place = {"share.0 (g.toml:3:1)"}}});
  EXPECT_THAT(placed.error().to_string(), StartsWith("share.0 (g.toml:3:1): path: cannot find"));
  std::filesystem::create_directories(folder_ + "/a,b");
  EXPECT_THAT(error_of(folder_ + "/a,b"), HasSubstr("has a comma or a backslash"));
}

// Guests know them by their places, whatever else there is.
// Files of a share have the guest's owners and permissions: root's programs, too.
TEST_F(ServicesTest, AFolderThatOthersEnterIsWarnedOf) {
  const ShareConfig writable{.path = folder_, .tag = "t"};
  EXPECT_EQ(Share::warning_of(writable), "") << "the folder is its owner's alone";
  std::filesystem::permissions(folder_, std::filesystem::perms(0755));
  struct statvfs info {};
  ASSERT_EQ(::statvfs(folder_.c_str(), &info), 0);
  const bool is_safe = (info.f_flag & ST_NOSUID) != 0;
  EXPECT_EQ(Share::warning_of(writable).find("nosuid") == std::string::npos, is_safe);
  EXPECT_EQ(Share::warning_of({.path = folder_, .tag = "t", .read_only = true}), "");
  const std::string inner = folder_ + "/inner";
  std::filesystem::create_directory(inner);
  std::filesystem::permissions(folder_, std::filesystem::perms(0700));
  EXPECT_EQ(Share::warning_of({.path = inner, .tag = "t"}), "") << "a folder above is shut";
}

TEST_F(ServicesTest, EachDeviceHasItsSlot) {
  ServiceHosts hosts;
  const auto slots = [&hosts](const MachineConfig& machine) {
    std::vector<unsigned> found;
    for (const auto& device : service_devices(machine, hosts)) {
      found.push_back(device.slot);
    }
    return found;
  };
  EXPECT_EQ(slots({}), (std::vector<unsigned>{0x0c}));
  EXPECT_EQ(slots({.rng = false}), (std::vector<unsigned>{}));
  const auto channel = ConsoleChannel::create().value();
  hosts.console = channel.get();
  EXPECT_EQ(slots({.rng = false}), (std::vector<unsigned>{0x0e}));
  hosts.vsock =
      VsockAddress::take(UniqueFd(), 42, "main", [](int, std::uint32_t) { return true; }).value();
  EXPECT_EQ(slots({}), (std::vector<unsigned>{0x0c, 0x0d, 0x0e}));
  hosts.status_port = NamedPortDevice::Options{};
  EXPECT_EQ(slots({}), (std::vector<unsigned>{0x0c, 0x0d, 0x0e, 0x0f}));
}

// Those that this process serves are what they say they are: type and class of virtio's PCI ids.
TEST_F(ServicesTest, ThoseOfThisProcessAreMade) {
  test::FakeMachine machine;
  const auto channel = ConsoleChannel::create().value();
  ServiceHosts hosts;
  hosts.console = channel.get();
  hosts.status_port =
      NamedPortDevice::Options{.name = "status-port", .port_name = "org.gpuvm.status", .host = {}};
  auto devices =
      RootBusDevices::create(service_devices({}, hosts), {.memory = machine.memory,
                                                          .mmio = machine.mmio,
                                                          .doorbells = machine.doorbells,
                                                          .msi = machine.msi,
                                                          .pins = machine.pins,
                                                          .bar_space = machine.bar_space});
  ASSERT_TRUE(devices) << devices.error().to_string();
  PciTopology topology;
  ASSERT_TRUE((*devices)->add_to(topology));
  const auto id = [&topology](unsigned slot) {
    std::array<std::byte, 4> bytes{};
    topology.read({.bus = 0, .devfn = static_cast<std::uint8_t>(slot * 8)}, 0, bytes);
    return load_le(bytes);
  };
  EXPECT_EQ(id(0x0c), 0x10441af4U);
  EXPECT_EQ(id(0x0e), 0x10431af4U);
  EXPECT_EQ(id(0x0f), 0x10431af4U);
  InspectNode node;
  (*devices)->inspect(node);
  EXPECT_EQ(node.child("rng").child("device").get("bytes"), "0");
  EXPECT_EQ(node.child("virtio-console").child("device").get("written"), "0");
  EXPECT_EQ(node.child("status-port").child("device").get("port"), "org.gpuvm.status");
}

}  // namespace
}  // namespace gpuvm::services_test
