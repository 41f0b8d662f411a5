// SPDX-License-Identifier: Apache-2.0
// [sandbox]: its words.
#include "tests/unit/vmm/config/config_test_support.hpp"

namespace gpuvm::sandbox_section_test {
namespace {

TEST(SandboxSection, Words) {
  EXPECT_EQ(parse_bootable("")->sandbox, SandboxConfig{});
  EXPECT_EQ(parse_bootable("")->sandbox.owner, OwnerPlace::kInside);
  EXPECT_EQ(parse_bootable("sandbox.owner = 'process'")->sandbox.owner, OwnerPlace::kProcess);
  expect_error_contains(parse_bootable("sandbox.owner = 'root'"), "sandbox.owner must be");
  expect_error_contains(parse_bootable("sandbox.owner = true"), "sandbox.owner must be");
  expect_error_contains(parse_bootable("sandbox.ower = 'inside'"), "ower");
}

}  // namespace
}  // namespace gpuvm::sandbox_section_test
