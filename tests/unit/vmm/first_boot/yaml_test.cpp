// SPDX-License-Identifier: Apache-2.0
// Which texts are YAML, and where one that is none goes wrong.
#include "vmm/first_boot/yaml.hpp"

#include <gtest/gtest.h>

namespace gpuvm::yaml_test {
namespace {

std::string problem(std::string_view text) {
  const auto root = parse_yaml(text, "f");
  return root ? "" : root.error().to_string();
}

TEST(Yaml, Roots) {
  EXPECT_EQ(*parse_yaml("a: 1\nb: [x, {y: z}]\n", "f"), YamlRoot::kMapping);
  EXPECT_EQ(*parse_yaml("{\"a\": \"JSON\"}", "f"), YamlRoot::kMapping);
  EXPECT_EQ(*parse_yaml("", "f"), YamlRoot::kNothing);
  EXPECT_EQ(*parse_yaml("# only a comment\n", "f"), YamlRoot::kNothing);
  EXPECT_EQ(*parse_yaml("---\n", "f"), YamlRoot::kNothing);
  EXPECT_EQ(*parse_yaml("- a\n- b\n", "f"), YamlRoot::kOther);
  EXPECT_EQ(*parse_yaml("text", "f"), YamlRoot::kOther);
  EXPECT_EQ(*parse_yaml("---\na: 1\n...\n", "f"), YamlRoot::kMapping);
}

TEST(Yaml, ProblemsHaveLines) {
  EXPECT_TRUE(problem("a: 1\n b: 2\n").starts_with("f:2:3: mapping values are not allowed"))
      << problem("a: 1\n b: 2\n");
  EXPECT_TRUE(problem("a: [1,\nb: 2\n").starts_with("f:")) << problem("a: [1,\nb: 2\n");
  EXPECT_TRUE(problem("a: *nobody\n").starts_with("f:1:4: found undefined alias"))
      << problem("a: *nobody\n");
  EXPECT_TRUE(problem("a: 1\n\n\"b\n").starts_with("f:")) << problem("a: 1\n\n\"b\n");
  EXPECT_TRUE(problem("a: 1\nb: \xff\n").starts_with("f:2: invalid")) << problem("a\n\xff");
  EXPECT_TRUE(problem("a: 1\n---\nb: 2\n").starts_with("f: a second document"))
      << problem("a: 1\n---\nb: 2\n");
}

// A parser must end, and a small text must not become a large one.
TEST(Yaml, HostileTexts) {
  for (const char* opening : {"[", "{", "- ", "? ", "[{a: "}) {
    std::string deep;
    for (int i = 0; i < 100000; ++i) {
      deep += opening;
    }
    EXPECT_NE(problem(deep).find("more than 100 levels"), std::string::npos) << problem(deep);
  }
  EXPECT_EQ(problem(std::string(100, '[') + std::string(100, ']')), "");
  std::string laughs = "a: &a [x,x,x,x,x,x,x,x,x]\n";
  for (char c = 'b'; c < 'q'; ++c) {
    const std::string before(1, static_cast<char>(c - 1));
    laughs += fmt::format("{0}: &{0} [*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1},*{1}]\n", c, before);
  }
  EXPECT_EQ(problem(laughs), "");
}

}  // namespace
}  // namespace gpuvm::yaml_test
