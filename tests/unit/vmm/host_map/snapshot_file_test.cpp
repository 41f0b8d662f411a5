// SPDX-License-Identifier: Apache-2.0
// Saved hosts as files: what is written is read as the same, and what is no such file, or lies, is
// refused with one sentence.
#include "vmm/host_map/snapshot_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/fixtures/source_file.hpp"

namespace gpuvm::snapshot_file_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kGood =
    R"({"gpuvm_host":1,"remarks":["made up"],"root":{"sys":{"a":"text\n","b":{"->":"../x/driver"},)"
    R"("c":["bytes",4,"de10"],"d":{"->":"../y","e":""}}}})";

std::string refusal(std::string_view text) {
  const auto host = parse_snapshot(text);
  if (host) {
    ADD_FAILURE() << "is taken: " << text.substr(0, 200);
    return "";
  }
  EXPECT_EQ(host.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(host.error().to_string(), Not(HasSubstr("\n")));
  EXPECT_LT(host.error().to_string().size(), 500U);
  return host.error().to_string();
}

std::string with_root(const std::string& root) {
  return R"({"gpuvm_host":1,"root":)" + root + "}";
}

TEST(SnapshotFile, IsAHost) {
  const auto host = parse_snapshot(kGood);
  ASSERT_TRUE(host) << host.error().to_string();
  EXPECT_THAT(host->remarks(), ElementsAre("made up"));
  EXPECT_EQ(host->read("/sys/a").value(), "text");
  EXPECT_FALSE(host->read("/sys/b"));
  EXPECT_EQ(host->link_name("/sys/b"), "driver");
  EXPECT_EQ(host->link_text("/sys/d"), "../y");
  EXPECT_TRUE(host->exists("/sys/d/e"));
  EXPECT_FALSE(host->exists("/sys/d/f"));
  EXPECT_THAT(host->list("/sys"), ElementsAre("a", "b", "c", "d"));
  EXPECT_THAT(host->list("/sys/nowhere"), ElementsAre());
  EXPECT_EQ(host->read_bytes("/sys/c", 4096).value(),
            (std::vector<std::byte>{std::byte{0xde}, std::byte{0x10}, {}, {}}));
  EXPECT_EQ(host->read_bytes("/sys/c", 1).value().size(), 1U);
}

TEST(SnapshotFile, NothingOfThisMachineIsReachedOrChanged) {
  const auto host = parse_snapshot(kGood);
  ASSERT_TRUE(host);
  EXPECT_FALSE(host->exists("/proc/self"));
  EXPECT_FALSE(host->read("/sys/../etc/hostname"));
  EXPECT_FALSE(host->write("/sys/a", "x"));
  EXPECT_FALSE(host->write_within("/sys/a", "x", std::chrono::milliseconds(1)));
  EXPECT_EQ(host->try_write("/sys/a", "x"), EROFS);
  EXPECT_FALSE(host->write_bytes("/sys/c", 0, {}));
  EXPECT_FALSE(host->load_module("vfio-pci"));
  EXPECT_FALSE(std::ifstream(host->path("/sys/a")).is_open());
}

TEST(SnapshotFile, WhatIsWrittenIsReadAsTheSame) {
  const auto host = parse_snapshot(kGood);
  ASSERT_TRUE(host);
  const auto text = to_snapshot_text(*host, "1.2.3");
  const auto again = parse_snapshot(text);
  ASSERT_TRUE(again) << again.error().to_string();
  EXPECT_EQ(to_snapshot_text(*again, "1.2.3"), text);
  EXPECT_THAT(text, AllOf(HasSubstr("\"gpuvm\": \"1.2.3\""), HasSubstr("made up")));
}

TEST(SnapshotFile, NamesThatLeaveTheFolderAreRefused) {
  for (const char* const name : {"..", ".", "", "a/b", "/etc", "a\\n", "a\\u0000b"}) {
    EXPECT_THAT(refusal(with_root(fmt::format(R"({{"sys":{{"{}":"x"}}}})", name))),
                AllOf(HasSubstr("/sys has"), HasSubstr("no name of a file")))
        << name;
  }
  EXPECT_THAT(refusal(with_root("{\"" + std::string(300, 'a') + "\":\"\"}")),
              HasSubstr("no name of a file"));
}

TEST(SnapshotFile, WhatIsTooMuchIsRefused) {
  EXPECT_THAT(refusal(std::string(kMostSnapshotBytes + 1, ' ')), HasSubstr("more than 32 MiB"));
  std::string deep;
  for (int i = 0; i < 100; ++i) {
    deep += "{\"a\":";
  }
  EXPECT_THAT(refusal(with_root(deep + "\"\"" + std::string(100, '}'))), HasSubstr("deeper than"));
  std::string many = "{";
  for (int i = 0; i < 200'001; ++i) {
    many += fmt::format("{}\"{}\":\"\"", i == 0 ? "" : ",", i);
  }
  EXPECT_THAT(refusal(with_root(many + "}")), HasSubstr("more than 200000 files"));
  EXPECT_THAT(refusal(with_root("{\"a\":\"" + std::string(5 << 20, 'x') + "\"}")),
              HasSubstr("at most 4194304 characters"));
  EXPECT_THAT(refusal(with_root(R"({"a":{"->":")" + std::string(5000, 'x') + "\"}}")),
              HasSubstr("at most 4096 characters"));
}

