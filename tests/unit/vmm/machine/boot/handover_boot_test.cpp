// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/handover_boot.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "firmware/efi/monitor_port.hpp"
#include "tests/unit/firmware/efi/kernel_bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::handover_boot_test {
namespace {

using testing::HasSubstr;

class HandoverBootTest : public testing::Test {
 protected:
  HandoverBootTest() {
    char name[] = "/tmp/gpuvm-efi-boot-XXXXXX";
    directory_ = ::mkdtemp(name);
    config_.boot.kernel = directory_ + "/kernel";
    kernel_.write_to(config_.boot.kernel);
    boot_ = std::make_unique<HandoverBoot>(
        config_, memory_, [this](const Error& error) { failures_.push_back(error); },
        VariableFile::open("").value());
  }
  ~HandoverBootTest() override { std::filesystem::remove_all(directory_); }

  static GuestMemory make_memory() {
    GuestMemoryOptions options;
    options.size = 64_MiB;
    return GuestMemory::create(options).value();
  }
  HandoverBoot::Load what() const {
    return {.config = config_,
            .rsdp = GuestAddress(0xe0000),
            .smbios3 = GuestAddress(0xf0000),
            .reserved = {},
            .pci = {},
            .functions = {}};
  }
  std::string load_error() {
    kernel_.write_to(config_.boot.kernel);
    const auto state = boot_->load(what());
    EXPECT_FALSE(state);
    EXPECT_EQ(state.error().kind(), ErrorKind::kConfig);
    return state.error().to_string();
  }
  IoStatus send(efi::MonitorCommand command) { return send(static_cast<char>(command)); }
  IoStatus send(char value) {
    const auto byte = static_cast<std::byte>(value);
    return boot_->write(0, {&byte, 1});
  }
  void report(efi::MonitorCommand command, std::string_view reason) {
    EXPECT_EQ(send(command), IoStatus::kOk);
    for (const char character : reason) {
      EXPECT_EQ(send(character), IoStatus::kOk);
    }
    EXPECT_TRUE(failures_.empty());
    EXPECT_EQ(send('\0'), IoStatus::kOk);
    ASSERT_EQ(failures_.size(), 1U);
  }

  std::string directory_;
  Config config_;
  KernelBytes kernel_;
  GuestMemory memory_ = make_memory();
  std::vector<Error> failures_;
  std::unique_ptr<HandoverBoot> boot_;
};

TEST_F(HandoverBootTest, AKernelThatGivesUpIsAnErrorOfTheConfiguration) {
  report(efi::MonitorCommand::kKernelFailed, "its EFI stub gave up with status 0x1");
  EXPECT_EQ(failures_[0].kind(), ErrorKind::kConfig);
  EXPECT_THAT(failures_[0].to_string(), HasSubstr(config_.boot.kernel));
  EXPECT_THAT(failures_[0].to_string(), HasSubstr("its EFI stub gave up with status 0x1"));
}

TEST_F(HandoverBootTest, AFirmwareThatCannotGoOnIsAFaultOfOurs) {
  report(efi::MonitorCommand::kFirmwareFailed, "no memory for page tables");
  EXPECT_EQ(failures_[0].kind(), ErrorKind::kInternal);
  EXPECT_THAT(failures_[0].to_string(), HasSubstr("no memory for page tables"));
}

TEST_F(HandoverBootTest, AHostileReasonIsCutAndCleaned) {
  report(efi::MonitorCommand::kKernelFailed, "\x1b[2J\n" + std::string(10'000, 'A'));
  const std::string text = failures_[0].to_string();
  EXPECT_LT(text.size(), 500U);
  EXPECT_THAT(text, HasSubstr("?[2J?AAAA"));
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST_F(HandoverBootTest, AReportThatWasNotFinishedIsForgottenWithTheGuestsLife) {
  send(efi::MonitorCommand::kKernelFailed);
  send('x');
  ASSERT_TRUE(boot_->load(what()));
  EXPECT_EQ(send('\0'), IoStatus::kInvalidRegister);
  EXPECT_TRUE(failures_.empty());
}

// The answer is to the last command of this life.
TEST_F(HandoverBootTest, AFailedSaveIsForgottenWithTheGuestsLife) {
  const auto answer = [this] {
    std::byte byte{};
    EXPECT_EQ(boot_->read(0, {&byte, 1}), IoStatus::kOk);
    return static_cast<efi::MonitorAnswer>(byte);
  };
  // Before a load there is no store in memory: all zeros are none.
  ASSERT_EQ(send(efi::MonitorCommand::kSaveVariables), IoStatus::kOk);
  ASSERT_EQ(answer(), efi::MonitorAnswer::kFailed);
  ASSERT_TRUE(boot_->load(what()));
  EXPECT_EQ(answer(), efi::MonitorAnswer::kDone);
}

TEST_F(HandoverBootTest, UnknownCommandsAreNone) {
  EXPECT_EQ(send('\x7f'), IoStatus::kInvalidRegister);
}

TEST_F(HandoverBootTest, StartsInTheFirmwareWithTheTree) {
  const auto state = boot_->load(what());
  ASSERT_TRUE(state) << state.error().to_string();
  std::array<std::byte, 4> magic{};
  ASSERT_TRUE(memory_.read(GuestAddress(state->rsi), magic));
  EXPECT_EQ(magic,
            (std::array{std::byte{0xd0}, std::byte{0x0d}, std::byte{0xfe}, std::byte{0xed}}));
}

TEST_F(HandoverBootTest, MemoryTooSmallForTheKernelIsSaidWithTheCure) {
  kernel_.put<std::uint32_t>(0x260, 60 << 20);
  EXPECT_THAT(load_error(),
              HasSubstr("do not fit into the guest's 64 MiB of memory; give it at least"));
}

TEST_F(HandoverBootTest, MemoryTooSmallForTheInitrdIsSaidWithTheCure) {
  config_.boot.initrd = directory_ + "/initrd";
  std::ofstream(*config_.boot.initrd) << "x";
  std::filesystem::resize_file(*config_.boot.initrd, 50 << 20);
  EXPECT_THAT(load_error(), HasSubstr("its initrd (50 MiB) do not fit into the guest's 64 MiB"));
}

TEST_F(HandoverBootTest, AnAbsurdInitSizeIsRefused) {
  kernel_.put<std::uint32_t>(0x260, 0xfffff000);
  EXPECT_THAT(load_error(), HasSubstr("init_size"));
}

TEST_F(HandoverBootTest, ACommandLineThatIsTooLongIsRefused) {
  config_.boot.cmdline = std::string(2048, 'a');
  EXPECT_THAT(load_error(), HasSubstr("takes at most 2047; shorten it"));
}

}  // namespace
}  // namespace gpuvm::handover_boot_test
