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
  const auto config =
      parse_bootable("boot.cmdline = 'console=ttyS0'\n[[pci]]\n" + first + "\n[[pci]]\n" + second);
  EXPECT_TRUE(config) << config.error().to_string();
  return config ? remarks_on(*config) : std::vector<std::string>{"refused"};
}

TEST(Remarks, TwoEntriesOfOneSlotThatBothTakeItAll) {
  const auto told =
      AllOf(HasSubstr("Only the host can tell: pci.0 (guest.toml:3:1) and pci.1 (guest.toml:5:1)"),
            HasSubstr("functions = [0] and functions = [1]"));
  EXPECT_THAT(remarks("host = '01:10.0'", "host = '01:10.1'"), ElementsAre(told));
  EXPECT_THAT(remarks("host = '01:10.0'", "host = '01:10.1'\nfunctions = [1]"), ElementsAre(told));
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

std::vector<std::string> remarks_of(const std::string& text) {
  const auto config = parse_bootable(text);
  EXPECT_TRUE(config) << config.error().to_string();
  return config ? remarks_on(*config) : std::vector<std::string>{"refused"};
}

// The first thing that a new user misses.
TEST(Remarks, ConsolesThatTheKernelIsNotToldOf) {
  EXPECT_THAT(remarks_of(""), ElementsAre(HasSubstr("boot.cmdline has no console=ttyS0")));
  for (const char* cmdline : {"quiet console=ttyS0", "console=ttyS0,115200 console=tty0"}) {
    EXPECT_THAT(remarks_of(fmt::format("boot.cmdline = '{}'", cmdline)), IsEmpty()) << cmdline;
  }
  EXPECT_THAT(remarks_of("boot.cmdline = 'xconsole=ttyS0 console=ttyS01'"),
              ElementsAre(HasSubstr("console=ttyS0")));
  EXPECT_THAT(remarks_of("console.serial = ['off']"), IsEmpty());
  EXPECT_THAT(remarks_of("console = { serial = ['off'], virtio = ['stdio'] }"),
              ElementsAre(HasSubstr("boot.cmdline has no console=hvc0")));
  EXPECT_THAT(remarks_of("boot.cmdline = 'console=ttyS0 console=hvc0'\nconsole.virtio = ['pty']"),
              IsEmpty());
  const auto from_disk = parse("boot = { mode = 'uefi', firmware = 'c', vars = 'v' }\n");
  EXPECT_THAT(remarks_on(*from_disk), IsEmpty()) << "its boot loader knows";
}

TEST(Remarks, AnSshKeyWithoutAWayIn) {
  const std::string start = "ssh_key = 'auto'\nboot.cmdline = 'console=ttyS0'\n";
  const auto told = AllOf(HasSubstr("ssh_key (guest.toml:2:11): gpuvm ssh will find no way in"),
                          HasSubstr("add [vsock]"));
  EXPECT_THAT(remarks_of(start), ElementsAre(told));
  EXPECT_THAT(remarks_of(start + "[[net]]\nforward = ['tcp:80:80', 'udp:22:22']"),
              ElementsAre(told));
  for (const char* way :
       {"[vsock]", "[[net]]\nforward = ['tcp:2222:22']", "[[net]]\nmode = 'tap'\nbridge = 'br0'"}) {
    EXPECT_THAT(remarks_of(start + way), IsEmpty()) << way;
  }
}

// A guest that replaces its initrd by a link would get any file of the host's at its next reboot.
TEST(Remarks, FilesInAFolderThatTheGuestWritesTo) {
  const std::string start =
      "boot.initrd = '/srv/guest/boot/initrd'\nboot.cmdline = 'console=ttyS0'\n";
  const std::string rest = "tag = 'home'\n[[disk]]\npath = '/srv/guest2/disk'\n";
  const auto remarks = [&](const std::string& share) {
    return remarks_of(start + "[[share]]\n" + share + "\n" + rest);
  };
  const auto of_initrd =
      AllOf(HasSubstr("boot.initrd: /srv/guest/boot/initrd lies in the shared folder home"),
            HasSubstr("readonly = true"));
  EXPECT_THAT(remarks("path = '/srv/guest'"), ElementsAre(of_initrd));
  EXPECT_THAT(remarks("path = '/srv/./guest/boot/'"), ElementsAre(of_initrd));
  EXPECT_THAT(remarks("path = '/srv'"), ElementsAre(of_initrd, HasSubstr("/srv/guest2/disk")));
  EXPECT_THAT(remarks("path = '/'"),
              ElementsAre(HasSubstr("boot.kernel: /k"), of_initrd, HasSubstr("disk")));
  EXPECT_THAT(remarks("path = '/srv'\nreadonly = true"), IsEmpty());
  EXPECT_THAT(remarks("path = '/srv/gue'"), IsEmpty());
}

}  // namespace
}  // namespace gpuvm::remarks_test
