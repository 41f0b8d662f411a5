// SPDX-License-Identifier: Apache-2.0
// Files that gpuvm writes, in a folder that somebody else may write to as well: links, second
// names, strangers' files, FIFOs, and names that are taken at the wrong moment.
#include "vmm/base/output_file.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace gpuvm::output_file_test {
namespace {

namespace fs = std::filesystem;
using Start = OutputRules::Start;

constexpr uid_t kStranger = 65534;
constexpr uid_t kAnother = 65533;

class OutputFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "gpuvm-output-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string at(const std::string& name) const { return (folder_ / name).string(); }
  std::string make(const std::string& name, const std::string& text) const {
    std::ofstream(at(name), std::ios::binary) << text;
    return at(name);
  }
  std::string text_of(const std::string& name) const {
    std::ifstream file(at(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::size_t files() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  void append(const std::string& path, const std::string& text) const {
    const auto fd = open_output(path, {.start = Start::kAppend});
    ASSERT_TRUE(fd) << fd.error().to_string();
    ASSERT_TRUE(write_output(fd->get(), text, path));
  }
  static std::string refusal(const std::string& path, const OutputRules& rules = {}) {
    const auto fd = open_output(path, rules);
    return fd ? "opened" : fd.error().to_string();
  }

  fs::path folder_;
};

TEST_F(OutputFileTest, AppendsOrBeginsAnew) {
  append(at("log"), "one\n");
  append(at("log"), "two\n");
  EXPECT_EQ(text_of("log"), "one\ntwo\n");
  const auto fd = open_output(at("log"), {.start = Start::kEmpty});
  ASSERT_TRUE(fd);
  EXPECT_EQ(text_of("log"), "");
  EXPECT_EQ(::fcntl(fd->get(), F_GETFL) & (O_NONBLOCK | O_APPEND), 0);
  EXPECT_EQ(::fcntl(fd->get(), F_GETFD), FD_CLOEXEC);
}

TEST_F(OutputFileTest, FollowsNoLinkAndLeavesItsTargetAlone) {
  make("victim", "precious");
  fs::create_symlink(at("victim"), at("log"));
  fs::create_symlink(at("absent"), at("dangling"));
  for (const auto start : {Start::kAppend, Start::kEmpty}) {
    EXPECT_EQ(refusal(at("log"), {.start = start}),
              at("log") + " is a symbolic link, and none is followed: name its target");
    EXPECT_NE(refusal(at("dangling"), {.start = start}), "opened");
  }
  EXPECT_EQ(text_of("victim"), "precious");
  EXPECT_FALSE(fs::exists(at("absent")));
}

TEST_F(OutputFileTest, RefusesASecondNameOfAnotherFile) {
  make("victim", "precious");
  fs::create_hard_link(at("victim"), at("log"));
  EXPECT_NE(refusal(at("log"), {.start = Start::kEmpty}).find("has a second name (hard link)"),
            std::string::npos);
  EXPECT_EQ(text_of("victim"), "precious");
}

TEST_F(OutputFileTest, RefusesAStrangersFileAndHisFifo) {
  if (::geteuid() != 0) {
    GTEST_SKIP() << "only root can give files away";
  }
  make("log", "theirs");
  ASSERT_EQ(::chown(at("log").c_str(), kStranger, kStranger), 0);
  EXPECT_NE(refusal(at("log"), {.start = Start::kEmpty}).find("belongs to user 65534"),
            std::string::npos);
  EXPECT_EQ(text_of("log"), "theirs");
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0666), 0);
  ASSERT_EQ(::chown(at("fifo").c_str(), kStranger, kStranger), 0);
  const int reader = ::open(at("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  EXPECT_NE(refusal(at("fifo")).find("belongs to user 65534"), std::string::npos);
  ::close(reader);
  // A user's file in his own folder is what he asked for.
  ASSERT_EQ(::chown(folder_.c_str(), kStranger, kStranger), 0);
  EXPECT_EQ(refusal(at("log")), "opened");
  ASSERT_EQ(::chown(folder_.c_str(), kAnother, kAnother), 0);
  EXPECT_NE(refusal(at("log")), "opened");
}

TEST_F(OutputFileTest, StreamsAreWrittenToAndNeverWaitedFor) {
  ASSERT_EQ(::mkfifo(at("fifo").c_str(), 0600), 0);
  EXPECT_NE(refusal(at("fifo")).find("nobody reads"), std::string::npos);
  const int reader = ::open(at("fifo").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  const auto fd = open_output(at("fifo"), {.nonblocking = true});
  ASSERT_TRUE(fd) << fd.error().to_string();
  EXPECT_NE(::fcntl(fd->get(), F_GETFL) & O_NONBLOCK, 0);
  EXPECT_NE(refusal(at("fifo"), {.stream = false}), "opened");
  ::close(reader);
  EXPECT_EQ(refusal("/dev/null", {.start = Start::kEmpty}), "opened");
}

TEST_F(OutputFileTest, RefusesFoldersAndNamesTheKindThatWasAskedFor) {
  fs::create_directory(at("folder"));
  for (const auto& path : {at("folder"), at("folder") + "/", at("."), at("absent/log")}) {
    const auto fd = open_output(path, {.kind = ErrorKind::kConfig});
    ASSERT_FALSE(fd) << path;
    EXPECT_EQ(fd.error().kind(), ErrorKind::kConfig) << path;
  }
  EXPECT_FALSE(fs::exists(at("absent")));
}

TEST_F(OutputFileTest, ReplacesInOneStepALinkTooAndLeavesNothingBehind) {
  make("victim", "precious");
  fs::create_symlink(at("victim"), at("report"));
  // What a program that made PATH.new would fall for.
  fs::create_symlink(at("victim"), at("report.new"));
  ASSERT_TRUE(replace_output(at("report"), "new text", ErrorKind::kHost));
  EXPECT_EQ(text_of("report"), "new text");
  EXPECT_FALSE(fs::is_symlink(at("report")));
  EXPECT_EQ(text_of("victim"), "precious");
  EXPECT_EQ(files(), 3U);
}

TEST_F(OutputFileTest, AReplacementThatIsGivenUpIsRemoved) {
  const auto place = OutputPlace::open(at("vars"), ErrorKind::kConfig);
  ASSERT_TRUE(place);
  {
    const auto file = place->create(0600);
    ASSERT_TRUE(file);
    EXPECT_EQ(files(), 1U);
  }
  EXPECT_EQ(files(), 0U);
  make("vars", "old");
  auto file = place->create(0600);
  ASSERT_TRUE(file);
  EXPECT_FALSE(file->take_place(NewFile::Place::kOnlyNew));
  EXPECT_EQ(text_of("vars"), "old");
}

TEST_F(OutputFileTest, AHeldFolderIsWrittenToWhateverItsPathLeadsToLater) {
  fs::create_directory(at("mine"));
  fs::create_directory(at("etc"));
  const auto place = OutputPlace::open(at("mine/vars"), ErrorKind::kConfig);
  ASSERT_TRUE(place);
  fs::rename(at("mine"), at("moved"));
  fs::create_symlink(at("etc"), at("mine"));
  auto file = place->create(0600);
  ASSERT_TRUE(file);
  ASSERT_TRUE(file->take_place(NewFile::Place::kReplace));
  EXPECT_TRUE(fs::exists(at("moved/vars")));
  EXPECT_TRUE(fs::is_empty(at("etc")));
}

TEST_F(OutputFileTest, ExistingFilesAreOpenedByTheSameRules) {
  const auto place = OutputPlace::open(at("vars"), ErrorKind::kConfig);
  ASSERT_TRUE(place);
  auto nothing = place->open_existing(O_RDWR);
  ASSERT_TRUE(nothing);
  EXPECT_FALSE(*nothing);
  make("other", "x");
  fs::create_symlink(at("other"), at("vars"));
  EXPECT_FALSE(place->open_existing(O_RDWR));
  fs::remove(at("vars"));
  make("vars", "x");
  EXPECT_TRUE(place->open_existing(O_RDWR));
  EXPECT_FALSE(*place->rename_to("other"));
  EXPECT_TRUE(*place->rename_to("vars.damaged"));
  EXPECT_EQ(text_of("vars.damaged"), "x");
}

}  // namespace
}  // namespace gpuvm::output_file_test
