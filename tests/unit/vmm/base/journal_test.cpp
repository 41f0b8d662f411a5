// SPDX-License-Identifier: Apache-2.0
// Entries as systemd.io/JOURNAL_NATIVE_PROTOCOL has them, and whether stderr is the journal's.
#include "vmm/base/journal.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cstring>

namespace gpuvm::journal_test {
namespace {

std::string entry(std::initializer_list<JournalField> fields) {
  return journal_entry(std::span(fields.begin(), fields.size()));
}

TEST(JournalEntry, Fields) {
  EXPECT_EQ(entry({{"MESSAGE", "a=b c"}, {"PRIORITY", "3"}, {"GPUVM_2", ""}}),
            "MESSAGE=a=b c\nPRIORITY=3\nGPUVM_2=\n");
}

TEST(JournalEntry, ValuesOfLinesHaveTheirSize) {
  const std::string size("\x0c\0\0\0\0\0\0\0", 8);
  EXPECT_EQ(entry({{"MESSAGE", "a\nPRIORITY=0"}}), "MESSAGE\n" + size + "a\nPRIORITY=0\n");
}

TEST(JournalEntry, NamesThatTheJournalRefusesAreLeftOut) {
  EXPECT_EQ(entry({{"", "x"},
                   {"_PID", "1"},
                   {"a", "x"},
                   {"A=B", "x"},
                   {"1A", "x"},
                   {std::string(65, 'A'), "x"},
                   {"A\n", "x"}}),
            "");
}

TEST(JournalEntry, LongValuesAreCut) {
  const std::string long_text(1 << 20, 'x');
  EXPECT_EQ(entry({{"MESSAGE", long_text}}).size(),
            kLongestJournalValue + std::strlen("MESSAGE=\n"));
}

TEST(JournalStream, IsTheFileThatTheEnvironmentNames) {
  const UniqueFd file(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  struct stat facts {};
  ASSERT_EQ(::fstat(file.get(), &facts), 0);
  const auto right = fmt::format("{}:{}", facts.st_dev, facts.st_ino);
  EXPECT_TRUE(is_journal_stream(right.c_str(), file.get()));
  // A shell that redirects stderr leaves the variable as it is.
  EXPECT_FALSE(is_journal_stream((right + "1").c_str(), file.get()));
  for (const char* wrong : {"", ":", "8:", "x:y", "0:0"}) {
    EXPECT_FALSE(is_journal_stream(wrong, file.get())) << wrong;
  }
  EXPECT_FALSE(is_journal_stream(nullptr, file.get()));
  EXPECT_FALSE(is_journal_stream(right.c_str(), -1));
}

TEST(JournalSocket, SendsAndNeverWaits) {
  const std::string path = testing::TempDir() + "journal-" + std::to_string(::getpid());
  ::unlink(path.c_str());
  EXPECT_FALSE(JournalSocket::open(path));  // nobody hears
  const UniqueFd journal(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  ASSERT_EQ(::bind(journal.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  const auto socket = JournalSocket::open(path);
  ASSERT_TRUE(socket);
  EXPECT_TRUE(socket->send("MESSAGE=a\n"));
  std::array<char, 100> bytes{};
  EXPECT_EQ(::recv(journal.get(), bytes.data(), bytes.size(), 0), 10);
  bool has_refused = false;
  for (int i = 0; i < 100000 && !has_refused; ++i) {
    has_refused = !socket->send("MESSAGE=a\n");
  }
  EXPECT_TRUE(has_refused);
  ::unlink(path.c_str());
  EXPECT_FALSE(JournalSocket::open(std::string(108, 'x')));
}

}  // namespace
}  // namespace gpuvm::journal_test
