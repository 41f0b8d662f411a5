// SPDX-License-Identifier: Apache-2.0
#include "vmm/kvm/internal_error.hpp"

#include <gtest/gtest.h>

#include <array>

namespace gpuvm::internal_error_test {
namespace {

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(InternalError, AnEmulationFailureTellsTheInstructionAndWhatItMayBe) {
  const std::array<std::uint8_t, 4> movaps{0x0f, 0x29, 0x04, 0x25};
  const auto text = describe_internal_error(kEmulationFailed, movaps, "rip 0x1000, cs 0x10");
  EXPECT_TRUE(has(text, "0f 29 04 25, at rip 0x1000, cs 0x10")) << text;
  EXPECT_TRUE(has(text, "Likely causes: ")) << text;
  EXPECT_FALSE(has(text, "\n")) << text;
  EXPECT_TRUE(
      has(describe_internal_error(kEmulationFailed, {}, "rip 0"), "does not tell, at rip 0"));
}

TEST(InternalError, OthersAreNamed) {
  EXPECT_TRUE(
      has(describe_internal_error(3, {}, "rip 0"), "delivered an event (internal error 3)"));
  EXPECT_TRUE(has(describe_internal_error(99, {}, "rip 0"), "(internal error 99), at rip 0"));
}

}  // namespace
}  // namespace gpuvm::internal_error_test
