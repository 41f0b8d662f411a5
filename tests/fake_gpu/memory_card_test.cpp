// SPDX-License-Identifier: Apache-2.0
// Cards of real ids as a guest gets them: BARs that it maps, contents after a reset, ROMs and ids
// that the configuration gives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <cstdio>
#include <fstream>

#include "devices/physical/vfio_user/vfio_user_host.hpp"
#include "tests/fake_gpu/fake_gpu_process.hpp"
#include "tests/fake_gpu/fake_gpu_spec.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"
#include "tests/unit/firmware/rom/rom_builder.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::fake_gpu::memory_card_test {
namespace {

using test::rom_image;
using testing::HasSubstr;

constexpr std::uint64_t kBar0 = 0xe0000000;

class MemoryCardTest : public test::FunctionTest {
 protected:
  MemoryCardTest() : folder_(testing::TempDir()) {}
  ~MemoryCardTest() override {
    for (const auto& file : files_) {
      std::remove(file.c_str());
    }
  }
  std::string file_of(const std::vector<std::byte>& bytes) {
    files_.push_back(folder_ + "memory_card_" + std::to_string(::getpid()) + "_" +
                     std::to_string(files_.size()));
    std::ofstream file(files_.back(), std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    return files_.back();
  }
  Result<std::unique_ptr<PassthroughFunction>> connect(const std::vector<std::string>& arguments,
                                                       FunctionView view = {}) {
    card_ = std::make_unique<FakeGpuProcess>(arguments);
    host_ = TRY(VfioUserHost::open({card_->socket()}));
    auto wanted = options(host_->device(0));
    wanted.view = std::move(view);
    return create(std::move(wanted));
  }
  /// BAR 0 as the guest has it.
  std::span<std::byte> bar0() {
    for (const auto& [id, slot] : slots_.slots) {
      if (slot.at.value() == kBar0) {
        return slot.host;
      }
    }
    return {};
  }

  const std::string folder_;
  std::vector<std::string> files_;
  std::unique_ptr<FakeGpuProcess> card_;
  std::unique_ptr<VfioUserHost> host_;
};

TEST_F(MemoryCardTest, ChipIdAndContentsAreInABarThatTheGuestMaps) {
  const auto prom = rom_image({.device = 0x1c82});
  auto made = connect({"--card", "gp107", "--contents", "0:300000=" + file_of(prom)});
  ASSERT_TRUE(made) << made.error().to_string();
  const auto function = std::move(made).value();
  ASSERT_TRUE(function->start());
  EXPECT_EQ(function->config_read(0), 0x1c8210deU);
  EXPECT_EQ(function->config_read(8), 0x030000a1U);
  ASSERT_TRUE(function->bars().set_power_on_address(0, kBar0));
  function->config_write(4, 2, 0xffff);
  ASSERT_EQ(bar0().size(), 16_MiB);
  EXPECT_EQ(load_le(bar0().first(4)), 0x137000a1U);
  EXPECT_TRUE(std::equal(prom.begin(), prom.end(), bar0().begin() + 0x300000));
  bar0()[0x1000] = std::byte{1};
  bar0()[0x300000] = std::byte{1};
  ASSERT_TRUE(host_->device(0).function_reset());
  EXPECT_EQ(bar0()[0x1000], std::byte{0}) << "a reset puts back what was there";
  EXPECT_EQ(bar0()[0x300000], prom[0]);
}

TEST_F(MemoryCardTest, RomIsItsOwnOrTheConfigurations) {
  const auto own = file_of(rom_image({.vendor = 0x1002, .device = 0x67df, .units = 12}));
  const auto card = std::vector<std::string>{"--card", "polaris", "--rom", own};
  auto function = connect(card);
  ASSERT_TRUE(function) << function.error().to_string();
  EXPECT_EQ((*function)->rom_image().size(), 8_KiB);
  FunctionView view;
  view.rom.contents = rom_image({.vendor = 0x1002, .device = 0x67ff});
  view.rom.unfitted_file = "other.rom";
  view.identity = {.device = 0x67ef, .class_code = 0x038000};
  function = connect(card, view);
  ASSERT_TRUE(function) << function.error().to_string();
  EXPECT_EQ((*function)->config_read(0), 0x67ef1002U);
  EXPECT_EQ((*function)->config_read(8), 0x038000c7U);
  EXPECT_EQ(load_le((*function)->rom_image().subspan(0x46, 2)), 0x67efU);
  view.rom.contents = rom_image({});
  function = connect(card, view);
  ASSERT_FALSE(function);
  EXPECT_EQ(function.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(function.error().to_string(), HasSubstr("other.rom: its image at 0x0 is for 10de:"));
}

TEST_F(MemoryCardTest, HasNoRomUnlessItIsGivenOne) {
  const auto function = connect({"--card", "gp107", "--id", "10de:1c81"});
  ASSERT_TRUE(function) << function.error().to_string();
  EXPECT_EQ((*function)->config_read(0), 0x1c8110deU);
  EXPECT_TRUE((*function)->rom_image().empty());
}

}  // namespace
}  // namespace gpuvm::fake_gpu::memory_card_test