TEST(SnapshotFile, ARootThatIsNoFolderHasAName) {
  EXPECT_THAT(refusal(with_root("[]")), HasSubstr("root must be a folder"));
}

TEST(SnapshotFile, BytesHaveTheirForm) {
  for (const char* const bytes :
       {R"(["bytes",4])", R"(["text",4,"00"])", R"(["bytes",-1,"00"])", R"(["bytes",1,"0000"])",
        R"(["bytes",4,"0"])", R"(["bytes",4,"0g"])", R"(["bytes",4,"AB"])", R"(["bytes",70000,""])",
        R"(["bytes",1e3,""])", R"([])", R"(["bytes",4,null])"}) {
    EXPECT_THAT(refusal(with_root(fmt::format("{{\"a\":{}}}", bytes))),
                HasSubstr("/a must be [\"bytes\""))
        << bytes;
  }
}

TEST(SnapshotFile, WhatIsNoSavedHostIsRefused) {
  EXPECT_THAT(refusal("{}"), HasSubstr("no saved host"));
  EXPECT_THAT(refusal("[]"), HasSubstr("no saved host"));
  EXPECT_THAT(refusal(R"({"gpuvm_host":1})"), HasSubstr("no saved host"));
  EXPECT_THAT(refusal(R"({"gpuvm_host":2,"root":{}})"), HasSubstr("of another gpuvm"));
  EXPECT_THAT(refusal(R"({"gpuvm_host":"1","root":{}})"), HasSubstr("of another gpuvm"));
  EXPECT_THAT(refusal(with_root("1")), HasSubstr("must be a folder"));
  EXPECT_THAT(refusal(with_root(R"({"a":1})")), HasSubstr("/a must be a folder"));
  EXPECT_THAT(refusal(with_root(R"({"a":{"->":1}})")), HasSubstr("must be a text"));
  EXPECT_THAT(refusal(with_root(R"({"a":"b\u0000"})")), HasSubstr("must be a text"));
  EXPECT_THAT(refusal(with_root(R"({"a":"","a":""})")), HasSubstr("twice"));
  EXPECT_THAT(refusal(R"({"gpuvm_host":1,"remarks":[1],"root":{}})"), HasSubstr("remarks"));
  EXPECT_THAT(refusal(R"({"gpuvm_host":1,"remarks":"x","root":{}})"), HasSubstr("remarks"));
  EXPECT_THAT(refusal("gpuvm"), HasSubstr("It is no JSON"));
  EXPECT_THAT(load_snapshot("/nonexistent/host.json").error().to_string(),
              HasSubstr("/nonexistent/host.json"));
}

TEST(SnapshotFile, EveryTruncationIsRefused) {
  const std::string_view good = kGood;
  for (std::size_t size = 0; size < good.size(); ++size) {
    EXPECT_FALSE(parse_snapshot(good.substr(0, size))) << size;
  }
}

TEST(SnapshotFile, FixturesAreWrittenAsTheyAre) {
  for (const char* const name : {"apu-desktop", "desktop-no-iommu", "hgx-h200", "laptop-muxless",
                                 "power9-v100", "threadripper-1900x"}) {
    const auto path = test::source_file(fmt::format("tests/fixtures/hosts/{}.json", name));
    const auto host = load_snapshot(path);
    ASSERT_TRUE(host) << host.error().to_string();
    std::ifstream file(path);
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(to_snapshot_text(*host, "made up"), text) << name;
  }
}

}  // namespace
}  // namespace gpuvm::snapshot_file_test
