// SPDX-License-Identifier: Apache-2.0
// FwCfg by QEMU's docs/specs/fw_cfg.rst: ports, directory, DMA, and hostile descriptors.
#include "devices/platform/fw_cfg.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <future>
#include <random>

#include "devices/platform/fw_cfg_file.hpp"
#include "tests/unit/devices/platform/fakes.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::fw_cfg_test {
namespace {

class FwCfgTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kDescriptor = 0x1000;
  static constexpr std::uint64_t kBuffer = 0x2000;

  void select(std::uint16_t key) {
    std::array<std::byte, 2> bytes{};
    store_le(bytes, key);
    EXPECT_EQ(device_.write(0, bytes), IoStatus::kOk);
  }
  std::string read_text(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
      text += static_cast<char>(read8(device_, 1));
    }
    return text;
  }
  static std::uint64_t big_endian(std::string_view text) {
    std::uint64_t value = 0;
    for (const char c : text) {
      value = value << 8 | static_cast<std::uint8_t>(c);
    }
    return value;
  }
  void put_big_endian(std::uint64_t at, std::uint64_t value, int size) {
    std::vector<std::byte> bytes;
    for (int shift = size * 8; shift > 0;) {
      shift -= 8;
      bytes.push_back(static_cast<std::byte>(value >> shift & 0xff));
    }
    ASSERT_TRUE(memory_.write(GuestAddress(at), bytes));
  }
  void write_dma_register(std::uint64_t offset, std::uint64_t value) {
    std::array<std::byte, 4> bytes{};
    for (int i = 0; i < 4; ++i) {
      bytes[static_cast<std::size_t>(i)] = static_cast<std::byte>(value >> (24 - 8 * i) & 0xff);
    }
    EXPECT_EQ(device_.write(offset, bytes), IoStatus::kOk);
  }
  /// Runs one descriptor; returns its control word afterwards.
  std::uint64_t dma(std::uint64_t control, std::uint64_t length, std::uint64_t address) {
    put_big_endian(kDescriptor, control, 4);
    put_big_endian(kDescriptor + 4, length, 4);
    put_big_endian(kDescriptor + 8, address, 8);
    write_dma_register(8, kDescriptor);
    std::array<std::byte, 4> bytes{};
    EXPECT_TRUE(memory_.read(GuestAddress(kDescriptor), bytes));
    return big_endian({reinterpret_cast<const char*>(bytes.data()), 4});
  }
  std::string memory_text(std::uint64_t at, std::size_t size) {
    std::string text(size, '?');
    EXPECT_TRUE(memory_.read(GuestAddress(at), std::as_writable_bytes(std::span(text))));
    return text;
  }

  GuestMemory memory_ = GuestMemory::create({.size = 6_MiB, .low_limit = 4_MiB}).value();
  FwCfg device_{memory_};
  std::future<std::string> pending_;  ///< of another vCPU
};

TEST_F(FwCfgTest, SignatureAndRevision) {
  select(fw_cfg::kSignature);
  EXPECT_EQ(read_text(6), std::string("QEMU\0\0", 6)) << "zeros past the end";
  select(fw_cfg::kRevision);
  EXPECT_EQ(read_text(4), std::string("\3\0\0\0", 4)) << "ports and DMA";
}

TEST_F(FwCfgTest, DmaRegisterReadsAsASignature) {
  std::string text(8, '?');
  const auto bytes = std::as_writable_bytes(std::span(text));
  EXPECT_EQ(device_.read(4, bytes.first(4)), IoStatus::kOk);
  EXPECT_EQ(device_.read(8, bytes.subspan(4)), IoStatus::kOk);
  EXPECT_EQ(text, "QEMU CFG");
}

TEST_F(FwCfgTest, UnknownItemsReadAsZeros) {
  select(0x7fff);
  EXPECT_EQ(read_text(3), std::string(3, '\0'));
  EXPECT_EQ(dma(0x7fff0000u | fw_cfg::kDmaSelect | fw_cfg::kDmaRead, 4, kBuffer), 0u);
  EXPECT_EQ(memory_text(kBuffer, 4), std::string(4, '\0'));
}

