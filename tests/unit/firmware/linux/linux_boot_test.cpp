// SPDX-License-Identifier: Apache-2.0
// Loading into guest memory, and the state in which the kernel starts: boot.rst, "64-bit Boot
// Protocol".
#include "firmware/linux/linux_boot.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <optional>

#include "firmware/linux/linux_layout.hpp"
#include "tests/unit/firmware/linux/kernel_builder.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::test::linux_boot_test {
namespace {

/// A file that goes with the test.
class TemporaryFile {
 public:
  explicit TemporaryFile(std::uint64_t size) {
    std::string pattern = testing::TempDir() + "gpuvm-initrd-XXXXXX";
    const UniqueFd fd(::mkstemp(pattern.data()));
    path_ = pattern;
    EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size)), 0);
    EXPECT_EQ(::pwrite(fd.get(), "0707", 4, 0), 4);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class LinuxBootTest : public testing::Test {
 protected:
  static LinuxImage image_of(Bytes file) {
    return LinuxImage::parse(std::move(file), "/boot/k").value();
  }
  static GuestMemory memory_of(std::uint64_t size, std::uint64_t low_limit = 2_GiB) {
    return GuestMemory::create({.size = size, .low_limit = low_limit}).value();
  }
  template <class T>
  T at(std::uint64_t address) const {
    const auto bytes = memory_.slice(GuestAddress(address), sizeof(T));
    return load_at<T>(*bytes, 0).value();
  }
  std::string error_of(const LinuxBootOptions& options) const {
    const auto state = load_linux(memory_, options);
    return state ? "" : state.error().to_string();
  }

  LinuxImage kernel_ = image_of(make_bzimage(make_payload()));
  std::optional<GuestMemory> held_ = memory_of(64_MiB);
  GuestMemory& memory_ = *held_;  ///< tests may put another one into its place
  LinuxBootOptions options_{.kernel = &kernel_,
                            .initrd_path = {},
                            .command_line = "console=ttyS0",
                            .rsdp = {},
                            .reserved = {},
                            .setup_data = {}};
};

constexpr std::uint64_t kZeroPage = linux_layout::kZeroPage.value();

TEST_F(LinuxBootTest, PutsTheKernelAtItsAddressAndClearsItsBss) {
  const Bytes elf = make_small_elf();
  kernel_ = image_of(elf);
  const auto bss = memory_.slice(GuestAddress(0x1001000), 4096);
  std::fill(bss->begin(), bss->end(), std::byte{0xcc});  // as a guest leaves it at its reboot
  ASSERT_EQ(error_of(options_), "");
  const auto content = memory_.slice(GuestAddress(0x1000000), 4096);
  EXPECT_TRUE(std::ranges::equal(*content, std::span(elf).last(4096)));
  EXPECT_TRUE(std::ranges::all_of(*bss, [](std::byte b) { return b == std::byte{0}; }));
}

TEST_F(LinuxBootTest, EntersInLongModeAsTheProtocolSays) {
  const auto state = load_linux(memory_, options_);
  ASSERT_TRUE(state) << state.error().to_string();
  EXPECT_EQ(state->rip, 0x1000200U);
  EXPECT_EQ(state->rsi, kZeroPage);
  EXPECT_EQ(state->rflags, 2U);                     // interrupts disabled
  EXPECT_EQ(state->cr0 & 0x80000001, 0x80000001U);  // PG, PE
  EXPECT_EQ(state->cr4 & 0x20, 0x20U);              // PAE
  EXPECT_EQ(state->efer & 0x500, 0x500U);           // LME, LMA
  EXPECT_EQ(state->code.selector, 0x10U);           // __BOOT_CS
  EXPECT_TRUE(state->code.long_mode);
  EXPECT_FALSE(state->code.default_32);    // L and D together fault
  EXPECT_EQ(state->data.selector, 0x18U);  // __BOOT_DS
  EXPECT_EQ(state->data.limit, 0xffffffffU);
  EXPECT_EQ(state->data.base, 0U);
  EXPECT_EQ(state->task.type, 0xbU);
  EXPECT_EQ(state->gdt.limit, 31U);
}

TEST_F(LinuxBootTest, GdtHoldsTheSegmentsThatTheRegistersClaim) {
  const auto state = load_linux(memory_, options_);
  ASSERT_TRUE(state);
  const auto code = at<std::uint64_t>(state->gdt.base + 0x10);
  const auto data = at<std::uint64_t>(state->gdt.base + 0x18);
  for (const auto& [descriptor, segment] :
       {std::pair{code, state->code}, std::pair{data, state->data}}) {
    EXPECT_EQ(descriptor >> 40 & 0xf, segment.type);
    EXPECT_EQ((descriptor >> 44 & 1) != 0, segment.code_or_data);
    EXPECT_EQ((descriptor >> 47 & 1) != 0, segment.present);
    EXPECT_EQ((descriptor >> 53 & 1) != 0, segment.long_mode);
    EXPECT_EQ((descriptor >> 54 & 1) != 0, segment.default_32);
    EXPECT_EQ((descriptor >> 55 & 1) != 0, segment.four_kib_units);
    EXPECT_EQ((descriptor & 0xffff) | (descriptor >> 32 & 0xf0000), 0xfffffU);
  }
}

