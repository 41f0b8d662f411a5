// SPDX-License-Identifier: Apache-2.0
// VarsFile: who may open it, and what is in it after a kill between any two flash writes.
#include "devices/platform/vars_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/unit/firmware/ovmf/variable_volume.hpp"

namespace gpuvm::vars_file_test {
namespace {

using testing_ovmf::Variables;
namespace fs = std::filesystem;

class VarsFileTest : public testing::Test {
 protected:
  VarsFileTest() {
    std::string pattern = (fs::temp_directory_path() / "gpuvm-vars-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    path_ = folder_ / "guest.vars";
  }
  ~VarsFileTest() override { fs::remove_all(folder_); }

  std::vector<std::byte> on_disk() const {
    std::ifstream file(path_, std::ios::binary);
    const std::string text(std::istreambuf_iterator<char>(file), {});
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
  }
  void write(std::string_view text) const { std::ofstream(path_) << text; }
  std::string open_error() const {
    const auto file = VarsFile::open(path_.string());
    EXPECT_FALSE(file);
    EXPECT_EQ(file.error().kind(), ErrorKind::kConfig);
    return file ? "" : file.error().to_string();
  }

  fs::path folder_;
  fs::path path_;
};

TEST_F(VarsFileTest, IsMadeFromItsContentsOnce) {
  const auto contents = testing_ovmf::empty_volume();
  {
    const auto file = VarsFile::create(path_.string(), contents);
    ASSERT_TRUE(file) << file.error().to_string();
    EXPECT_EQ((*file)->contents(), contents);
    const std::byte byte{0x12};
    EXPECT_TRUE((*file)->keep(100, {&byte, 1}));
  }
  EXPECT_EQ(on_disk()[100], std::byte{0x12});
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1) << "no temporary file is left";
  // A second one that thought the file was absent takes what is there.
  const auto file = VarsFile::create(path_.string(), contents);
  ASSERT_TRUE(file);
  EXPECT_EQ((*file)->contents()[100], std::byte{0x12});
}

TEST_F(VarsFileTest, BelongsToOneGuest) {
  auto first = VarsFile::create(path_.string(), testing_ovmf::empty_volume());
  ASSERT_TRUE(first);
  EXPECT_NE(open_error().find("in use by another guest"), std::string::npos);
  first->reset();
  EXPECT_TRUE(VarsFile::open(path_.string()));
}

TEST_F(VarsFileTest, OtherThingsAreRefused) {
  EXPECT_NE(open_error().find("No such file"), std::string::npos);
  write("");
  EXPECT_NE(open_error().find("has 0 bytes"), std::string::npos);
  fs::resize_file(path_, VarsFile::kLargest + 1);
  EXPECT_NE(open_error().find("which no variable store has"), std::string::npos);
  fs::remove(path_);
  ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
  open_error();
  fs::remove(path_);
  fs::create_directory(path_);
  open_error();
}

TEST_F(VarsFileTest, ALinkToAnothersFileIsRefused) {
  const auto victim = (folder_ / "victim").string();
  ASSERT_TRUE(VarsFile::create(victim, testing_ovmf::empty_volume()));
  fs::create_symlink(victim, path_);
  EXPECT_NE(open_error().find("is a symbolic link"), std::string::npos);
  EXPECT_FALSE(VarsFile::create(path_.string(), testing_ovmf::empty_volume()));
  EXPECT_TRUE(fs::is_symlink(path_)) << "what is there stays";
}

TEST_F(VarsFileTest, ReadOnlyIsTold) {
  if (::geteuid() == 0) {
    GTEST_SKIP() << "root may write to every file; the lab test has a read-only file system";
  }
  write("x");
  fs::permissions(path_, fs::perms::owner_read);
  EXPECT_NE(open_error().find("is read-only"), std::string::npos);
}

// ---- Fault injection

/// Ends the process after so many changes of the flash.
class DeadlyStore : public FlashStore {
 public:
  DeadlyStore(FlashStore& real, long survives) : real_(real), survives_(survives) {}
  bool keep(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (survives_-- == 0) {
      ::raise(SIGKILL);
    }
    ++changes;
    return real_.keep(offset, bytes);
  }
  long changes = 0;

