// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/report_file/report_file.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace gpuvm::report_file_test {
namespace {

class ReportFileTest : public testing::Test {
 protected:
  ReportFileTest() { std::filesystem::remove(path_); }
  ~ReportFileTest() override { std::filesystem::remove(path_); }
  std::string content() const {
    std::ifstream file(path_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const std::string path_ = testing::TempDir() + "gpuvm-report-file-test.json";
};

TEST_F(ReportFileTest, HoldsWhatWasSavedLast) {
  {
    auto file = ReportFile::create(path_);
    ASSERT_TRUE(file) << file.error().to_string();
    ASSERT_TRUE(file->save("a longer text"));
    EXPECT_EQ(content(), "a longer text");
    ASSERT_TRUE(file->save("short"));
  }
  EXPECT_EQ(content(), "short");
}

TEST_F(ReportFileTest, GoesWhereNothingWasSaved) {
  {
    auto file = ReportFile::create(path_);
    ASSERT_TRUE(file);
    const ReportFile moved = std::move(file).value();
    EXPECT_TRUE(std::filesystem::exists(path_));
  }
  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(ReportFileTest, NeverTakesThePlaceOfAFile) {
  std::ofstream(path_) << "precious";
  const auto file = ReportFile::create(path_);
  ASSERT_FALSE(file);
  EXPECT_EQ(file.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(file.error().to_string().find("File exists"), std::string::npos);
  EXPECT_EQ(content(), "precious");
}

TEST_F(ReportFileTest, AFolderThatIsNotThereIsAnError) {
  EXPECT_FALSE(ReportFile::create("/nonexistent/card.json"));
}

}  // namespace
}  // namespace gpuvm::report_file_test
