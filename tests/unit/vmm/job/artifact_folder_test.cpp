// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/artifact_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "vmm/job/job_record.hpp"
#include "vmm/job/report_files.hpp"

namespace gpuvm::artifact_folder_test {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

class Artifacts : public testing::Test {
 protected:
  Artifacts() {
    std::string path = testing::TempDir() + "artifacts-XXXXXX";
    root_ = ::mkdtemp(path.data());
  }
  ~Artifacts() override { fs::remove_all(root_); }
  static std::string read(const fs::path& path) {
    std::ostringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  fs::path root_;
};

TEST_F(Artifacts, TheFolderIsMadeWithThoseAboveIt) {
  const auto folder = ArtifactFolder::open(root_ / "a/b/c");
  ASSERT_TRUE(folder) << folder.error().to_string();
  EXPECT_TRUE(fs::is_empty(root_ / "a/b/c"));
  ASSERT_TRUE((*folder).write("x.txt", "text"));
  EXPECT_EQ(read(root_ / "a/b/c/x.txt"), "text");
  EXPECT_EQ((*folder).path_of("x.txt"), (root_ / "a/b/c/x.txt").string());
}

TEST_F(Artifacts, AFolderThatCannotBeWrittenIsAnErrorAtOnce) {
  std::ofstream(root_ / "file") << "x";
  for (const auto& path : {root_ / "file", root_ / "file/below", fs::path("/proc/none")}) {
    const auto folder = ArtifactFolder::open(path);
    ASSERT_FALSE(folder) << path;
    EXPECT_EQ(folder.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(folder.error().message(), HasSubstr(path.string()));
  }
  // Whoever may be root can write anywhere but there.
  EXPECT_FALSE(ArtifactFolder::open("/proc/self"));
}

TEST_F(Artifacts, FilesOfAnEarlierJobAreReplaced) {
  const auto folder = ArtifactFolder::open(root_);
  ASSERT_TRUE(folder);
  ASSERT_TRUE((*folder).write("x", "a longer text"));
  ASSERT_TRUE((*folder).write("x", "short"));
  EXPECT_EQ(read(root_ / "x"), "short");
}

// A workspace may be another user's: root must not write through his links.
TEST_F(Artifacts, LinksAreReplacedNotFollowed) {
  std::ofstream(root_ / "precious") << "precious";
  fs::create_directory(root_ / "out");
  fs::create_symlink(root_ / "precious", root_ / "out/x");
  const auto folder = ArtifactFolder::open(root_ / "out");
  ASSERT_TRUE(folder);
  ASSERT_TRUE((*folder).write("x", "new"));
  EXPECT_EQ(read(root_ / "precious"), "precious");
  EXPECT_FALSE(fs::is_symlink(root_ / "out/x"));
  EXPECT_EQ(read(root_ / "out/x"), "new");
}

// A change under test may have put it into a checkout.
TEST_F(Artifacts, AFolderThatIsALinkIsRefused) {
  fs::create_directory(root_ / "precious");
  fs::create_directory_symlink(root_ / "precious", root_ / "out");
  fs::create_directory_symlink(root_ / "nowhere", root_ / "dangling");
  for (const fs::path& path : {root_ / "out", root_ / "out/", root_ / "dangling"}) {
    const auto folder = ArtifactFolder::open(path);
    ASSERT_FALSE(folder) << path;
    EXPECT_EQ(folder.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(folder.error().message(), HasSubstr("is a symbolic link, and none is followed"));
  }
  EXPECT_TRUE(fs::is_empty(root_ / "precious"));
  EXPECT_FALSE(fs::exists(root_ / "nowhere"));
}

TEST_F(Artifacts, AFolderOfAnEarlierJobIsReplaced) {
  fs::create_directories(root_ / "precious");
  std::ofstream(root_ / "precious/x") << "keep";
  fs::create_directories(root_ / "out/share/a");
  std::ofstream(root_ / "out/share/a/old") << "old";
  fs::create_directory_symlink(root_ / "precious", root_ / "out/share/a/link");
  const auto folder = ArtifactFolder::open(root_ / "out");
  ASSERT_TRUE(folder);
  ASSERT_TRUE((*folder).create_folder("share"));
  EXPECT_TRUE(fs::is_empty(root_ / "out/share"));
  EXPECT_EQ(read(root_ / "precious/x"), "keep");
  fs::remove(root_ / "out/share");
  fs::create_directory_symlink(root_ / "precious", root_ / "out/share");
  ASSERT_TRUE((*folder).create_folder("share"));
  EXPECT_FALSE(fs::is_symlink(root_ / "out/share"));
  EXPECT_EQ(read(root_ / "precious/x"), "keep");
}

TEST_F(Artifacts, AReportThatTheJobWouldWriteOverIsRefused) {
  const auto folder = ArtifactFolder::open(root_ / "out");
  ASSERT_TRUE(folder);
  fs::create_directory_symlink(root_ / "out", root_ / "link");
  for (const fs::path& path :
       {root_ / "out/console.log", root_ / "out/../out/./result.json",
        root_ / "out/share/junit.xml", root_ / "link/gpuvm.log", root_ / "out/dmesg.log"}) {
    const auto checked = check_report_paths(*folder, {"", path});
    ASSERT_FALSE(checked) << path;
    EXPECT_EQ(checked.error().kind(), ErrorKind::kUsage);
    EXPECT_THAT(checked.error().message(), HasSubstr("would be lost"));
  }
  EXPECT_TRUE(check_report_paths(
      *folder, {root_ / "out/junit.xml", root_ / "console.log", root_ / "none/console.log", ""}));
}

TEST_F(Artifacts, AFolderInThePlaceOfAFileIsAnError) {
  const auto folder = ArtifactFolder::open(root_);
  ASSERT_TRUE(folder);
  fs::create_directory(root_ / "x");
  EXPECT_FALSE((*folder).write("x", ""));
}

TEST_F(Artifacts, AnOpenFileHasAName) {
  const auto folder = ArtifactFolder::open(root_);
  ASSERT_TRUE(folder);
  auto file = (*folder).create("x");
  ASSERT_TRUE(file);
  std::ofstream(path_of_open_file(file.value().get()), std::ios::trunc) << "by its name";
  EXPECT_EQ(read(root_ / "x"), "by its name");
}

TEST_F(Artifacts, ReportsAreOpenedFirstAndWrittenAtTheEnd) {
  const std::string path = root_ / "r";
  std::ofstream(path) << "{ of an earlier job }";
  const auto text = [](const JobReport& report) { return report.guest; };
  const auto files = ReportFiles::open({{path, text}, {"", text}});
  ASSERT_TRUE(files);
  EXPECT_EQ(read(path), "");
  JobReport report;
  report.guest = "main";
  ASSERT_TRUE((*files).write(report));
  EXPECT_EQ(read(path), "main");
  const auto refused = ReportFiles::open({{root_ / "no/such/folder", text}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
}

TEST_F(Artifacts, AReportReplacesReportsOnly) {
  const auto text = [](const JobReport&) { return std::string("text"); };
  const std::string disk = root_ / "disk.img";
  std::ofstream(disk) << "a file system";
  const auto refused = ReportFiles::open({{disk, text}});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kUsage);
  EXPECT_THAT(refused.error().message(), HasSubstr("is no report of an earlier job"));
  EXPECT_EQ(read(disk), "a file system");
  const std::string report = root_ / "junit.xml";
  for (const auto* const earlier : {"", "<?xml", "{\n"}) {
    std::ofstream(report) << earlier;
    EXPECT_TRUE(ReportFiles::open({{report, text}})) << earlier;
  }
}

TEST_F(Artifacts, AReportFollowsNoLink) {
  const auto text = [](const JobReport&) { return std::string("text"); };
  std::ofstream(root_ / "precious") << "keep";
  std::filesystem::create_symlink(root_ / "precious", root_ / "junit.xml");
  const auto refused = ReportFiles::open({{root_ / "junit.xml", text}});
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message(), HasSubstr("is a symbolic link"));
  EXPECT_EQ(read(root_ / "precious"), "keep");
}

TEST_F(Artifacts, PathsInWhatTheGuestMayWriteAreKnown) {
  std::filesystem::create_directories(root_ / "shared/out");
  Config config;
  config.shares.resize(2);
  config.shares[0].tag = "work";
  config.shares[0].path = (root_ / "shared").string();
  config.shares[1].tag = "all";
  config.shares[1].path = root_.string();
  config.shares[1].read_only = true;
  const std::string inside = root_ / "shared/out/../new.xml";
  EXPECT_THAT(paths_guest_may_write(config, {"", root_ / "shared2", root_ / "junit.xml", inside}),
              testing::ElementsAre(inside + " (in the share work)"));
  config.shares[1].read_only = false;
  EXPECT_EQ(paths_guest_may_write(config, {root_ / "junit.xml", inside}).size(), 3U);
}

TEST_F(Artifacts, TwoReportsInOneFileAreRefused) {
  const auto text = [](const JobReport&) { return std::string("text"); };
  std::filesystem::create_directory_symlink(root_, root_ / "again");
  const auto files = ReportFiles::open({{root_ / "r", text}, {root_ / "again/r", text}});
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().kind(), ErrorKind::kUsage);
  EXPECT_THAT(files.error().message(), HasSubstr("Two reports are to be written to"));
  EXPECT_TRUE(ReportFiles::open({{"/dev/null", text}, {"/dev/null", text}}));
}

TEST_F(Artifacts, AReportForAFifoThatNobodyReadsIsRefused) {
  const std::string path = root_ / "fifo";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  const auto files = ReportFiles::open({{path, [](const JobReport&) { return std::string(); }}});
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().kind(), ErrorKind::kUsage);
}

TEST_F(Artifacts, AReportThatCannotBeWrittenDoesNotKeepTheOthersBack) {
  const auto text = [](const JobReport&) { return std::string("text"); };
  const auto files = ReportFiles::open({{"/dev/full", text}, {root_ / "r", text}});
  ASSERT_TRUE(files);
  const auto written = (*files).write({});
  ASSERT_FALSE(written);
  EXPECT_THAT(written.error().message(), HasSubstr("/dev/full"));
  EXPECT_EQ(read(root_ / "r"), "text");
}

}  // namespace
}  // namespace gpuvm::artifact_folder_test
