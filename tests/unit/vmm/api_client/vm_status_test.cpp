// SPDX-License-Identifier: Apache-2.0
// What guests say of themselves, as people and programs get it; and what is no such thing.
#include "vmm/api_client/vm_status.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gpuvm::vm_status_test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kWhole =
    R"({"name":"render-1","state":"running","pid":4242,"since":"2026-11-30T12:00:00Z",)"
    R"("uptime_s":5400,"config":"/etc/gpuvm/render-1.toml","cpus":8,"memory_bytes":17179869184,)"
    R"("devices":[{"bdf":"0000:01:00.0","driver":"vfio-pci"},{"bdf":"0000:01:00.1"}],"lives":2})";

ListedGuest guest_of(const std::string& json) {
  ListedGuest guest{.name = "x", .path = "/run/gpuvm/x.sock"};
  guest.status = VmStatus::parse(json).value();
  return guest;
}

/// One whose socket has the name that it says.
ListedGuest honest_guest(const std::string& json) {
  auto guest = guest_of(json);
  guest.name = guest.status->name;
  return guest;
}

TEST(VmStatusText, IsRead) {
  auto status = VmStatus::parse(kWhole);
  ASSERT_TRUE(status) << status.error().to_string();
  EXPECT_EQ(status->name, "render-1");
  EXPECT_EQ(status->state, "running");
  EXPECT_EQ(status->pid, 4242);
  EXPECT_EQ(status->uptime_s, 5400U);
  EXPECT_EQ(status->cpus, 8U);
  EXPECT_EQ(status->memory_bytes, 17179869184U);
  EXPECT_THAT(status->devices, ElementsAre("0000:01:00.0", "0000:01:00.1"));
  EXPECT_EQ(status->json, kWhole) << "all of it, in its order";
}

TEST(VmStatusText, WhatIsNone) {
  for (const std::string text :
       {"", "null", "[]", "{}", "{\"name\":\"x\"}", "{\"name\":1,\"state\":2}",
        "{\"name\":\"x\",\"state\":\"running\"", "{\"name\":\"x\",\"state\":\"running\"} more",
        "{\"name\":\"\",\"state\":\"\"}"}) {
    EXPECT_FALSE(VmStatus::parse(text)) << text;
  }
  EXPECT_FALSE(VmStatus::parse(std::string(100000, '[')));
  EXPECT_FALSE(VmStatus::parse(R"({"name":"x","state":"r","a":)" + std::string(100, '[') +
                               std::string(100, ']') + "}"));
}

TEST(VmStatusText, WrongTypesCountForNothing) {
  auto status = VmStatus::parse(
      R"({"name":"x","state":"running","pid":-1,"uptime_s":1e300,"cpus":"8","memory_bytes":null,)"
      R"("devices":[1,{"bdf":7},{"bdf":"0000:01:00.0"},{"socket":"/run/gpu.sock"}]})");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->pid, 0);
  EXPECT_EQ(status->uptime_s, 0U);
  EXPECT_EQ(status->cpus, 0U);
  EXPECT_EQ(status->memory_bytes, 0U);
  EXPECT_THAT(status->devices, ElementsAre("?", "0000:01:00.0", "/run/gpu.sock"));
}

TEST(VmStatusText, NothingReachesATerminal) {
  const auto guest = guest_of(
      R"({"name":"a\u001b[2Jb\nc","state":"\u009b2J","devices":[{"bdf":"\r0"}],"\u0007":"\u0008"})");
  for (const std::string& text : {guest_table(std::vector{guest}), status_text(*guest.status),
                                  guest_json(std::vector{guest})}) {
    for (const char c : text) {
      EXPECT_TRUE(c == '\n' || (c >= 0x20 && c < 0x7f)) << static_cast<int>(c) << " in " << text;
    }
  }
  EXPECT_THAT(guest_table(std::vector{guest}), HasSubstr("a?[2Jb?c"));
}

TEST(GuestTable, HasColumns) {
  std::vector<ListedGuest> guests = {honest_guest(kWhole)};
  guests.push_back(honest_guest(
      R"({"name":"ci-7","state":"paused","pid":7,"uptime_s":0,"cpus":1,"memory_bytes":1610612736,)"
      R"("devices":[]})"));
  guests.push_back({.name = "mute", .path = "/run/gpuvm/mute.sock", .problem = "no answer"});
  EXPECT_EQ(guest_table(guests),
            "NAME      STATE      PID   UPTIME  CPUS  MEMORY  DEVICES\n"
            "render-1  running    4242  1h30m   8     16G     0000:01:00.0,0000:01:00.1\n"
            "ci-7      paused     7     0s      1     1536M   -\n"
            "mute      no answer  -     -       -     -       -\n");
  EXPECT_EQ(guest_table({}), "NAME  STATE  PID  UPTIME  CPUS  MEMORY  DEVICES\n");
}

TEST(GuestTable, AGuestIsListedByTheNameOfItsSocket) {
  EXPECT_THAT(guest_table(std::vector{guest_of(kWhole)}),
              HasSubstr("\nx (says render-1)  running"));
}

TEST(GuestTable, OddNumbersFit) {
  const auto guest =
      guest_of(R"({"name":"x","state":"s","pid":99999999999999,"uptime_s":18446744073709551615,)"
               R"("cpus":18446744073709551615,"memory_bytes":18446744073709551615})");
  EXPECT_THAT(guest_table(std::vector{guest}), HasSubstr(" 1000d "));
}

TEST(GuestJson, IsWhatTheySent) {
  std::vector<ListedGuest> guests = {guest_of(R"({"name":"x","state":"running","new_key":[1]})")};
  guests.push_back({.name = "mute", .path = "/p", .problem = "no answer"});
  EXPECT_EQ(guest_json(guests),
            R"([{"name":"x","state":"running","new_key":[1],"socket":"/run/gpuvm/x.sock"},)"
            R"({"name":"mute","state":"unknown","problem":"no answer","socket":"/p"}])");
  EXPECT_EQ(guest_json({}), "[]");
}

TEST(StatusText, ALineForEachValue) {
  EXPECT_EQ(status_text(VmStatus::parse(R"({"name":"x","state":"running","cpus":2})").value()),
            "name: x\nstate: running\ncpus: 2\n");
}

TEST(TreeText, AsInspectWritesIt) {
  auto text = tree_text(R"({"a":{"b":1,"c":{"d":"e"},"f":true},"g":"h\ni"})");
  ASSERT_TRUE(text) << text.error().to_string();
  EXPECT_EQ(*text, "guest\n  g: h?i\n  a\n    b: 1\n    f: true\n    c\n      d: e\n");
  EXPECT_FALSE(tree_text("[1]"));
  std::string deep;
  for (int i = 0; i < 10000; ++i) {
    deep += "{\"a\":";
  }
  EXPECT_FALSE(tree_text(deep + "1" + std::string(10000, '}')));
}

}  // namespace
}  // namespace gpuvm::vm_status_test