/// Walks the tables as SDM volume 3, 4.5 tells.
TEST_F(LinuxBootTest, PageTablesMapTheFirst4GiBToThemselves) {
  const auto state = load_linux(memory_, options_);
  ASSERT_TRUE(state);
  constexpr std::uint64_t kAddressMask = 0xffffffffff000;
  for (const std::uint64_t address :
       {std::uint64_t{0}, kZeroPage, std::uint64_t{0x1000010}, 1_GiB + 5, 3_GiB, 4_GiB - 1}) {
    const auto pml4e = at<std::uint64_t>((state->cr3 & kAddressMask) + (address >> 39 & 511) * 8);
    ASSERT_EQ(pml4e & 3, 3U);
    const auto pdpte = at<std::uint64_t>((pml4e & kAddressMask) + (address >> 30 & 511) * 8);
    ASSERT_EQ(pdpte & 0x83, 3U);
    const auto pde = at<std::uint64_t>((pdpte & kAddressMask) + (address >> 21 & 511) * 8);
    ASSERT_EQ(pde & 0x83, 0x83U);
    EXPECT_EQ((pde & 0xfffffffe00000) + (address & (2_MiB - 1)), address);
  }
  EXPECT_EQ(at<std::uint64_t>(state->cr3 + 8), 0U);
}

TEST_F(LinuxBootTest, CommandLineIsThereWithItsNul) {
  memory_.write(linux_layout::kCommandLine, Bytes(64, std::byte{'x'}));
  ASSERT_EQ(error_of(options_), "");
  const std::uint32_t pointer = at<std::uint32_t>(kZeroPage + 0x228);
  const auto text = memory_.slice(GuestAddress(pointer), 14);
  EXPECT_TRUE(std::ranges::equal(*text, std::as_bytes(std::span("console=ttyS0"))));
}

TEST_F(LinuxBootTest, CommandLineOverTheKernelsLimitNamesBothSizes) {
  options_.command_line = std::string(2047, 'a');
  EXPECT_EQ(error_of(options_), "");
  options_.command_line += 'a';
  const std::string error = error_of(options_);
  EXPECT_NE(error.find("2048"), std::string::npos) << error;
  EXPECT_NE(error.find("2047"), std::string::npos) << error;
  options_.command_line = std::string("a\0b", 3);
  EXPECT_NE(error_of(options_).find("NUL"), std::string::npos);
}

TEST_F(LinuxBootTest, AKernelThatClaimsAHugeCommandLineGetsNoMoreThanItsPlaceHolds) {
  Bytes file = make_bzimage(make_payload());
  auto header = header_of(file);
  header.cmdline_size = 0xffffffff;
  set_header(file, header);
  kernel_ = image_of(std::move(file));
  options_.command_line = std::string(64_KiB - 1, 'a');
  EXPECT_EQ(error_of(options_), "");
  options_.command_line += 'a';
  EXPECT_NE(error_of(options_), "");
}

TEST_F(LinuxBootTest, InitrdGoesToTheTop) {
  const TemporaryFile initrd(5000);
  options_.initrd_path = initrd.path();
  ASSERT_EQ(error_of(options_), "");
  EXPECT_EQ(at<std::uint32_t>(kZeroPage + 0x218), 64_MiB - 8192);
  EXPECT_EQ(at<std::uint32_t>(kZeroPage + 0x21c), 5000U);
  EXPECT_EQ(at<std::uint32_t>(static_cast<std::uint32_t>(64_MiB) - 8192), 0x37303730U);
}

TEST_F(LinuxBootTest, InitrdStaysBelowInitrdAddrMaxAndReservedRanges) {
  Bytes file = make_bzimage(make_payload());
  auto header = header_of(file);
  header.initrd_addr_max = 0x2ffffff;
  set_header(file, header);
  kernel_ = image_of(std::move(file));
  const TemporaryFile initrd(4096);
  options_.initrd_path = initrd.path();
  options_.reserved = {{*GuestRange::create(GuestAddress(0x2fff800), 0x1000), E820Type::kReserved}};
  ASSERT_EQ(error_of(options_), "");
  EXPECT_EQ(at<std::uint32_t>(kZeroPage + 0x218), 0x2ffe000U);
}

TEST_F(LinuxBootTest, TooLargeAnInitrdNamesTheLeastMemoryThatWouldDo) {
  const TemporaryFile initrd(60_MiB);
  options_.initrd_path = initrd.path();
  const std::string error = error_of(options_);
  EXPECT_NE(error.find("62914560 bytes"), std::string::npos) << error;
  EXPECT_NE(error.find("64 MiB of memory"), std::string::npos) << error;
  // Kernel to 17 MiB and 60 MiB: 78 MiB in steps of 2.
  EXPECT_NE(error.find("at least 78 MiB"), std::string::npos) << error;
  held_.emplace(memory_of(76_MiB));
  EXPECT_NE(error_of(options_), "");
  held_.emplace(memory_of(78_MiB));
  EXPECT_EQ(error_of(options_), "");
}

