// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/environment.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace gpuvm::environment_test {
namespace {

TEST(Environment, WhatNobodyReadsIsForgottenWhereItStands) {
  std::vector<std::string> variables = {
      "CI_JOB_TOKEN=glcbt-64_abc", "PATH=/bin",        "PATHS=secret",   "LC_ALL=C",
      "AWS_SECRET_ACCESS_KEY=xyz", "NOTIFY_SOCKET=@a", "no_equals_sign", "HOME=/root"};
  std::vector<char*> environment;
  for (std::string& variable : variables) {
    environment.push_back(variable.data());
  }
  environment.push_back(nullptr);
  forget_environment(environment.data());
  std::vector<std::string> left;
  for (char** next = environment.data(); *next != nullptr; ++next) {
    left.emplace_back(*next);
  }
  EXPECT_EQ(left,
            (std::vector<std::string>{"PATH=/bin", "LC_ALL=C", "NOTIFY_SOCKET=@a", "HOME=/root"}));
  for (const std::size_t i : {0U, 2U, 4U, 6U}) {
    EXPECT_TRUE(std::all_of(variables[i].begin(), variables[i].end(), [](char c) {
      return c == '\0';
    })) << i;
  }
}

TEST(Environment, AnEmptyOneStaysSo) {
  char* none = nullptr;
  forget_environment(&none);
  EXPECT_EQ(none, nullptr);
}

}  // namespace
}  // namespace gpuvm::environment_test
