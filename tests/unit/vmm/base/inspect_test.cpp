// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/inspect.hpp"

#include <gtest/gtest.h>

namespace gpuvm::inspect_test {
namespace {

TEST(Inspect, TextAndJsonKeepOrder) {
  InspectNode root("machine");
  root.field("name", "guest");
  root.field("cpus", std::uint64_t{4});
  root.field("running", true);
  root.hex("entry", 0x1000);
  root.child("pci").field("devices", std::uint64_t{0});
  EXPECT_EQ(root.to_text(),
            "machine\n  name: guest\n  cpus: 4\n  running: true\n  entry: 0x1000\n"
            "  pci\n    devices: 0\n");
  EXPECT_EQ(root.to_json(),
            R"({"name":"guest","cpus":4,"running":true,"entry":"0x1000","pci":{"devices":0}})");
  EXPECT_EQ(InspectNode().to_json(), "{}");
}

TEST(Inspect, JsonIsEscaped) {
  InspectNode node;
  node.field("a\"b", "\\ \n \x01 \x1f");
  EXPECT_EQ(node.to_json(), R"({"a\"b":"\\ \u000a \u0001 \u001f"})");
}

// RFC 8259 section 8.1: JSON is UTF-8. A device's ROM or a serial number may hold anything.
TEST(Inspect, JsonIsValidUtf8WhateverTheValue) {
  InspectNode node;
  node.field("rom", "a\xff\xc3");
  EXPECT_EQ(node.to_json(), R"({"rom":"a\u00ff\u00c3"})");
}

TEST(Inspect, ChildrenAreFoundAgainAndStayWhereTheyAre) {
  InspectNode root;
  InspectNode& first = root.child("a");
  for (int i = 0; i < 100; ++i) {
    root.child(std::to_string(i));
  }
  EXPECT_EQ(&root.child("a"), &first);
}

TEST(Inspect, Get) {
  InspectNode node;
  node.field("a", std::uint64_t{1});
  EXPECT_EQ(node.get("a"), "1");
  EXPECT_EQ(node.get("b"), "");
}

}  // namespace
}  // namespace gpuvm::inspect_test
