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

TEST(ConsoleRecord, HasEachLineWithItsTime) {
  const int file = ::memfd_create("console", MFD_CLOEXEC);
  ConsoleRecord record(UniqueFd(::dup(file)), "console.log");
  record.line(line("one"));
  record.line(line(""));
  record.finish();
  std::array<char, 200> bytes = {};
  const auto size = ::pread(file, bytes.data(), bytes.size(), 0);
  ::close(file);
  ASSERT_GT(size, 0);
  EXPECT_EQ(std::string(bytes.data(), static_cast<std::size_t>(size)),
            "1970-01-01T00:00:01.500Z one\n1970-01-01T00:00:01.500Z \n");
  EXPECT_EQ(record.tail(), "one\n\n");
}

TEST(ConsoleRecord, KeepsTheLastLinesWhole) {
  ConsoleRecord record({}, "");
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
  ConsoleRecord record({}, "");
  record.line(line(std::string(3 * ConsoleRecord::kTail, 'x')));
  EXPECT_LE(record.tail().size(), ConsoleRecord::kTail);
}

TEST(ConsoleRecord, AFullDiskCostsTheRecordOnly) {
  ConsoleRecord record(UniqueFd(::open("/dev/full", O_WRONLY | O_CLOEXEC)), "console.log");
  record.line(line("one"));
  record.line(line("two"));
  record.finish();
  EXPECT_EQ(record.tail(), "one\ntwo\n");
}

// A guest that prints for ever. The file is a hole with a size limit of its own, and takes no room.
TEST(ConsoleRecord, IsBounded) {
  const int file = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
  ConsoleRecord record{UniqueFd(file), "console.log"};
  const std::string text(1 << 20, 'x');
  for (std::uint64_t i = 0; i < (ConsoleRecord::kMostInFile >> 20) + 3; ++i) {
    record.line(line(text));
  }
  EXPECT_EQ(record.left_out(), 4U);  // with their times a MiB's lines are longer than a MiB
}

}  // namespace
}  // namespace gpuvm::console_record_test
