// SPDX-License-Identifier: Apache-2.0
// What the environment says, right and wrong (sd_watchdog_enabled(3)).
#include "vmm/service/service_environment.hpp"

#include <gtest/gtest.h>

#include <map>

namespace gpuvm::service_environment_test {
namespace {

using std::chrono::microseconds;
using Variables = std::map<std::string, std::string>;

ServiceEnvironment read(const Variables& variables) {
  return ServiceEnvironment::read(
      [&variables](const char* name) {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
      },
      7);
}

TEST(ServiceEnvironment, NothingIsSet) {
  EXPECT_EQ(read({}).notify_socket, "");
  EXPECT_FALSE(read({}).watchdog);
}

TEST(ServiceEnvironment, AsSystemdSetsIt) {
  const auto found = read({{"NOTIFY_SOCKET", "/run/systemd/notify"},
                           {"WATCHDOG_USEC", "30000000"},
                           {"WATCHDOG_PID", "7"}});
  EXPECT_EQ(found.notify_socket, "/run/systemd/notify");
  EXPECT_EQ(found.watchdog, microseconds(30000000));
  EXPECT_EQ(read({{"WATCHDOG_USEC", "1000"}}).watchdog, microseconds(1000));
}

TEST(ServiceEnvironment, AWatchdogOfAnotherProcess) {
  for (const char* pid : {"8", "", "7x", "-7"}) {
    EXPECT_FALSE(read({{"WATCHDOG_USEC", "1000000"}, {"WATCHDOG_PID", pid}}).watchdog) << pid;
  }
}

// Of one that is shorter there would be no end of notifications.
TEST(ServiceEnvironment, WatchdogsThatAreNone) {
  for (const char* interval : {"", "0", "1", "999", "-1000000", "1e6", "1000000us", " 1000000",
                               "86400000001", "99999999999999999999999"}) {
    EXPECT_FALSE(read({{"WATCHDOG_USEC", interval}}).watchdog) << interval;
  }
  EXPECT_TRUE(read({{"WATCHDOG_USEC", "86400000000"}}).watchdog);
}

}  // namespace
}  // namespace gpuvm::service_environment_test
