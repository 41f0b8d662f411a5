// SPDX-License-Identifier: Apache-2.0
// The host's side: kernels with an EFI stub, and the variable file.
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <future>
#include <new>
#include <optional>
#include <thread>
#include <vector>

#include "firmware/efi/efi_kernel.hpp"
#include "firmware/efi/embedded_image.hpp"
#include "firmware/efi/variable_file.hpp"
#include "firmware/efi/variable_store.hpp"
#include "tests/unit/firmware/efi/kernel_bytes.hpp"

namespace gpuvm::loader_test {
namespace {

Result<EfiKernel> parse(const KernelBytes& kernel) {
  return EfiKernel::parse(kernel.bytes(), "/boot/k");
}

void expect_refused(const KernelBytes& bytes, const std::string& part) {
  const auto kernel = parse(bytes);
  ASSERT_FALSE(kernel);
  EXPECT_EQ(kernel.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(kernel.error().message().find(part), std::string::npos) << kernel.error().message();
  EXPECT_NE(kernel.error().message().find("/boot/k"), std::string::npos);
}

TEST(EfiKernel, PrefersTheHandoverProtocol) {
  const auto kernel = parse(KernelBytes());
  ASSERT_TRUE(kernel) << kernel.error().to_string();
  EXPECT_EQ(kernel->entry(), EfiEntry::kHandover);
  EXPECT_EQ(kernel->entry_offset(), 0x600U);  // + 0x200: the 64-bit entry (boot.rst)
  EXPECT_EQ(kernel->memory_size(), 0x10000U);
  std::vector<std::byte> memory(kernel->memory_size(), std::byte{0xff});
  kernel->copy_to(memory);
  EXPECT_EQ(memory[0], std::byte{0x77});
  EXPECT_EQ(memory[KernelBytes::kCode], std::byte{0});
}

TEST(EfiKernel, WithoutItTheImageIsLaidOutAsPe) {
  KernelBytes bytes;
  bytes.no_handover();
  const auto kernel = parse(bytes);
  ASSERT_TRUE(kernel) << kernel.error().to_string();
  EXPECT_EQ(kernel->entry(), EfiEntry::kPe);
  EXPECT_EQ(kernel->entry_offset(), 0x1234U);
  EXPECT_EQ(kernel->memory_size(), 0x10000U);  // init_size is more than SizeOfImage
  std::vector<std::byte> memory(kernel->memory_size(), std::byte{0xff});
  kernel->copy_to(memory);
  EXPECT_EQ(memory[0], std::byte{'M'});
  EXPECT_EQ(memory[0x1000], std::byte{0x77});
  EXPECT_EQ(memory[0x2000], std::byte{0});  // past the file's part of the section
}

TEST(EfiKernel, KernelsWithoutStubAreRefused) {
  KernelBytes bytes;
  bytes.no_handover();
  bytes.put<std::uint16_t>(0, 0);
  expect_refused(bytes, "no EFI stub");
  const char elf[] = "\177ELF";
  bytes.put(0, elf);
  expect_refused(bytes, "no EFI stub");
}

TEST(EfiKernel, MalformedHeadersAreRefused) {
  struct Damage {
    std::size_t at;
    std::uint32_t value;
    const char* part;
  };
  const Damage damages[] = {{0x3c, 0xfffffff0, "no PE signature"},
                            {0x80, 0, "no PE signature"},
                            {0x84, 0x0001014c, "machine"},
                            {0x98, 0x10b, "PE32+"},
                            {0x98 + 56, 0, "contradict"},
                            {0x98 + 56, 0xffffffff, "contradict"},
                            {0x98 + 60, 0x7fff, "contradict"},
                            {0xa8, 0x8000, "contradict"},
                            {0x98 + 68, 1, "subsystem"},
                            {0x84, 0xffff8664, "sections"},
                            {0x84, 0x8664, "sections"},
                            {KernelBytes::kSection + 12, 0xffffffff, "section 0"},
                            {KernelBytes::kSection + 8, 0x20000, "section 0"},
                            {KernelBytes::kSection + 20, 0xffffff00, "section 0"}};
  for (const auto& damage : damages) {
    KernelBytes bytes;
    bytes.no_handover();
    bytes.put(damage.at, damage.value);
    expect_refused(bytes, damage.part);
  }
}

TEST(EfiKernel, AnEntryPastTheCodeIsRefused) {
  KernelBytes bytes;
  bytes.put<std::uint32_t>(0x264, KernelBytes::kCode - 0x200);
  expect_refused(bytes, "handover entry");
  bytes.put<std::uint32_t>(0x264, 0xffffffff);
  expect_refused(bytes, "handover entry");
}

TEST(EfiKernel, AnAbsurdInitSizeIsRefused) {
  KernelBytes bytes;
  bytes.put<std::uint32_t>(0x260, 0xfffff000);
  expect_refused(bytes, "init_size");
}

TEST(EfiKernel, EveryTruncationIsRefusedOrFits) {
  for (const bool handover : {true, false}) {
    KernelBytes whole;
    if (!handover) {
      whole.no_handover();
    }
    for (std::size_t size = 0; size < whole.bytes().size(); size += 13) {
      auto bytes = whole.bytes();
      bytes.resize(size);
      const auto kernel = EfiKernel::parse(std::move(bytes), "/boot/k");
      if (kernel) {
        std::vector<std::byte> memory(kernel->memory_size());
        kernel->copy_to(memory);
      } else {
        EXPECT_EQ(kernel.error().kind(), ErrorKind::kConfig);
      }
    }
  }
}

TEST(EmbeddedImage, StatesWhereItGoes) {
  const auto header = efi::embedded_image_header();
  EXPECT_EQ(header.magic, efi::kImageMagic);
  EXPECT_EQ(header.file_end - header.base, efi::embedded_image().size());
  EXPECT_LT(efi::embedded_image().size(), 64U * 1024);
  EXPECT_GE(header.entry, header.base);
  EXPECT_LT(header.entry, header.data);
  for (const auto border : {header.base, header.data, header.runtime_end, header.memory_end}) {
    EXPECT_EQ(border % 4096, 0U);
  }
  EXPECT_GE(header.variables, header.data);
  EXPECT_LE(header.variables + efi::VariableStore::kBlockSize, header.runtime_end);
}

class VariableFileTest : public testing::Test {
 protected:
  VariableFileTest() {
    char name[] = "/tmp/gpuvm-variables-XXXXXX";
    directory_ = ::mkdtemp(name);
    path_ = directory_ + "/vars";
  }
  ~VariableFileTest() override { std::filesystem::remove_all(directory_); }

  static std::vector<std::byte> block_with(std::uint32_t attributes) {
    std::vector<std::byte> block(efi::VariableStore::kBlockSize);
    efi::VariableStore store(block.data());
    store.format();
    const efi::Guid vendor = {1, 2, 3, {4}};
    bool changed = false;
    EXPECT_EQ(store.set(u"A", &vendor, attributes, 1, "x", false, changed),
              efi::EfiStatus::kSuccess);
    return block;
  }
  std::string directory_;
  std::string path_;
};

TEST_F(VariableFileTest, KeepsVariablesFromRunToRun) {
  auto file = VariableFile::open(path_);
  ASSERT_TRUE(file);
  const auto empty = (*file)->block();
  EXPECT_EQ(std::filesystem::file_size(path_), empty.size());
  ASSERT_TRUE((*file)->save(block_with(7)));
  const auto kept = (*file)->block();
  EXPECT_GT(kept.size(), empty.size());
  EXPECT_LT(kept.size(), 256U);  // what is used, not the whole block
  file->reset();
  auto again = VariableFile::open(path_);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->block(), kept);
  ASSERT_TRUE((*again)->save(block_with(6)));  // volatile
  EXPECT_EQ((*again)->block(), empty);
}

// A monitor that reaches no path any more.
TEST_F(VariableFileTest, AnotherProcessCanReplaceTheFile) {
  auto file = VariableFile::open(path_);
  ASSERT_TRUE(file);
  const auto size = std::filesystem::file_size(path_);
  std::vector<std::vector<std::byte>> replaced;
  bool is_refused = false;
  (*file)->replace_by([&](std::span<const std::byte> block) -> Status {
    replaced.emplace_back(block.begin(), block.end());
    return is_refused ? Status(fail(ErrorKind::kHost, "No space")) : Status();
  });
  ASSERT_TRUE((*file)->save(block_with(7)));
  ASSERT_EQ(replaced.size(), 1U);
  EXPECT_EQ(replaced.front(), (*file)->block());
  EXPECT_EQ(std::filesystem::file_size(path_), size) << "nothing is written here";
  is_refused = true;
  EXPECT_FALSE((*file)->save(block_with(6)));
  EXPECT_EQ(replaced.front(), (*file)->block()) << "what was kept last";
}

/// A vCPU's thread has no right to files: it waits for the one that has.
TEST_F(VariableFileTest, OneThreadWritesWhateverIsSaved) {
  std::optional<std::thread::id> writer;
  auto file = VariableFile::open(path_, {.burst = 2, .between = std::chrono::milliseconds(1)},
                                 [&] { writer = std::this_thread::get_id(); });
  ASSERT_TRUE(file);
  std::atomic<unsigned> by_others{0};
  std::atomic<unsigned> by_writer{0};
  (*file)->replace_by([&](std::span<const std::byte>) -> Status {
    ++(writer == std::this_thread::get_id() ? by_writer : by_others);
    return {};
  });
  std::vector<std::thread> savers;
  for (unsigned i = 0; i < 4; ++i) {
    savers.emplace_back([&file, i] {
      for (unsigned turn = 0; turn < 8; ++turn) {
        EXPECT_TRUE((*file)->save(block_with((turn + i) % 2 == 0 ? 7 : 3)));
      }
    });
  }
  for (std::thread& saver : savers) {
    saver.join();
  }
  file->reset();
  EXPECT_EQ(by_others, 0U);
  EXPECT_GE(by_writer, 2U);
}

TEST_F(VariableFileTest, NobodyWaitsForAThreadThatHasFailed) {
  auto file = VariableFile::open(path_);
  ASSERT_TRUE(file);
  (*file)->replace_by([](std::span<const std::byte>) -> Status { throw std::bad_alloc(); });
  for (unsigned turn = 0; turn < 2; ++turn) {
    const auto saved = (*file)->save(block_with(7));
    ASSERT_FALSE(saved);
    EXPECT_EQ(saved.error().kind(), ErrorKind::kInternal);
  }
}

TEST_F(VariableFileTest, WithoutAFileTheyLastInMemory) {
  auto file = VariableFile::open("");
  ASSERT_TRUE(file);
  ASSERT_TRUE((*file)->save(block_with(7)));
  EXPECT_GT((*file)->block().size(), 32U);
}

TEST_F(VariableFileTest, ADamagedFileIsKeptAside) {
  for (const char* kept : {".damaged", ".damaged-2"}) {
    std::ofstream(path_) << "not variables" << kept;
    auto file = VariableFile::open(path_);
    ASSERT_TRUE(file);
    EXPECT_EQ(std::filesystem::file_size(path_), (*file)->block().size()) << "an empty store";
    std::ifstream in(path_ + kept);
    std::string text((std::istreambuf_iterator<char>(in)), {});
    EXPECT_EQ(text, std::string("not variables") + kept);
  }
}

TEST_F(VariableFileTest, AMalformedBlockIsNotKept) {
  auto file = VariableFile::open(path_);
  ASSERT_TRUE(file);
  const auto before = (*file)->block();
  auto block = block_with(7);
  block[40] ^= std::byte{1};
  EXPECT_FALSE((*file)->save(block));
  EXPECT_EQ((*file)->block(), before);
  EXPECT_EQ(std::filesystem::file_size(path_), before.size());
}

TEST_F(VariableFileTest, OneThatIsLongerThanAStoreIsDamaged) {
  auto block = block_with(7);
  block.resize(2 * block.size());
  std::ofstream(path_).write(reinterpret_cast<const char*>(block.data()),
                             static_cast<std::streamsize>(block.size()));
  auto file = VariableFile::open(path_);
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->block().size(), std::filesystem::file_size(path_));
  EXPECT_EQ(std::filesystem::file_size(path_ + ".damaged"), block.size());
}

TEST_F(VariableFileTest, ItIsOneGuests) {
  const auto expect_locked = [this] {
    const auto other = VariableFile::open(path_);
    ASSERT_FALSE(other);
    EXPECT_EQ(other.error().kind(), ErrorKind::kConfig);
    EXPECT_NE(other.error().to_string().find("in use by another guest"), std::string::npos);
  };
  auto file = VariableFile::open(path_);
  ASSERT_TRUE(file);
  expect_locked();
  ASSERT_TRUE((*file)->save(block_with(7)));
  expect_locked();  // the file that took its place, too
  file->reset();
  EXPECT_TRUE(VariableFile::open(path_));
}

TEST_F(VariableFileTest, APlantedLinkLeadsNoSaveElsewhere) {
  const std::string victim = directory_ + "/victim";
  std::ofstream(victim) << "precious";
  auto file = VariableFile::open(path_);
  ASSERT_TRUE(file);
  // Whose folder it is can do both at any time.
  std::filesystem::create_symlink(victim, path_ + ".new");
  std::filesystem::remove(path_);
  std::filesystem::create_symlink(victim, path_);
  ASSERT_TRUE((*file)->save(block_with(7)));
  EXPECT_EQ(std::filesystem::file_size(victim), 8U);
  EXPECT_FALSE(std::filesystem::is_symlink(path_));
  EXPECT_EQ(std::filesystem::file_size(path_), (*file)->block().size());
}

TEST_F(VariableFileTest, ALinkInItsPlaceIsRefused) {
  std::ofstream(directory_ + "/victim") << "precious";
  std::filesystem::create_symlink(directory_ + "/victim", path_);
  const auto file = VariableFile::open(path_);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().to_string(),
            "boot.vars: " + path_ + " is a symbolic link, and none is followed: name its target");
  EXPECT_EQ(std::filesystem::file_size(directory_ + "/victim"), 8U);
}

