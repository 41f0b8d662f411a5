// SPDX-License-Identifier: Apache-2.0
// What `gpuvm validate` says that only the host can tell.
#include "vmm/config/remarks.hpp"

#include <gmock/gmock.h>

#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::remarks_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::vector<std::string> remarks(const std::string& first, const std::string& second) {
  const auto config = parse_bootable("[[pci]]\n" + first + "\n[[pci]]\n" + second);
  EXPECT_TRUE(config) << config.error().to_string();
  return config ? remarks_on(*config) : std::vector<std::string>{"refused"};
}

TEST(Remarks, TwoEntriesOfOneSlotThatBothTakeItAll) {
  const auto told = AllOf(HasSubstr("pci.0 (guest.toml:2:1) and pci.1 (guest.toml:4:1)"),
                          HasSubstr("functions = [0] and functions = [1]"));
  EXPECT_THAT(remarks("host = '01:00.0'", "host = '01:00.1'"), ElementsAre(told));
  EXPECT_THAT(remarks("host = '01:00.0'", "host = '01:00.1'\nfunctions = [1]"), ElementsAre(told));
  EXPECT_THAT(remarks("host = '01:00.0'", "host = '01:01.0'"), IsEmpty());
  EXPECT_THAT(remarks("host = '01:00.0'", "host = '0001:01:00.1'"), IsEmpty());
}

TEST(Remarks, OneSlotBehindTwoPorts) {
  const std::string first = "host = '01:00.0'\nfunctions = [0]";
  const std::string second = "host = '01:00.1'\nfunctions = [1]";
  EXPECT_THAT(remarks(first + "\nport = 1", second + "\nport = 2"),
              ElementsAre(HasSubstr("behind ports 1 and 2 of the guest")));
  EXPECT_THAT(remarks(first + "\nport = 1", second + "\nport = 1"), IsEmpty());
  EXPECT_THAT(remarks(first + "\nport = 1", second), IsEmpty());
}

TEST(Remarks, ServersHaveNoSlots) {
  EXPECT_THAT(remarks("socket = 'a'\nport = 1", "socket = 'b'\nport = 2"), IsEmpty());
  EXPECT_THAT(remarks("socket = 'a'", "host = '00:00.0'"), IsEmpty());
}

}  // namespace
}  // namespace gpuvm::remarks_test