TEST_F(LinuxBootTest, AnInitrdThatNoMemoryWouldHelpSaysSo) {
  const TemporaryFile initrd(60_MiB);
  options_.initrd_path = initrd.path();
  held_.emplace(memory_of(1_GiB, 64_MiB));  // low RAM is at its limit
  const std::string error = error_of(options_);
  EXPECT_NE(error.find("make it smaller"), std::string::npos) << error;
  EXPECT_EQ(error.find("at least"), std::string::npos) << error;
}

TEST_F(LinuxBootTest, RefusesAnInitrdThatIsNoFile) {
  options_.initrd_path = "/nonexistent/initrd";
  EXPECT_NE(error_of(options_).find("/nonexistent/initrd"), std::string::npos);
  options_.initrd_path = testing::TempDir();
  EXPECT_NE(error_of(options_).find("regular file"), std::string::npos);
  options_.initrd_path = "/dev/zero";
  EXPECT_NE(error_of(options_).find("regular file"), std::string::npos);
}

TEST_F(LinuxBootTest, AKernelLargerThanMemoryNamesWhatItNeeds) {
  held_.emplace(memory_of(16_MiB));
  const std::string error = error_of(options_);
  EXPECT_NE(error.find("up to 18 MiB"), std::string::npos) << error;
  held_.emplace(memory_of(18_MiB));
  EXPECT_EQ(error_of(options_), "");
}

TEST_F(LinuxBootTest, AKernelIsNotPutOverReservedMemory) {
  options_.reserved = {{*GuestRange::create(GuestAddress(0x10ff000), 1), E820Type::kReserved}};
  EXPECT_NE(error_of(options_).find("reserved"), std::string::npos);
}

TEST_F(LinuxBootTest, SetupDataIsReachableFromTheZeroPageAndClearOfTheInitrd) {
  const TemporaryFile initrd(4096);
  options_.initrd_path = initrd.path();
  options_.setup_data = {{SETUP_RNG_SEED, Bytes(32, std::byte{0x11})},
                         {SETUP_PCI, Bytes(1_MiB, std::byte{0x22})}};
  ASSERT_EQ(error_of(options_), "");
  const auto first = at<std::uint64_t>(kZeroPage + 0x250);
  EXPECT_LT(first + setup_data_size(options_.setup_data),
            at<std::uint32_t>(kZeroPage + 0x218) + 1U);
  EXPECT_EQ(at<std::uint32_t>(first + 8), std::uint32_t{SETUP_RNG_SEED});
  const auto second = at<std::uint64_t>(first);
  EXPECT_EQ(at<std::uint32_t>(second + 8), std::uint32_t{SETUP_PCI});
  EXPECT_EQ(at<std::uint8_t>(second + 16 + 1_MiB - 1), 0x22U);
  EXPECT_EQ(at<std::uint64_t>(second), 0U);
}

TEST_F(LinuxBootTest, MemoryMapAndRsdpReachTheKernel) {
  options_.rsdp = GuestAddress(0xe0000);
  options_.reserved = {
      {*GuestRange::create(GuestAddress(0xe0000000), 256_MiB), E820Type::kReserved}};
  ASSERT_EQ(error_of(options_), "");
  EXPECT_EQ(at<std::uint64_t>(kZeroPage + 0x70), 0xe0000U);
  ASSERT_EQ(at<std::uint8_t>(kZeroPage + 0x1e8), 5U);
  EXPECT_EQ(at<std::uint64_t>(kZeroPage + 0x2d0 + 4 * 20), 0xe0000000U);
  EXPECT_EQ(at<std::uint64_t>(kZeroPage + 0x2d0 + 4 * 20 + 8), 256_MiB);
}

TEST(PlaceHigh, GoesBelowEveryObstacle) {
  const auto range = [](std::uint64_t base, std::uint64_t size) {
    return *GuestRange::create(GuestAddress(base), size);
  };
  const GuestRange window = range(1_MiB, 15_MiB);
  EXPECT_EQ(place_high(4096, window, {}), range(16_MiB - 4096, 4096));
  EXPECT_EQ(place_high(1, window, {}), range(16_MiB - 4096, 1));
  const std::vector<GuestRange> avoid = {range(8_MiB, 1_MiB), range(9_MiB, 7_MiB),
                                         range(8_MiB - 100, 10)};
  EXPECT_EQ(place_high(4096, window, avoid), range(8_MiB - 8192, 4096));
  EXPECT_EQ(place_high(15_MiB, window, {}), range(1_MiB, 15_MiB));
  EXPECT_EQ(place_high(15_MiB + 1, window, {}), std::nullopt);
  EXPECT_EQ(place_high(15_MiB, window, avoid), std::nullopt);
  EXPECT_EQ(place_high(0, window, {}), std::nullopt);
  EXPECT_EQ(place_high(~0ULL, window, {}), std::nullopt);
}

}  // namespace
}  // namespace gpuvm::test::linux_boot_test
