// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/record_file.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <new>
#include <sstream>

#include "vmm/base/mutex.hpp"

namespace gpuvm::record_file_test {
namespace {

using std::chrono::milliseconds;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

/// A file system that takes nothing until it is let go.
class Dam {
 public:
  void pass() GPUVM_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    has_come_ = true;
    changed_.notify_all();
    while (!is_open_) {
      changed_.wait(lock);
    }
  }
  void wait_for_writer() GPUVM_EXCLUDES(mutex_) {
    MutexLock lock(mutex_);
    while (!has_come_) {
      changed_.wait(lock);
    }
  }
  void open() GPUVM_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    is_open_ = true;
    changed_.notify_all();
  }

 private:
  Mutex mutex_;
  Condition changed_;
  bool has_come_ GPUVM_GUARDED_BY(mutex_) = false;
  bool is_open_ GPUVM_GUARDED_BY(mutex_) = false;
};

class RecordFiles : public testing::Test {
 protected:
  RecordFiles() {
    std::string path = testing::TempDir() + "record-XXXXXX";
    root_ = ::mkdtemp(path.data());
  }
  ~RecordFiles() override { std::filesystem::remove_all(root_); }
  UniqueFd file() const {
    return UniqueFd(::open((root_ / "r").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  }
  static std::unique_ptr<RecordFile> start(UniqueFd file, RecordFile::Options options) {
    options.name = "the record";
    return RecordFile::start(std::move(file), std::move(options)).value();
  }
  std::string text() const {
    std::ostringstream text;
    text << std::ifstream(root_ / "r").rdbuf();
    return text.str();
  }
  std::filesystem::path root_;
};

TEST_F(RecordFiles, HasWhatIsAdded) {
  const auto record = start(file(), {});
  record->add("one\n");
  record->add("two\n");
  record->finish();
  EXPECT_EQ(text(), "one\ntwo\n");
  record->add("late\n");
  record->finish();
  EXPECT_EQ(text(), "one\ntwo\n");
  EXPECT_EQ(record->left_out(), 1U);
}

// Whoever adds may be a vCPU: it does not wait, and what finds no room is counted at its place.
TEST_F(RecordFiles, ADiskThatIsSlowKeepsNobodyWaiting) {
  const auto dam = std::make_shared<Dam>();
  RecordFile::Options options;
  options.most_waiting = 10;
  options.write = [dam](int fd, std::span<const std::byte> bytes) {
    dam->pass();
    return ::write(fd, bytes.data(), bytes.size());
  };
  options.patience = std::chrono::minutes(10);
  const auto record = start(file(), std::move(options));
  record->add("first\n");
  dam->wait_for_writer();
  for (int i = 0; i < 5; ++i) {
    record->add("12345678\n");
  }
  EXPECT_EQ(record->left_out(), 4U);
  dam->open();
  record->finish();
  EXPECT_EQ(text(), "first\n12345678\ngpuvm: 4 lines are left out here: the disk was too slow\n");
}

TEST_F(RecordFiles, ADiskThatHangsCostsTheRecordOnly) {
  const auto dam = std::make_shared<Dam>();
  RecordFile::Options options;
  options.write = [dam](int, std::span<const std::byte> bytes) {
    dam->pass();
    return static_cast<ssize_t>(bytes.size());
  };
  options.patience = milliseconds(20);
  const auto record = start(file(), std::move(options));
  record->add("one\n");
  dam->wait_for_writer();
  record->finish();  // returns
  dam->open();
}

TEST_F(RecordFiles, AFullDiskCostsTheRecordOnly) {
  const auto record = start(UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC)), {});
  record->add("one\n");
  record->add("two\n");
  record->finish();
}

// A guest that prints for ever.
// An exception that left the thread would end the process, and leave its devices as they are.
TEST_F(RecordFiles, AWriterWithoutMemoryCostsTheRecordOnly) {
  RecordFile::Options options;
  options.write = [](int, std::span<const std::byte>) -> ssize_t { throw std::bad_alloc(); };
  testing::internal::CaptureStderr();
  const auto record = start(file(), std::move(options));
  record->add("one\n");
  record->finish();
  record->add("two\n");
  EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("bad_alloc"));
  EXPECT_EQ(record->left_out(), 1U);
  EXPECT_EQ(text(), "");
}

TEST_F(RecordFiles, IsBounded) {
  RecordFile::Options options;
  options.most = 100;
  options.remark = [](const std::string& text) { return "{" + text + "}"; };
  const auto record = start(file(), std::move(options));
  for (int i = 0; i < 20; ++i) {
    record->add("123456789\n");
  }
  record->finish();
  EXPECT_EQ(record->left_out(), 10U);
  EXPECT_THAT(text(), StartsWith("123456789\n1234"));
  EXPECT_THAT(text(), HasSubstr("{gpuvm: 10 more lines are left out: the file has its most"));
  EXPECT_THAT(text(), EndsWith("}"));
  EXPECT_LT(text().size(), 200U);
}

}  // namespace
}  // namespace gpuvm::record_file_test
