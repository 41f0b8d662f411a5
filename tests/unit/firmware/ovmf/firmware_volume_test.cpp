// SPDX-License-Identifier: Apache-2.0
// Telling OVMF's files apart, with files made here and, where the package is installed, the real
// ones.
#include "firmware/ovmf/firmware_volume.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/unit/firmware/ovmf/variable_volume.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::ovmf::firmware_volume_test {
namespace {

std::vector<std::byte> code_volume(std::size_t size) {
  auto file = testing_ovmf::empty_volume(size);
  file[16] = std::byte{0x78};  // another file system
  return file;
}

FirmwareFile named(const char* path, const std::vector<std::byte>& bytes) {
  return {path, bytes};
}

std::string text(const Status& status) {
  return status ? "fine" : status.error().to_string();
}

TEST(FirmwareVolume, TellsTheFilesApart) {
  EXPECT_EQ(kind_of(testing_ovmf::empty_volume()), VolumeKind::kVariables);
  EXPECT_EQ(kind_of(code_volume(1_MiB)), VolumeKind::kCode);
  auto whole = testing_ovmf::empty_volume();
  whole.resize(1_MiB);
  EXPECT_EQ(kind_of(whole), VolumeKind::kWhole);
  EXPECT_EQ(kind_of({}), VolumeKind::kNone);
  EXPECT_EQ(kind_of(std::vector<std::byte>(4096)), VolumeKind::kNone);
}

TEST(FirmwareVolume, SwappedFilesAreNamed) {
  const auto code = code_volume(1_MiB);
  const auto variables = testing_ovmf::empty_volume();
  EXPECT_TRUE(check_code(named("c", code)));
  EXPECT_TRUE(check_variables(named("v", variables), "boot.vars"));
  EXPECT_EQ(text(check_code(named("v.fd", variables))),
            "boot.firmware: v.fd holds variables, not firmware code; name OVMF's code file, for "
            "instance /usr/share/OVMF/OVMF_CODE_4M.fd");
  EXPECT_EQ(text(check_variables(named("c.fd", code), "boot.vars")),
            "boot.vars: c.fd holds firmware code, not variables; name a copy of OVMF's variable "
            "file, for instance of /usr/share/OVMF/OVMF_VARS_4M.fd");
}

TEST(FirmwareVolume, DamagedVariablesAreRefused) {
  const auto good = testing_ovmf::empty_volume();
  EXPECT_STREQ(examine_variables(good), "sound");
  // Every byte of the headers that the firmware looks at matters: the length, the signature, the
  // checksummed rest, and the store's own header but for its reserved bytes.
  for (std::size_t at = 16; at < 72 + 22; ++at) {
    auto bad = good;
    bad[at] ^= std::byte{0x40};
    const bool is_store_size =
        at >= 72 + 16 && at < 72 + 18;  // a smaller or larger store may be fine
    EXPECT_TRUE(is_store_size || std::string(examine_variables(bad)) != "sound") << at;
  }
  for (std::size_t size : {0U, 1U, 55U, 56U, 71U, 72U, 99U}) {
    const auto bad = std::span(good).first(size);
    EXPECT_STRNE(examine_variables(bad), "sound") << size;
  }
  auto longer = good;
  longer.push_back(std::byte{0});
  EXPECT_STRNE(examine_variables(longer), "sound");
}

TEST(FirmwareVolume, CodeEndsAt4GiBWithVariablesBelow) {
  const auto code = code_volume(0x37c000);
  const auto variables = testing_ovmf::empty_volume(0x84000);
  const auto layout = place(named("c", code), named("v", variables));
  ASSERT_TRUE(layout) << layout.error().to_string();
  EXPECT_EQ(layout->code, *GuestRange::create(GuestAddress(0xffc84000), 0x37c000));
  EXPECT_EQ(layout->variables, *GuestRange::create(GuestAddress(0xffc00000), 0x84000));
}

TEST(FirmwareVolume, FilesOfTwoBuildsDoNotGoTogether) {
  const auto variables = testing_ovmf::empty_volume(0x84000);
  for (const std::size_t size : {0x1e0000U, 0x37c000U - 1U, 0x37d000U, 0x37c800U}) {
    const auto code = code_volume(size);
    const auto layout = place(named("c", code), named("v", variables));
    ASSERT_FALSE(layout) << size;
    EXPECT_EQ(layout.error().kind(), ErrorKind::kConfig);
    EXPECT_NE(layout.error().to_string().find("do not go together"), std::string::npos);
  }
}

TEST(FirmwareVolume, AnEmptyFileGoesTogetherWithNone) {
  for (const auto& [code, variables] : {std::pair<std::size_t, std::size_t>{0x100000, 0},
                                        std::pair<std::size_t, std::size_t>{0, 0x100000}}) {
    const std::vector<std::byte> code_bytes(code);
    const std::vector<std::byte> variable_bytes(variables);
    const auto layout = place(named("c", code_bytes), named("v", variable_bytes));
    ASSERT_FALSE(layout) << code;
    EXPECT_EQ(layout.error().kind(), ErrorKind::kConfig);
  }
}

std::vector<std::byte> read_whole(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

TEST(FirmwareVolume, KnowsDebiansFiles) {
  const std::filesystem::path folder = "/usr/share/OVMF";
  if (!std::filesystem::exists(folder / "OVMF_CODE_4M.fd")) {
    GTEST_SKIP() << "the package ovmf is not installed";
  }
  const auto code = read_whole(folder / "OVMF_CODE_4M.fd");
  const auto variables = read_whole(folder / "OVMF_VARS_4M.fd");
  EXPECT_TRUE(check_code(named("c", code)));
  EXPECT_TRUE(check_variables(named("v", variables), "boot.vars"));
  EXPECT_TRUE(place(named("c", code), named("v", variables)));
}

}  // namespace
}  // namespace gpuvm::ovmf::firmware_volume_test
