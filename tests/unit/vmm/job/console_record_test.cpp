// SPDX-License-Identifier: Apache-2.0
#include "vmm/job/console_record.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>

namespace gpuvm::console_record_test {
namespace {

using testing::EndsWith;
using testing::StartsWith;

ConsoleLine line(const std::string& text) {
  return {std::chrono::system_clock::time_point(std::chrono::milliseconds(1500)), text};
}

class MemoryFile {
 public:
  std::unique_ptr<RecordFile> record() const {
    RecordFile::Options options;
    options.name = "console.log";
    return RecordFile::start(UniqueFd(::dup(fd_.get())), std::move(options)).value();
  }
  std::string text() const {
    std::array<char, 500> bytes = {};
    const auto size = ::pread(fd_.get(), bytes.data(), bytes.size(), 0);
    return std::string(bytes.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  }

 private:
  const UniqueFd fd_{::memfd_create("console", MFD_CLOEXEC)};
};

TEST(ConsoleRecord, HasEachLineWithItsTime) {
  const MemoryFile file;
  ConsoleRecord record(file.record(), nullptr);
  record.line(line("one"));
  record.line(line(""));
  record.finish();
  EXPECT_EQ(file.text(), "1970-01-01T00:00:01.500Z one\n1970-01-01T00:00:01.500Z \n");
  EXPECT_EQ(record.tail(), "one\n\n");
}

// As dmesg prints it: what programs print is not there.
TEST(ConsoleRecord, HasTheKernelsLogByItself) {
  const MemoryFile file;
  ConsoleRecord record(nullptr, file.record());
  record.line(line("[    0.000000] Linux version 6.12"));
  record.line(line("init: hello"));
  record.line(line("[  OK  ] Started something"));
  record.line(line("<4>[   12.345678][  T123] BUG: x"));
  record.finish();
  EXPECT_EQ(file.text(), "[    0.000000] Linux version 6.12\n<4>[   12.345678][  T123] BUG: x\n");
}

TEST(ConsoleRecord, KeepsTheLastLinesWhole) {
  ConsoleRecord record;
  for (int i = 0; i < 10000; ++i) {
    record.line(line("line " + std::to_string(i)));
  }
  const auto tail = record.tail();
  EXPECT_LE(tail.size(), ConsoleRecord::kTail);
  EXPECT_GT(tail.size(), ConsoleRecord::kTail - 20);
  EXPECT_THAT(tail, StartsWith("line "));
  EXPECT_THAT(tail, EndsWith("line 9999\n"));
}

TEST(ConsoleRecord, OneLineThatIsLongerThanTheTail) {
  ConsoleRecord record;
  record.line(line(std::string(3 * ConsoleRecord::kTail, 'x')));
  EXPECT_LE(record.tail().size(), ConsoleRecord::kTail);
}

}  // namespace
}  // namespace gpuvm::console_record_test
