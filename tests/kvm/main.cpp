// SPDX-License-Identifier: Apache-2.0
// Runs the KVM tests; exit status 77 (what CTest and Automake take for "skipped") when every test
// was skipped.
#include <gtest/gtest.h>

namespace {

constexpr int kAllSkipped = 77;

}  // namespace

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  const int status = RUN_ALL_TESTS();
  const auto& results = *::testing::UnitTest::GetInstance();
  const bool nothing_ran = results.test_to_run_count() > 0 &&
                           results.skipped_test_count() == results.test_to_run_count();
  return status == 0 && nothing_ran ? kAllSkipped : status;
}