TEST_F(FwCfgTest, DirectoryListsTheFiles) {
  ASSERT_TRUE(device_.add_file("opt/b", to_bytes("hello")));
  ASSERT_TRUE(device_.add_file("etc/a", to_bytes("12")));
  select(fw_cfg::kDirectory);
  EXPECT_EQ(big_endian(read_text(4)), 2u);
  std::map<std::string, std::uint16_t> keys;
  for (int i = 0; i < 2; ++i) {
    const auto size = big_endian(read_text(4));
    const auto key = static_cast<std::uint16_t>(big_endian(read_text(2)));
    EXPECT_EQ(big_endian(read_text(2)), 0u);
    const std::string name = read_text(56).c_str();
    EXPECT_EQ(size, name == "opt/b" ? 5u : 2u);
    EXPECT_GE(key, fw_cfg::kFirstFile);
    keys[name] = key;
  }
  select(keys.at("opt/b"));
  EXPECT_EQ(read_text(5), "hello");
  select(keys.at("opt/b"));
  EXPECT_EQ(read_text(2), "he") << "selecting starts over";
  EXPECT_FALSE(device_.add_file("", to_bytes("x")));
  EXPECT_FALSE(device_.add_file(std::string(56, 'n'), to_bytes("x")));
  EXPECT_TRUE(device_.add_file(std::string(55, 'n'), to_bytes("x")));
}

TEST_F(FwCfgTest, ContentsCanBeMadeWhenTheDirectoryIsRead) {
  ASSERT_TRUE(device_.add_file("etc/a", to_bytes("old")));
  device_.set_before_directory([] {
    std::vector<FwCfg::File> files;
    files.push_back({"etc/a", to_bytes("newer")});
    files.push_back({std::string(56, 'n'), to_bytes("has no place")});
    return files;
  });
  select(fw_cfg::kDirectory);
  EXPECT_EQ(big_endian(read_text(8).substr(4)), 5u) << "the size is the new one";
  select(fw_cfg::kFirstFile);
  EXPECT_EQ(read_text(5), "newer");
}

// Making contents takes time, and may need what another vCPU's access holds: meanwhile the device
// answers others.
TEST_F(FwCfgTest, OthersAreAnsweredWhileContentsAreMade) {
  ASSERT_TRUE(device_.add_file("etc/a", to_bytes("old")));
  bool is_answered = false;
  device_.set_before_directory([&] {
    auto other = std::async(std::launch::async, [this] {
      InspectNode node;
      device_.inspect(node);
      return read_text(1);
    });
    is_answered = other.wait_for(std::chrono::seconds(5)) == std::future_status::ready;
    pending_ = std::move(other);
    return std::vector<FwCfg::File>{};
  });
  select(fw_cfg::kDirectory);
  EXPECT_TRUE(is_answered);
}

// Making tables takes memory: vCPUs that ask at once take turns.
TEST_F(FwCfgTest, ContentsAreMadeByOneAtATime) {
  std::atomic<int> inside{0};
  std::atomic<int> most{0};
  std::promise<void> second_asks;
  std::promise<void> second_enters;
  device_.set_before_directory([&] {
    const int now = ++inside;
    most = std::max(most.load(), now);
    if (now > 1) {
      second_enters.set_value();
    } else if (!pending_.valid()) {
      pending_ = std::async(std::launch::async, [this, &second_asks] {
        second_asks.set_value();
        select(fw_cfg::kDirectory);
        return std::string();
      });
      second_asks.get_future().wait();
      // It never comes while this one is inside; without turns it would within this time.
      (void)second_enters.get_future().wait_for(std::chrono::milliseconds(200));
    }
    --inside;
    return std::vector<FwCfg::File>{};
  });
  select(fw_cfg::kDirectory);
  pending_.wait();
  EXPECT_EQ(most, 1);
}

TEST_F(FwCfgTest, DmaReadsSelectsAndSkips) {
  device_.add(0x40, to_bytes("0123456789"));
  EXPECT_EQ(dma(0x400000u | fw_cfg::kDmaSelect | fw_cfg::kDmaRead, 3, kBuffer), 0u);
  EXPECT_EQ(memory_text(kBuffer, 3), "012");
  EXPECT_EQ(dma(fw_cfg::kDmaSkip, 2, 0), 0u);
  EXPECT_EQ(dma(fw_cfg::kDmaRead, 8, kBuffer), 0u);
  EXPECT_EQ(memory_text(kBuffer, 8), std::string("56789\0\0\0", 8)) << "zeros past the end";
  EXPECT_EQ(dma(fw_cfg::kDmaSkip, 0xffffffff, 0), 0u);
  EXPECT_EQ(dma(fw_cfg::kDmaRead, 1, kBuffer), 0u);
  EXPECT_EQ(memory_text(kBuffer, 1), std::string(1, '\0'));
  // The high half of the address counts: memory from 4 GiB up.
  EXPECT_EQ(dma(0x400000u | fw_cfg::kDmaSelect | fw_cfg::kDmaRead, 3, 4_GiB + 16), 0u);
  EXPECT_EQ(memory_text(4_GiB + 16, 3), "012");
}

