// SPDX-License-Identifier: Apache-2.0
// A guest's disk that the real qemu-storage-daemon serves, driven through its PCI function as a
// guest's driver does: negotiated, written, paused, reset, and its server killed.
#include <gmock/gmock.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "devices/virtio/block/block_spec.hpp"
#include "tests/unit/devices/virtio/fakes.hpp"
#include "vmm/machine/pci/disks.hpp"
#include "vmm/storage/storage_daemon.hpp"

namespace gpuvm::served_disk_interop {
namespace {

using test::FunctionDriver;
using ::testing::HasSubstr;
using virtio_block::RequestType;

constexpr std::uint64_t kDiskSize = 1 << 20;
constexpr std::uint64_t kHeader = 0x8000;
constexpr std::uint64_t kStatus = 0x9000;
constexpr std::uint64_t kData = 0x10000;
constexpr std::uint32_t kSector = 512;

class ServedDiskInterop : public ::testing::Test {
 protected:
  void SetUp() override {
    if (find_program("qemu-storage-daemon").empty()) {
      GTEST_SKIP() << "qemu-storage-daemon is not installed";
    }
    std::string pattern = std::filesystem::temp_directory_path() / "gpuvm-served-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    std::ofstream(image()) << std::string(kDiskSize, 'r');
    auto disks = open_disks({{.path = image(), .throwaway = true}}, 2, DiskFile::Use::kGuest,
                            [this](const std::string& name, const Error& error) {
                              lost_.set_value(name + ": " + error.to_string());
                            });
    ASSERT_TRUE(disks) << disks.error().to_string();
    disks_ = std::move(*disks);
    auto parts = disks_.at(0)->make({.memory = machine_.memory,
                                     .mmio = machine_.mmio,
                                     .doorbells = machine_.doorbells,
                                     .msi = machine_.msi,
                                     .pins = machine_.pins,
                                     .bar_space = machine_.bar_space},
                                    Gsi(16));
    ASSERT_TRUE(parts) << parts.error().to_string();
    parts_ = std::move(*parts);
    driver_.emplace(machine_, static_cast<VirtioPci&>(*parts_.function));
  }
  ~ServedDiskInterop() override {
    driver_.reset();
    parts_.function.reset();
    parts_.device.reset();
    disks_.clear();
    if (!folder_.empty()) {
      std::filesystem::remove_all(folder_);
    }
  }
  std::string image() const { return folder_ + "/image.raw"; }
  /// The status byte; 0xff: no answer.
  std::uint8_t request(RequestType type, std::uint64_t sector) {
    auto& ring = driver_->ring;
    ring.put(kHeader,
             virtio_block::RequestHeader{
                 .type = static_cast<std::uint32_t>(type), .reserved = 0, .sector = sector});
    ring.put(kStatus, std::uint8_t{0xff});
    const bool is_read = type == RequestType::kRead;
    ring.chain(0, {{.address = kHeader, .length = 16},
                   {.address = kData,
                    .length = kSector,
                    .flags = static_cast<std::uint16_t>(is_read ? virtio::kDescriptorWrite : 0)},
                   {.address = kStatus, .length = 1, .flags = virtio::kDescriptorWrite}});
    ring.offer(0);
    driver_->kick();
    return driver_->wait_used(++offered_) ? ring.get<std::uint8_t>(kStatus) : 0xff;
  }
  void bring_up() {
    offered_ = 0;
    driver_->bring_up();
  }
  void fill(char with) {
    machine_.memory.write(GuestAddress(kData), std::vector<std::byte>(kSector, std::byte(with)));
  }
  char first_byte() { return driver_->ring.get<char>(kData); }

  std::string folder_;
  std::promise<std::string> lost_;
  test::FakeMachine machine_;
  GuestDisks disks_;
  RootBusDevice::Parts parts_;
  std::optional<FunctionDriver> driver_;
  std::uint16_t offered_ = 0;
};

TEST_F(ServedDiskInterop, WrittenPausedAndReset) {
  bring_up();
  EXPECT_EQ(driver_->status(), 0x0f);
  EXPECT_NE(driver_->offered() & virtio_block::kFeatureFlush, 0U);
  EXPECT_EQ(driver_->offered() & 1U << 11, 0U);  // CONFIG_WCE
  EXPECT_EQ(driver_->read(*driver_->find(virtio::StructureType::kDevice), 8), kDiskSize / kSector);
  EXPECT_EQ(request(RequestType::kRead, 0), 0);
  EXPECT_EQ(first_byte(), 'r');
  fill('w');
  EXPECT_EQ(request(RequestType::kWrite, 3), 0);
  parts_.function->pause();
  parts_.function->resume();
  EXPECT_EQ(request(RequestType::kRead, 3), 0);
  EXPECT_EQ(first_byte(), 'w');
  driver_->set_status(0);
  bring_up();
  fill('x');
  EXPECT_EQ(request(RequestType::kRead, 3), 0);
  EXPECT_EQ(first_byte(), 'w');
  EXPECT_EQ(std::filesystem::file_size(image()), kDiskSize);
  EXPECT_EQ(std::ifstream(image()).get(), 'r');
}

TEST_F(ServedDiskInterop, AKilledServerIsToldAndHangsNothing) {
  bring_up();
  EXPECT_EQ(request(RequestType::kRead, 0), 0);
  InspectNode node;
  parts_.function->inspect(node);
  EXPECT_THAT(node.to_text(), HasSubstr("qemu-storage-daemon"));
  // It is the child of this test that bears this name.
  ASSERT_EQ(std::system("pkill -KILL -P $PPID -f ^qemu-storage-daemon"), 0);
  auto lost = lost_.get_future();
  ASSERT_EQ(lost.wait_for(std::chrono::seconds(30)), std::future_status::ready);
  EXPECT_THAT(lost.get(), HasSubstr("disk-0: qemu-storage-daemon has ended (signal 9)"));
  driver_->set_status(0);  // returns
  EXPECT_EQ(driver_->status(), 0);
}

}  // namespace
}  // namespace gpuvm::served_disk_interop
