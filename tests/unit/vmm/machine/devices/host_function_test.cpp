// SPDX-License-Identifier: Apache-2.0
// Which functions a configuration takes of a host's sysfs, and where the guest finds them.
#include "vmm/machine/devices/host_function.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"

namespace gpuvm::host_function_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class HostFunctionTest : public testing::Test {
 protected:
  void add(const std::string& bdf, const std::string& class_code, const std::string& vendor = {}) {
    host_.add_device(bdf, class_code, group_++, "some");
    if (!vendor.empty()) {
      host_.file(place(bdf, "vendor"), vendor + "\n");
    }
  }
  static std::string place(const std::string& bdf, const std::string& name) {
    return "/sys/bus/pci/devices/" + bdf + "/" + name;
  }
  void make_virtual(const std::string& bdf, const std::string& parent) {
    host_.link(place(bdf, "physfn"), "../" + parent);
  }
  PciConfig& pass(const std::string& bdf) {
    entries_.push_back({});
    entries_.back().host = bdf_of(bdf);
    return entries_.back();
  }
  /// "host port.function" of each, or the error.
  std::vector<std::string> resolved() {
    const auto functions = resolve_functions(host_, entries_);
    if (!functions) {
      EXPECT_EQ(functions.error().kind(), ErrorKind::kConfig);
      return {functions.error().to_string()};
    }
    std::vector<std::string> texts;
    for (const auto& function : *functions) {
      texts.push_back(fmt::format("{} {}.{}", function.name(), function.port, function.function));
    }
    return texts;
  }

  FakeHost host_;
  std::vector<PciConfig> entries_;
  unsigned group_ = 0;
};

TEST_F(HostFunctionTest, ClassOfAServersFunctionSaysThatItIsAGpu) {
  entries_.resize(2);
  entries_[0].socket = "/a";
  entries_[1].socket = "/b";
  EXPECT_THAT(resolved(), ElementsAre("/a 0.0", "/b 0.1"));
  entries_[0].identity.class_code = 0x030000;
  entries_[1].identity.class_code = 0x030200;
  EXPECT_THAT(resolved(), ElementsAre("/a 0.0", "/b 1.0"));
}

// first-real-card.md, A1: written down plainly, in the order that hurt.
TEST_F(HostFunctionTest, UsbControllerAndFourGpusOfTwoFunctions) {
  add("0000:00:14.0", "0x0c0330");
  pass("0000:00:14.0");
  for (const char* const slot : {"0000:01:00", "0000:02:00", "0000:03:00", "0000:04:00"}) {
    add(std::string(slot) + ".0", "0x030000");
    add(std::string(slot) + ".1", "0x040300");
    pass(std::string(slot) + ".0");
  }
  EXPECT_THAT(resolved(), ElementsAre("0000:00:14.0 0.2", "0000:01:00.0 0.0", "0000:01:00.1 0.1",
                                      "0000:02:00.0 1.0", "0000:02:00.1 1.1", "0000:03:00.0 2.0",
                                      "0000:03:00.1 2.1", "0000:04:00.0 3.0", "0000:04:00.1 3.1"));
}

TEST_F(HostFunctionTest, SixteenGpusWithTheirAudio) {
  for (unsigned i = 0; i < 16; ++i) {
    const std::string slot = fmt::format("0000:{:02x}:00", 0x10 + i);
    add(slot + ".0", "0x030000");
    add(slot + ".1", "0x040300");
    pass(slot + ".0");
  }
  const auto all = resolved();
  ASSERT_EQ(all.size(), 32U) << all.front();
  EXPECT_EQ(all.back(), "0000:1f:00.1 15.1");
}

TEST_F(HostFunctionTest, ClassThatTheGuestSeesDecides) {
  add("0000:01:00.0", "0x0c0330");
  add("0000:02:00.0", "0x038000");
  add("0000:03:00.0", "0x0c0330");
  pass("0000:01:00.0");
  pass("0000:02:00.0");
  pass("0000:03:00.0").identity.class_code = 0x030000;
  EXPECT_THAT(resolved(), ElementsAre("0000:01:00.0 0.1", "0000:02:00.0 0.0", "0000:03:00.0 1.0"));
}

