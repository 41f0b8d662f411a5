// SPDX-License-Identifier: Apache-2.0
// Where in a text the guest is: files of other systems' editors, posts of forums, other programs.
#include "tests/unit/vmm/convert/convert_test_support.hpp"

namespace gpuvm::foreign_page_test {
namespace {

using test::config_of;
using test::converted;
using test::refusal;
using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kDomain =
    "<domain type='kvm'>\n<name>page</name><vcpu>3</vcpu><memory unit='GiB'>2</memory>\n"
    "<foo/></domain>\n";
constexpr std::string_view kCommand = "qemu-system-x86_64 -m 2G -smp 3 -kernel /k -zz one\n";

TEST(ForeignPage, MarksAndLineEndsOfOtherSystemsAreNothing) {
  const std::string mark = "\xef\xbb\xbf";
  EXPECT_EQ(config_of(mark + std::string(kDomain)).machine.cpus, 3U);
  EXPECT_EQ(config_of(mark + std::string(kCommand)).machine.cpus, 3U);
  const auto config = config_of(
      "# a guest\r\nA='x'\r\nqemu-system-x86_64 -m 2G \\\r\n"
      " -smp 3 -kernel /k -append \"$A\"\r\n");
  EXPECT_EQ(config.machine.cpus, 3U);
  EXPECT_EQ(config.boot.cmdline, "x");
  EXPECT_EQ(config_of("<domain>\r\n<name>a</name>\r\n<vcpu>3</vcpu>\r\n"
                      "<memory>2097152</memory>\r\n</domain>\r\n")
                .machine.cpus,
            3U);
  EXPECT_THAT(refusal("\xff\xfe<\0d\0"), HasSubstr("this is UTF-16"));
}

TEST(ForeignPage, BlocksOfCodeAreFound) {
  const std::string page = "# It doesn't work\n\n```xml\n" + std::string(kDomain) + "```\n";
  EXPECT_EQ(config_of(page).machine.cpus, 3U);
  EXPECT_THAT(converted(page), HasSubstr("# <foo> (line 6)"));  // as the file has it
  EXPECT_EQ(config_of("I'm lost:\n~~~sh\n" + std::string(kCommand) + "~~~\nI've tried all.\n")
                .machine.cpus,
            3U);
  EXPECT_EQ(config_of("Don't ask:\n[code]\n" + std::string(kCommand) + "[/code]\nThat's it\n")
                .machine.cpus,
            3U);
  EXPECT_EQ(config_of("That's it: " + std::string(kDomain) + "I can't go on.\n").machine.cpus, 3U);
  EXPECT_THAT(converted("It's so: " + std::string(kDomain)), HasSubstr("# <foo> (line 3)"));
}

TEST(ForeignPage, PromptsAndQuotedLettersAreNoRedirections) {
  const auto prompts =
      config_of("$ qemu-system-x86_64 -m 2G \\\n>   -smp 3 \\\n> -append a -kernel \\\n> /k\n");
  EXPECT_EQ(prompts.machine.cpus, 3U);
  EXPECT_EQ(prompts.boot.kernel, "/k");
  EXPECT_TRUE(prompts.disks.empty());
  const auto letter =
      config_of("> > Mine:\n> > ```\n> > qemu-system-x86_64 -m 2G \\\n> >  -smp 3\n> > ```\n>>\n");
  EXPECT_EQ(letter.machine.cpus, 3U);
  EXPECT_EQ(config_of("> <domain type='kvm'><name>a</name>\n> <vcpu>3</vcpu>\n> "
                      "<memory>2097152</memory></domain>\n")
                .machine.cpus,
            3U);
  // A redirection in a line of its own stays one.
  const auto log = config_of("qemu-system-x86_64 -m 2G -smp 3 \\\n > log 2>&1\n");
  EXPECT_EQ(log.machine.cpus, 3U);
  EXPECT_TRUE(log.disks.empty());
  EXPECT_THAT(refusal("&lt;domain type='kvm'&gt;\n"), HasSubstr("as a page of HTML writes it"));
}

TEST(ForeignPage, ADomainGoesBeforeACommand) {
  const auto text = converted("```\nmodprobe vfio-pci\n```\n```\n" + std::string(kCommand) +
                              "```\n```\n" + std::string(kDomain) + "```\n");
  EXPECT_THAT(text, HasSubstr("name = \"page\""));
  EXPECT_THAT(text, HasSubstr("# another block of code (line 5)"));
  const auto forced =
      convert_guest("```\n" + std::string(kDomain) + "```\n```\n" + std::string(kCommand) + "```\n",
                    {"input", ForeignText::kQemu});
  ASSERT_TRUE(forced) << forced.error().to_string();
  EXPECT_THAT(forced->toml, HasSubstr("# -zz one (line 7)"));
}

TEST(ForeignPage, OneGuestIsConvertedAndOthersAreTold) {
  const auto text = converted(std::string(kDomain) + std::string(kDomain));
  EXPECT_THAT(text, HasSubstr("# another <domain> page (line 4): only the first one"));
  EXPECT_THAT(converted("It's so: " + std::string(kDomain) + std::string(kDomain)),
              HasSubstr("# another <domain> (line 4)"));
  EXPECT_EQ(config_of("<domainsnapshot><name>s</name>" + std::string(kDomain) + "</domainsnapshot>")
                .machine.cpus,
            3U);
}

TEST(ForeignPage, UnitsHaveACommand) {
  const auto config = config_of(
      "[Unit]\nDescription=It isn't much\n[Service]\nExecStartPre=/bin/true\n"
      "ExecStart=-/usr/bin/qemu-system-x86_64 -m 2G \\\n# a comment\n  -smp 3 -kernel /k\n"
      "Restart=always\n");
  EXPECT_EQ(config.machine.cpus, 3U);
  EXPECT_EQ(config.boot.kernel, "/k");
}

TEST(ForeignPage, WordsOfARunningProcessAreOne) {
  const std::string_view process(
      "/usr/bin/qemu-system-x86_64\0-name\0it's one\0-m\0002G\0-smp\0003\0-kernel\0/k\0", 68);
  const auto config = config_of(process.substr(0, process.rfind('k') + 2));
  EXPECT_EQ(config.machine.cpus, 3U);
  EXPECT_EQ(config.boot.kernel, "/k");
  EXPECT_THAT(refusal(std::string_view("kvm\nx\0y", 7)), HasSubstr("NUL byte"));
}

TEST(ForeignPage, OtherProgramsAreNamed) {
  EXPECT_THAT(refusal("# my guest\nagent: 1\nostype: l26\nhostpci0: 0000:01:00,pcie=1\n"),
              HasSubstr("input:3:1: this is a guest of Proxmox"));
  EXPECT_THAT(refusal("guest_os=\"linux\"\ndisk_img=\"a.qcow2\"\n"), HasSubstr("quickemu"));
  EXPECT_THAT(refusal("#!/bin/sh\nvirt-install --name a --hostdev 01:00.0\n"),
              HasSubstr("add --print-xml"));
  EXPECT_THAT(refusal("<?xml version='1.0'?>\n<VirtualBox/>"), HasSubstr("VirtualBox"));
  EXPECT_THAT(refusal("[device \"gpu\"]\n driver = \"vfio-pci\"\n[machine]\n type = \"q35\"\n"),
              HasSubstr("-readconfig"));
  EXPECT_THAT(refusal("echo hello\n"), Not(HasSubstr("not converted")));
}

TEST(ForeignPage, GuestsThatCannotRunAreToldFirst) {
  const std::pair<std::string, std::string> guests[] = {
      {"qemu-system-aarch64 -m 1G -smp 1 -kernel /k", "x86-64"},
      {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -M virt", "x86-64"},
      {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -cpu cortex-a72", "x86-64"},
      {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -accel tcg", "KVM only"},
      {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -machine q35,accel=hvf", "KVM only"},
      {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -cdrom virtio-win.iso", "Windows"},
      {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -name win11", "Windows"},
      {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -device isa-applesmc,osk=x", "macOS"},
      {"<domain type='kvm'><name>a</name><vcpu>1</vcpu><memory>1048576</memory><os>"
       "<type arch='aarch64' machine='virt'>hvm</type></os></domain>",
       "x86-64"},
      {"<domain type='xen'><name>a</name><vcpu>1</vcpu><memory>1048576</memory></domain>",
       "another hypervisor"},
      {"<domain type='kvm'><name>a</name><vcpu>1</vcpu><memory>1048576</memory><metadata>"
       "<l:libosinfo xmlns:l='l'><l:os id='http://microsoft.com/win/11'/></l:libosinfo>"
       "</metadata></domain>",
       "Windows"}};
  for (const auto& [text, why] : guests) {
    const auto guest = convert_guest(text, {"input"});
    ASSERT_TRUE(guest) << guest.error().to_string();
    ASSERT_EQ(guest->hindrances.size(), 1U) << text << '\n' << guest->toml;
    EXPECT_THAT(guest->hindrances[0], HasSubstr(why)) << text;
    EXPECT_TRUE(guest->toml.starts_with("# ")) << guest->toml;
    EXPECT_LT(guest->toml.find(why), guest->toml.find("[machine]")) << guest->toml;
  }
}

TEST(ForeignPage, LinuxIsNoHindrance) {
  for (const auto* const text :
       {"qemu-system-x86_64 -m 1G -smp 1 -kernel /k -machine pc-q35-9.1+pve1 -cpu host -name "
        "darwin10",
        "qemu-system-x86_64 -m 1G -smp 1 -kernel /k -accel kvm -machine type=q35,accel=kvm:tcg",
        "qemu-system-x86_64 -m 1G -smp 1 -kernel /k -cpu EPYC-v4 -machine microvm -hda "
        "twins.img"}) {
    const auto guest = convert_guest(text, {"input"});
    ASSERT_TRUE(guest);
    EXPECT_THAT(guest->hindrances, testing::IsEmpty()) << text;
  }
}

}  // namespace
}  // namespace gpuvm::foreign_page_test
