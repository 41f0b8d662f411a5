// SPDX-License-Identifier: Apache-2.0
// Shared by the tests of this folder: parsing of short texts that stand for /guests/guest.toml.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "vmm/config/config.hpp"

namespace gpuvm {

inline Result<Config> parse(std::string_view text, const std::vector<std::string>& overrides = {}) {
  return parse_config(text, {"guest.toml", "/guests", "guest"}, overrides);
}

/// As parse(), after the only section that every guest needs.
inline Result<Config> parse_bootable(const std::string& text,
                                     const std::vector<std::string>& overrides = {}) {
  return parse("boot.kernel = '/k'\n" + text, overrides);
}

inline void expect_error(const Result<Config>& result, std::string_view message,
                         ErrorKind kind = ErrorKind::kConfig) {
  ASSERT_FALSE(result.has_value()) << "no error, but expected: " << message;
  EXPECT_EQ(result.error().to_string(), message);
  EXPECT_EQ(result.error().kind(), kind);
}

inline void expect_error_contains(const Result<Config>& result, std::string_view part) {
  ASSERT_FALSE(result.has_value()) << "no error, but expected: " << part;
  const auto message = result.error().to_string();
  EXPECT_NE(message.find(part), std::string::npos) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos) << "more than one line: " << message;
}

}  // namespace gpuvm
