// SPDX-License-Identifier: Apache-2.0
// The comments of a reference, given to the keys and sections that they are about.
#include "vmm/schema/key_comments.hpp"

#include <gtest/gtest.h>

#include "vmm/config/config.hpp"
#include "vmm/schema/reference_text.hpp"

namespace gpuvm::schema::key_comments_test {
namespace {

TEST(KeyComments, BelongToWhatFollows) {
  const auto comments = key_comments(
      "# Not of a key.\n\n# Of the root,\n# two lines.\n# name = \"a\"\n\n[one]\n# First.\nx = 1\n"
      "# Second.\n# y = 2\n\nz = 3\n");
  EXPECT_EQ(comments,
            (std::map<std::string, std::string>{
                {"name", "Of the root,\ntwo lines."}, {"one.x", "First."}, {"one.y", "Second."}}));
}

TEST(KeyComments, AreSharedUpToABlankLine) {
  const auto comments = key_comments("# Ids.\n# a = 1\n# b = 2\n\n# c = 3\n");
  EXPECT_EQ(comments, (std::map<std::string, std::string>{{"a", "Ids."}, {"b", "Ids."}}));
}

TEST(KeyComments, OfASectionShownTwiceAreTheFirstAndThoseOfItsNewKeys) {
  const auto comments = key_comments(
      "# Cards.\n# [[net]]\n# How.\n# mode = 1\n\n"
      "# On a tap.\n# [[net]]\n# mode = 2\n# fd = 3\n");
  EXPECT_EQ(comments, (std::map<std::string, std::string>{
                          {"net", "Cards."}, {"net.mode", "How."}, {"net.fd", "On a tap."}}));
}

TEST(KeyComments, KeepTheIndentOfLists) {
  EXPECT_EQ(key_comments("# One of:\n#   \"a\"  this;\n# k = \"a\"\n").at("k"),
            "One of:\n  \"a\"  this;");
}

TEST(KeyComments, HostileTextEndsWithoutHarm) {
  EXPECT_TRUE(key_comments("").empty());
  EXPECT_TRUE(key_comments("[\n[[\n[]\n#\n = \n").empty());
}

TEST(Reference, SaysSomethingOfEveryKey) {
  const auto comments = key_comments(reference_text());
  for (const auto& key : config_keys()) {
    EXPECT_TRUE(comments.contains(key)) << key;
  }
}

}  // namespace
}  // namespace gpuvm::schema::key_comments_test
