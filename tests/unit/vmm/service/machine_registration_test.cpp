// SPDX-License-Identifier: Apache-2.0
// A guest comes to machined and goes again; and nothing waits for a bus that does not answer.
#include "vmm/service/machine_registration.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <optional>

#include "tests/unit/vmm/service/fake_machined.hpp"
#include "vmm/base/unique_fd.hpp"

namespace gpuvm::machine_registration_test {
namespace {

using Clock = std::chrono::steady_clock;
using testing::ElementsAre;

MachineRegistration::Machine machine() {
  MachineRegistration::Machine made;
  made.name = "main";
  for (std::size_t i = 0; i < made.id.size(); ++i) {
    made.id[i] = static_cast<std::byte>(i + 1);
  }
  return made;
}

std::string registered() {
  return fmt::format("RegisterMachine main 0102030405060708090a0b0c0d0e0f10 gpuvm vm {}",
                     ::getpid());
}

TEST(MachineRegistration, ComesAndGoes) {
  if (!test::FakeMachined::is_possible()) {
    GTEST_SKIP() << "dbus-daemon is missing";
  }
  test::FakeMachined machined;
  {
    const MachineRegistration registration(machine());
    EXPECT_THAT(machined.calls(1), ElementsAre(registered()));
  }
  EXPECT_THAT(machined.calls(2), ElementsAre(registered(), "UnregisterMachine main"));
}

TEST(MachineRegistration, AMachinedThatDoesNotAnswer) {
  if (!test::FakeMachined::is_possible()) {
    GTEST_SKIP() << "dbus-daemon is missing";
  }
  test::FakeMachined machined(test::FakeMachined::Says::kNothing);
  const auto begin = Clock::now();
  {
    const MachineRegistration registration(machine());
    EXPECT_LT(Clock::now() - begin, std::chrono::seconds(1)) << "its making waits for nothing";
    machined.calls(1);
  }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(15));
  EXPECT_THAT(machined.calls(2), ElementsAre(registered(), "UnregisterMachine main"))
      << "it may have come to it later";
}

TEST(MachineRegistration, AnotherMachineOfTheNameStays) {
  if (!test::FakeMachined::is_possible()) {
    GTEST_SKIP() << "dbus-daemon is missing";
  }
  test::FakeMachined machined(test::FakeMachined::Says::kNo);
  {
    const MachineRegistration registration(machine());
    machined.calls(1);
  }
  EXPECT_THAT(machined.calls(1), ElementsAre(registered()));
}

TEST(MachineRegistration, NoBusAtAll) {
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nowhere/bus", 1);
  { const MachineRegistration registration(machine()); }
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", "no address", 1);
  { const MachineRegistration registration(machine()); }
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
}

// Whoever listens there takes the connection and says nothing: sd-bus alone would wait for 90 s.
TEST(MachineRegistration, ABusThatSaysNothing) {
  const std::string path = testing::TempDir() + "bus-" + std::to_string(::getpid());
  const UniqueFd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  std::memcpy(name.sun_path, path.data(), path.size());
  ::unlink(path.c_str());
  ASSERT_EQ(::bind(listener.get(), reinterpret_cast<const sockaddr*>(&name), sizeof(name)), 0);
  ASSERT_EQ(::listen(listener.get(), 4), 0);
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + path).c_str(), 1);
  const auto begin = Clock::now();
  { const MachineRegistration registration(machine()); }
  EXPECT_LT(Clock::now() - begin, std::chrono::seconds(15));
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  ::unlink(path.c_str());
}

}  // namespace
}  // namespace gpuvm::machine_registration_test