 private:
  FlashStore& real_;
  long survives_;
};

std::string value_of(int round) {
  return std::string(static_cast<std::size_t>(40 + 37 * round % 200),
                     static_cast<char>('a' + round % 26));
}

constexpr int kRounds = 110;

/// What the guest does: two variables change in turn, one stays. Returns the number of reclaims.
int write_variables(const std::vector<std::byte>& contents, FlashStore& store) {
  auto array = contents;
  CfiFlash chip(array, store);
  testing_ovmf::VariableDriver driver(
      array, {.program =
                  [&chip](std::uint64_t offset, std::span<const std::byte> bytes) {
                    for (std::size_t i = 0; i < bytes.size(); ++i) {
                      chip.write(offset + i, CfiFlash::kProgram);
                      chip.write(offset + i, std::to_integer<std::uint8_t>(bytes[i]));
                    }
                    chip.write(offset, CfiFlash::kReadArray);
                  },
              .erase =
                  [&chip](std::uint64_t offset, std::uint64_t size) {
                    for (std::uint64_t at = 0; at < size; at += CfiFlash::kBlockSize) {
                      chip.write(offset + at, CfiFlash::kEraseBlock);
                      chip.write(offset + at, CfiFlash::kConfirm);
                    }
                    chip.write(offset, CfiFlash::kReadArray);
                  }});
  driver.set("Stays", "for ever");
  for (int round = 0; round < kRounds; ++round) {
    driver.set(round % 2 == 0 ? "Even" : "Odd", value_of(round));
  }
  return driver.reclaims();
}

/// The state is one of those that lie between two calls of set().
bool is_consistent(const Variables& variables) {
  const auto round_of = [&variables](const char* name, int first) {
    const auto found = variables.find(name);
    if (found == variables.end()) {
      return first - 2;
    }
    int last = -100;
    for (int round = first; round < kRounds; round += 2) {
      last = found->second == value_of(round) ? round : last;
    }
    return last;
  };
  const bool stays = variables.contains("Stays") && variables.at("Stays") == "for ever";
  const bool empty = variables.empty();
  return empty || (stays && round_of("Even", 0) > -100 && round_of("Odd", 1) > -100);
}

TEST_F(VarsFileTest, AKillBetweenAnyTwoFlashWritesLeavesASoundStore) {
  const auto initial = testing_ovmf::empty_volume();
  long total = 0;
  {
    const auto file = VarsFile::create(path_.string(), initial);
    ASSERT_TRUE(file);
    DeadlyStore store(**file, -1);
    EXPECT_GE(write_variables(initial, store), 1) << "the script must fill the store";
    total = store.changes;
  }
  const auto complete = testing_ovmf::recover(on_disk());
  ASSERT_TRUE(complete);
  EXPECT_EQ(complete->at("Even"), value_of(kRounds - 2));
  EXPECT_EQ(complete->at("Odd"), value_of(kRounds - 1));

  constexpr int kPoints = 240;
  for (int point = 0; point < kPoints; ++point) {
    const long survives = total * point / kPoints;
    write({reinterpret_cast<const char*>(initial.data()), initial.size()});
    const pid_t child = ::fork();
    if (child == 0) {
      auto file = VarsFile::open(path_.string());
      DeadlyStore store(**file, survives);
      write_variables((*file)->contents(), store);
      ::_exit(1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    const auto variables = testing_ovmf::recover(on_disk());
    ASSERT_TRUE(variables) << "rejected after " << survives << " changes";
    ASSERT_TRUE(is_consistent(*variables)) << "after " << survives << " changes";
    ASSERT_TRUE(VarsFile::open(path_.string())) << "the lock went with the process";
  }
}

/// As VarsFile, in memory: every single point is looked at.
TEST(FlashFaults, EverySingleWriteLeavesASoundStore) {
  struct Checking : FlashStore {
    bool keep(std::uint64_t offset, std::span<const std::byte> bytes) override {
      std::copy(bytes.begin(), bytes.end(), disk.begin() + static_cast<std::ptrdiff_t>(offset));
      ++changes;
      const auto variables = testing_ovmf::recover(disk);
      bad += variables && is_consistent(*variables) ? 0 : 1;
      return true;
    }
    std::vector<std::byte> disk = testing_ovmf::empty_volume();
    long changes = 0;
    long bad = 0;
  } store;
  write_variables(store.disk, store);
  EXPECT_GT(store.changes, 20'000);
  EXPECT_EQ(store.bad, 0);
}

}  // namespace
}  // namespace gpuvm::vars_file_test