TEST_F(VariableFileTest, AGuestThatSavesOnAndOnCostsFewWrites) {
  using std::chrono::hours;
  const std::vector<std::byte> blocks[] = {block_with(7), block_with(3)};
  auto file = VariableFile::open(path_, {.burst = 4, .between = hours(1)});
  ASSERT_TRUE(file);
  const auto made = (*file)->writes();
  for (unsigned i = 0; i < 501; ++i) {
    ASSERT_TRUE((*file)->save(blocks[i % 2]));
  }
  EXPECT_EQ((*file)->writes() - made, 4U);
  const auto kept = (*file)->block();
  file->reset();  // which brings the last ones to the disk, before their time
  const auto again = VariableFile::open(path_);
  ASSERT_TRUE(again);
  EXPECT_EQ((*again)->block(), kept);
}

TEST_F(VariableFileTest, WhatWasLeftForLaterIsWrittenWithoutAnotherSave) {
  auto file = VariableFile::open(path_, {.burst = 1, .between = std::chrono::milliseconds(20)});
  ASSERT_TRUE(file);
  const auto made = (*file)->writes();
  ASSERT_TRUE((*file)->save(block_with(7)));
  ASSERT_TRUE((*file)->save(block_with(3)));
  for (unsigned i = 0; i < 1000 && (*file)->writes() < made + 2; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ((*file)->writes(), made + 2);
}

/// It has rights of its own to take on (vmm/sandbox), before it does anything.
TEST_F(VariableFileTest, ItsThreadBeginsWithWhatItIsGiven) {
  std::promise<std::thread::id> began;
  auto thread = began.get_future();
  const auto file =
      VariableFile::open(path_, {}, [&] { began.set_value(std::this_thread::get_id()); });
  ASSERT_TRUE(file);
  ASSERT_EQ(thread.wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_NE(thread.get(), std::this_thread::get_id());
}

TEST_F(VariableFileTest, OneThatCannotBeWrittenIsToldAtTheStart) {
  const auto file = VariableFile::open(directory_ + "/no/vars");
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(file.error().to_string().find("boot.vars"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::loader_test