// ../shared/cases/08: the slot has the host's display and virtual functions of other guests.
TEST_F(HostFunctionTest, NamedVirtualFunctionIsTakenAlone) {
  add("0000:00:02.0", "0x030000", "0x8086");
  host_.file(place("0000:00:02.0", "sriov_numvfs"), "2\n");
  for (const char* const bdf : {"0000:00:02.1", "0000:00:02.2"}) {
    add(bdf, "0x030000", "0x8086");
    make_virtual(bdf, "0000:00:02.0");
  }
  pass("0000:00:02.1");
  EXPECT_THAT(resolved(), ElementsAre("0000:00:02.1 0.0"));
  pass("0000:00:02.2");
  EXPECT_THAT(resolved(), ElementsAre("0000:00:02.1 0.0", "0000:00:02.2 1.0"));
}

// Linux, drivers/vfio/pci/vfio_pci_core.c: a token is an error where it is not wanted, too.
TEST_F(HostFunctionTest, TokenIsThereWhereTheKernelWantsOne) {
  constexpr const char* kToken = "14d63f20-8445-11ea-8900-1f9ce7d5650d";
  add("0000:05:00.0", "0x020000");
  add("0000:05:10.0", "0x020000");
  make_virtual("0000:05:10.0", "0000:05:00.0");
  auto& entry = pass("0000:05:10.0");
  EXPECT_THAT(resolved(), ElementsAre("0000:05:10.0 0.0"));
  entry.vf_token = kToken;
  EXPECT_THAT(resolved().front(), HasSubstr("the kernel takes no token: remove vf_token"));
  host_.attach("0000:05:00.0", "vfio-pci");
  EXPECT_THAT(resolved(), ElementsAre("0000:05:10.0 0.0"));
  EXPECT_EQ(resolve_functions(host_, entries_)->front().vf_token, kToken);
  entry.vf_token.clear();
  EXPECT_THAT(resolved().front(), AllOf(HasSubstr("0000:05:10.0 is a virtual function"),
                                        HasSubstr("0000:05:00.0, which VFIO has: set vf_token")));
  entries_.clear();
  auto& parent = pass("0000:05:00.0");
  parent.vf_token = kToken;
  EXPECT_THAT(resolved().front(), HasSubstr("nothing to do with virtual functions"));
  host_.file(place("0000:05:00.0", "sriov_totalvfs"), "8\n");
  EXPECT_THAT(resolved(), ElementsAre("0000:05:00.0 0.0"));
}

TEST_F(HostFunctionTest, BarIsResizedOfTheFunctionThatIsNamed) {
  add("0000:01:00.0", "0x030000");
  add("0000:01:00.1", "0x040300");
  std::string no_bars;
  for (int line = 0; line < 7; ++line) {
    no_bars += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
  }
  host_.file(place("0000:01:00.0", "resource"), no_bars);
  auto& entry = pass("0000:01:00.0");
  entry.resize_bar = PciBarSize{};
  EXPECT_THAT(resolved().front(),
              AllOf(HasSubstr("pci.resize_bar"), HasSubstr("has no BAR that can be resized")));
  host_.add_resizable_bar("0000:01:00.0", 1, 256_MiB, 0x7f00);
  const auto functions = resolve_functions(host_, entries_);
  ASSERT_TRUE(functions) << functions.error().to_string();
  EXPECT_EQ(functions->front().bar_size, BarSizeChoice{});
  EXPECT_EQ(functions->back().bar_size, std::nullopt);
  entry.resize_bar->size = 64_GiB;
  EXPECT_THAT(resolved().front(), HasSubstr("cannot have 64 GiB; it can have 256 MiB"));
  EXPECT_THAT(host_.writes, testing::IsEmpty());
}

TEST_F(HostFunctionTest, MemoryIsOverwrittenOfTheFunctionThatIsNamed) {
  add("0000:01:00.0", "0x030000");
  add("0000:01:00.1", "0x040300");
  auto& entry = pass("0000:01:00.0");
  EXPECT_EQ(resolve_functions(host_, entries_)->front().scrub, std::nullopt);
  entry.scrub = PciScrub::kVram;
  entry.scrub_bars = {1, 3};
  entry.scrub_limit = std::chrono::seconds(7);
  entries_.emplace_back().socket = "/s";
  entries_.back().scrub = PciScrub::kVram;
  const auto functions = resolve_functions(host_, entries_);
  ASSERT_TRUE(functions) << functions.error().to_string();
  ASSERT_EQ(functions->size(), 3U);
  EXPECT_EQ(functions->at(0).scrub,
            (ScrubChoice{.bars = {1, 3}, .limit = std::chrono::seconds(7)}));
  EXPECT_EQ(functions->at(1).scrub, std::nullopt);
  EXPECT_EQ(functions->at(2).scrub, ScrubChoice());
}

