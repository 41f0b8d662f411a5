// SPDX-License-Identifier: Apache-2.0
// Patterns of pci.match, and the key itself.
#include "vmm/config/card_pattern.hpp"

#include "tests/unit/vmm/config/config_test_support.hpp"
#include "vmm/config/remarks.hpp"

namespace gpuvm::card_pattern_test {
namespace {

bool fits(const char* pattern, std::uint16_t vendor, std::uint16_t device, std::uint32_t code) {
  const auto parsed = CardPattern::parse(pattern);
  EXPECT_TRUE(parsed) << pattern;
  return parsed && parsed->matches(vendor, device, code);
}

TEST(CardPattern, IdsAreThoseOfTheFunction) {
  EXPECT_TRUE(fits("10de:2204", 0x10de, 0x2204, 0x030000));
  EXPECT_FALSE(fits("10de:2204", 0x10de, 0x2205, 0x030000));
  EXPECT_FALSE(fits("10de:2204", 0x1002, 0x2204, 0x030000));
  EXPECT_TRUE(fits("10DE:*", 0x10de, 0xffff, 0x030000));
  EXPECT_FALSE(fits("10de:*", 0x1002, 0x2204, 0x030000));
}

TEST(CardPattern, ClassIsComparedAsFarAsItGoes) {
  EXPECT_TRUE(fits("class:03", 1, 1, 0x030200));
  EXPECT_TRUE(fits("class:0302", 1, 1, 0x030200));
  EXPECT_TRUE(fits("class:0302", 1, 1, 0x0302ff));
  EXPECT_FALSE(fits("class:0302", 1, 1, 0x030000));
  EXPECT_FALSE(fits("class:030200", 1, 1, 0x0302ff));
  EXPECT_TRUE(fits("class:00", 1, 1, 0x000100));
}

TEST(CardPattern, AnyGpuIsWhatTheTableOfSlotsCallsOne) {
  EXPECT_TRUE(fits("any-gpu", 0x10de, 0x2204, 0x030000));
  EXPECT_TRUE(fits("any-gpu", 0x1002, 0x74a1, 0x120000));
  EXPECT_TRUE(fits("any-gpu", 0x8086, 0x0bd5, 0x038000));
  EXPECT_FALSE(fits("any-gpu", 0x10de, 0x1aef, 0x040300)) << "its sound";
  EXPECT_FALSE(fits("any-gpu", 0x8086, 0x1533, 0x020000));
}

TEST(CardPattern, OtherTextIsNone) {
  for (const char* text :
       {"", "any", "10de", "10de:", ":2204", "*:2204", "10de:220", "10de:22044", "0x10de:0x2204",
        "10de:2204:1", "class:", "class:3", "class:030", "class:03020000", "class:0x03",
        "class:gpu", "+10d:2204", "ANY-GPU", " 10de:2204"}) {
    EXPECT_FALSE(CardPattern::parse(text)) << text;
  }
}

TEST(CardPattern, IsWrittenAsItIsRead) {
  for (const char* text :
       {"any-gpu", "10de:2204", "10de:*", "0001:000f", "class:03", "class:0302", "class:030200"}) {
    EXPECT_EQ(CardPattern::parse(text)->to_string(), text);
  }
}

TEST(Match, TakesOnePatternOrAList) {
  const auto config = parse_bootable(
      "[[pci]]\nmatch = 'any-gpu'\n[[pci]]\nmatch = ['10de:2204', 'class:0302']\nfunctions = [1]");
  ASSERT_TRUE(config) << config.error().to_string();
  ASSERT_EQ(config->pci.size(), 2U);
  EXPECT_TRUE(config->pci[0].match.at(0).any_gpu);
  EXPECT_FALSE(config->pci[0].has_host());
  ASSERT_EQ(config->pci[1].match.size(), 2U);
  EXPECT_EQ(config->pci[1].match[1].class_code, 0x030200U);
  EXPECT_EQ(config->pci[1].functions, std::vector<std::uint8_t>{1}) << "of whatever card it is";
}

TEST(Match, ErrorsTellPlaceAndRule) {
  expect_error_contains(
      parse_bootable("[[pci]]\nmatch = 'gpu'"),
      "pci.0.match must be \"any-gpu\", ids such as \"10de:2204\" or \"10de:*\", a "
      "class such as \"class:0302\", or a list of these, not \"gpu\" "
      "(guest.toml:3:9); did you mean \"any-gpu\"?");
  expect_error_contains(parse_bootable("[[pci]]\nmatch = []"), "not an empty list");
  expect_error_contains(parse_bootable("[[pci]]\nmatch = 1"), "or a list of these, not an integer");
  expect_error_contains(parse_bootable("[[pci]]\nmatch = ['any-gpu', 1]"),
                        "not one with an integer");
  expect_error_contains(parse_bootable("[[pci]]\nmatch = ['10de:1', 'x']"), "not \"10de:1\"");
  expect_error_contains(parse_bootable("[[pci]]\nmatch = ['10de:2204', '10DE:2204']"),
                        "pci.0.match has 10de:2204 twice");
  std::string many = "[[pci]]\nmatch = [";
  for (int i = 0; i < 17; ++i) {
    many += "'10de:00" + std::to_string(10 + i) + "', ";
  }
  expect_error_contains(parse_bootable(many + "]"), "at most 16 patterns");
}

TEST(Match, IsOneOfThreeSources) {
  expect_error_contains(parse_bootable("[[pci]]\nhost = '01:00.0'\nmatch = 'any-gpu'"),
                        "pci.0.match and host exclude each other");
  expect_error_contains(parse_bootable("[[pci]]\nmatch = 'any-gpu'\nsocket = 's'"),
                        "pci.0.socket and match exclude each other");
  expect_error_contains(parse_bootable("[[pci]]\nmanaged = true"),
                        "pci.0.host is missing: name the device");
}

TEST(Match, SectionsWithItAreInNobodysWay) {
  EXPECT_TRUE(
      parse_bootable("[[pci]]\nmatch = 'any-gpu'\nreset = 'hot'\n[[pci]]\n"
                     "match = 'any-gpu'\nreset = 'none'\n[[pci]]\nhost = '00:00.0'"));
}

TEST(Match, WordsOfOtherProgramsLeadToIt) {
  const std::pair<const char*, const char*> rows[] = {
      {"[[pci]]\nhost = 'any'", "match = \"any-gpu\", in place of host"},
      {"[[pci]]\nhost = '01:00.0'\nmapping = 'gpu0'", "did you mean match?"},
      {"[[pci]]\nhost = '01:00.0'\ngpus = 1", "did you mean match?"},
      {"[[pci]]\nmatch = 'all'", "the section once for each"},
      {"[[pci]]\nmatch = 'nvidia'", "did you mean \"10de:*\"?"},
      {"[[pci]]\nmatch = 'any-gpu'\ncount = 2", "each [[pci]] takes one card"},
      {"[[pci]]\nmatch = 'any-gpu'\nwait = '30m'", "gpuvm run --wait 30m"},
      {"gpu = 1", "did you mean [[pci]]?"},
      {"nodedev = 'pci_0000_01_00_0'", "did you mean [[pci]]?"},
  };
  for (const auto& [text, advice] : rows) {
    expect_error_contains(parse_bootable(text), advice);
  }
}

TEST(Match, ValidateSaysWhoKnowsTheCard) {
  const auto config = parse_bootable(
      "console.serial = ['off']\n[[pci]]\nmatch = 'any-gpu'\n[[pci]]\nmatch = '10de:*'");
  ASSERT_TRUE(config);
  const auto remarks = remarks_on(*config);
  ASSERT_EQ(remarks.size(), 2U);
  EXPECT_NE(remarks[0].find("`gpuvm run --dry-run` says which that is now"), std::string::npos);
}

}  // namespace
}  // namespace gpuvm::card_pattern_test
