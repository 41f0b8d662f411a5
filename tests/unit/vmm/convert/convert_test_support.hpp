// SPDX-License-Identifier: Apache-2.0
// What the tests of gpuvm convert share: a text in, its configuration out, which gpuvm takes.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "vmm/config/config.hpp"
#include "vmm/convert/convert.hpp"

namespace gpuvm::test {

/// "" where the text is refused, with a failure of the test; so for what gpuvm would refuse.
inline std::string converted(std::string_view text) {
  const auto guest = convert_guest(text, {"input", ForeignText::kAuto});
  EXPECT_TRUE(guest) << guest.error().to_string();
  if (!guest) {
    return {};
  }
  EXPECT_TRUE(guest->is_valid) << guest->toml;
  EXPECT_THAT(guest->toml, testing::Not(testing::HasSubstr("gpuvm refuses")));
  return guest->toml;
}

/// The typed configuration that it is.
inline Config config_of(std::string_view text) {
  const auto config = parse_config(converted(text), {"output", "/", "guest"});
  EXPECT_TRUE(config) << config.error().to_string();
  return config ? *config : Config();
}

/// The message of the refusal.
inline std::string refusal(std::string_view text, ForeignText kind = ForeignText::kAuto) {
  const auto guest = convert_guest(text, {"input", kind});
  EXPECT_FALSE(guest);
  return guest ? "" : guest.error().to_string();
}

}  // namespace gpuvm::test