TEST_F(FwCfgTest, WritesAreErrors) {
  device_.add(0x40, to_bytes("0123"));
  EXPECT_EQ(dma(0x400000u | fw_cfg::kDmaSelect | fw_cfg::kDmaWrite, 2, kBuffer), fw_cfg::kDmaError);
  select(0x40);
  EXPECT_EQ(read_text(4), "0123");
}

TEST_F(FwCfgTest, HostileDescriptors) {
  device_.add(0x40, to_bytes("0123"));
  const auto read = 0x400000u | fw_cfg::kDmaSelect | fw_cfg::kDmaRead;
  for (const std::uint64_t target : std::vector<std::uint64_t>{4_MiB - 1, 4_MiB, 4_GiB - 1, 6_GiB,
                                                               ~0ull, ~0ull - 1, 1ull << 63}) {
    EXPECT_EQ(dma(read, 2, target), fw_cfg::kDmaError) << target;
  }
  EXPECT_EQ(dma(read, 0xffffffff, 0), fw_cfg::kDmaError);
  EXPECT_EQ(dma(read, 0, ~0ull), 0u) << "nothing to do";
  // The buffer may cover the descriptor itself: it was read before.
  EXPECT_EQ(dma(read, 16, kDescriptor), 0u);
  // Descriptors outside of memory are dropped.
  for (const std::uint64_t at : std::vector<std::uint64_t>{4_MiB - 8, 4_MiB, ~0ull - 15, ~0ull}) {
    write_dma_register(4, at >> 32);
    write_dma_register(8, at & 0xffffffff);
  }
  EXPECT_EQ(dma(read, 4, kBuffer), 0u) << "the high half was used up";
  EXPECT_EQ(memory_text(kBuffer, 4), "0123");
}

TEST_F(FwCfgTest, AnyAccessesDoNoHarm) {
  device_.add(0x40, to_bytes("0123"));
  std::mt19937_64 random(2);
  std::array<std::byte, 8> bytes{};
  for (int i = 0; i < 100'000; ++i) {
    const std::size_t size = std::size_t{1} << random() % 4;
    const std::uint64_t offset = random() % (FwCfg::kPortCount - size + 1);
    const auto part = std::span(bytes).first(size);
    if (random() % 2 == 0) {
      store_le(part, random() & random());
      device_.write(offset, part);
    } else {
      device_.read(offset, part);
    }
  }
}

TEST_F(FwCfgTest, ResetForgetsTheSelection) {
  device_.add(0x40, to_bytes("0123"));
  select(0x40);
  read_text(2);
  device_.reset();
  EXPECT_EQ(read_text(4), "QEMU") << "item 0, from its start";
}

TEST_F(FwCfgTest, FilesOfTheHost) {
  std::string path = (std::filesystem::temp_directory_path() / "gpuvm-item-XXXXXX").string();
  ::close(::mkstemp(path.data()));
  std::ofstream(path) << "abcdefgh";
  const auto file = FwCfgFile::open(path, "the file");
  ASSERT_TRUE(file);
  device_.add(0x40, std::make_unique<FwCfgFile>(file->part(2, 4)));
  EXPECT_EQ(dma(0x400000u | fw_cfg::kDmaSelect | fw_cfg::kDmaRead, 6, kBuffer), 0u);
  EXPECT_EQ(memory_text(kBuffer, 6), std::string("cdef\0\0", 6));
  std::filesystem::resize_file(path, 3);
  EXPECT_EQ(dma(0x400000u | fw_cfg::kDmaSelect | fw_cfg::kDmaRead, 4, kBuffer), fw_cfg::kDmaError)
      << "the file became shorter";
  testing::internal::CaptureStderr();
  for (unsigned i = 0; i < 100; ++i) {
    dma(0x400000u | fw_cfg::kDmaSelect | fw_cfg::kDmaRead, 4, kBuffer);
  }
  const auto log = testing::internal::GetCapturedStderr();
  EXPECT_LT(std::count(log.begin(), log.end(), '\n'), 50) << "a guest may read it all the time";
  std::filesystem::remove(path);
  EXPECT_EQ(FwCfgFile::open(path, "the file").error().kind(), ErrorKind::kConfig);
  EXPECT_FALSE(FwCfgFile::open("/", "the file"));
}

}  // namespace
}  // namespace gpuvm::fw_cfg_test