TEST_F(HostFunctionTest, ParentWithVirtualFunctionsMustBeAskedForByNumber) {
  add("0000:05:00.0", "0x020000");
  add("0000:05:00.1", "0x020000");
  add("0000:05:00.2", "0x020000");
  make_virtual("0000:05:00.2", "0000:05:00.0");
  host_.file(place("0000:05:00.0", "sriov_numvfs"), "1\n");
  pass("0000:05:00.0");
  EXPECT_THAT(resolved().front(),
              AllOf(HasSubstr("0000:05:00.0 (its 1 virtual functions go with its driver)"),
                    HasSubstr("Write functions = [0, 1]"), Not(HasSubstr("05:00.2"))));
  entries_.front().functions = {0, 1};
  EXPECT_THAT(resolved(), ElementsAre("0000:05:00.0 0.0", "0000:05:00.1 0.1"));
}

TEST_F(HostFunctionTest, AllOfAParentWithoutVirtualFunctions) {
  add("0000:05:00.0", "0x020000");
  host_.file(place("0000:05:00.0", "sriov_numvfs"), "0\n");
  pass("0000:05:00.0");
  EXPECT_THAT(resolved(), ElementsAre("0000:05:00.0 0.0"));
}

/// ../shared/cases/06: a Ryzen APU.
class ApuTest : public HostFunctionTest {
 protected:
  ApuTest() {
    add("0000:34:00.0", "0x030000", "0x1002");
    add("0000:34:00.1", "0x040300", "0x1002");
    add("0000:34:00.2", "0x108000", "0x1022");
    add("0000:34:00.3", "0x0c0330", "0x1022");
    host_.directory(place("0000:34:00.3", "usb1/1-4"));
    host_.directory(place("0000:34:00.3", "usb1/1-0:1.0"));
    add("0000:34:00.4", "0x0c0330", "0x1022");
    host_.directory(place("0000:34:00.4", "usb3/3-0:1.0"));
  }
};

TEST_F(ApuTest, AllIsRefusedWithTheListToWrite) {
  pass("0000:34:00.0");
  EXPECT_THAT(resolved().front(),
              AllOf(HasSubstr("0000:34:00.2 (the processor's security processor)"),
                    HasSubstr("0000:34:00.3 (a USB controller with what is plugged in: 1-4)"),
                    Not(HasSubstr("0000:34:00.4")), HasSubstr("Write functions = [0, 1, 4]")));
  entries_.front().functions = {0, 1};
  EXPECT_THAT(resolved(), ElementsAre("0000:34:00.0 0.0", "0000:34:00.1 0.1"));
}

TEST_F(ApuTest, ControllerThatIsNamedIsMeant) {
  pass("0000:34:00.3").functions = {3};
  EXPECT_THAT(resolved(), ElementsAre("0000:34:00.3 0.0"));
}

TEST_F(HostFunctionTest, FunctionIsTakenOnce) {
  add("0000:01:00.0", "0x030000");
  add("0000:01:00.1", "0x040300");
  pass("0000:01:00.0");
  pass("0000:01:00.1");
  EXPECT_THAT(resolved().front(), HasSubstr("pci.1 takes 0000:01:00.0, as pci.0 does"));
  entries_[0].functions = {0};
  EXPECT_THAT(resolved().front(), HasSubstr("pci.1 takes 0000:01:00.0, as pci.0 does"));
  entries_[1].functions = {1};
  EXPECT_THAT(resolved(), ElementsAre("0000:01:00.0 0.0", "0000:01:00.1 0.1"));
}

TEST_F(HostFunctionTest, SectionWhoseCardIsNotChosenYetIsNotTaken) {
  add("0000:01:00.0", "0x030000");
  pass("0000:01:00.0").match = {*CardPattern::parse("any-gpu")};
  const auto functions = resolve_functions(host_, entries_);
  ASSERT_FALSE(functions);
  EXPECT_EQ(functions.error().kind(), ErrorKind::kInternal);
}

}  // namespace
}  // namespace gpuvm::host_function_test
