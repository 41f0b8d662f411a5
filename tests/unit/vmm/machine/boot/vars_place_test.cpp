// SPDX-License-Identifier: Apache-2.0
// Variables on a file system that is read-only.
#include "vmm/machine/boot/vars_place.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

namespace gpuvm::vars_place_test {
namespace {

using testing::HasSubstr;

std::string refused(const std::string& vars) {
  BootConfig boot;
  boot.vars = vars;
  const auto status = check_vars_place(boot);
  return status ? "" : status.error().to_string();
}

TEST(VarsPlace, WhereThereAreNoneOrTheyCanBeWrittenAllIsWell) {
  EXPECT_TRUE(check_vars_place({}));
  EXPECT_EQ(refused(testing::TempDir() + "/guest.vars"), "");
  EXPECT_EQ(refused("/no/such/folder/guest.vars"), "") << "opening it tells";
}

// sysfs has folders in which nobody makes files; a mount that is read-only takes root.
TEST(VarsPlace, AReadOnlyFileSystemIsToldWithTheServicesOwnFolder) {
  if (::faccessat(AT_FDCWD, "/sys", W_OK, 0) == 0 || errno != EROFS) {
    GTEST_SKIP() << "/sys is not mounted read-only here, as it is in containers";
  }
  ::unsetenv("STATE_DIRECTORY");
  EXPECT_THAT(refused("/sys/guest.vars"), HasSubstr("move it to /var/lib/gpuvm/guest.vars"));
  ::setenv("STATE_DIRECTORY", "/var/lib/gpuvm-x:/var/lib/other", 1);
  EXPECT_THAT(refused("/sys/guest.vars"), HasSubstr("move it to /var/lib/gpuvm-x/guest.vars"));
  ::setenv("STATE_DIRECTORY", "relative", 1);
  EXPECT_THAT(refused("/sys/guest.vars"), HasSubstr("move it to /var/lib/gpuvm/guest.vars"));
  ::unsetenv("STATE_DIRECTORY");
}

}  // namespace
}  // namespace gpuvm::vars_place_test
