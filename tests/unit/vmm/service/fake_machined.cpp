// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/vmm/service/fake_machined.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>

namespace gpuvm::test {
namespace {

constexpr const char* kBusProgram = "/usr/bin/dbus-daemon";

int answer_register(sd_bus_message* message, void* data, sd_bus_error* /*error*/) {
  auto* fake = static_cast<FakeMachined*>(data);
  const char* name = "";
  const void* id = nullptr;
  std::size_t id_size = 0;
  const char* service = "";
  const char* kind = "";
  std::uint32_t leader = 0;
  const char* root = "";
  if (sd_bus_message_read(message, "s", &name) < 0 ||
      sd_bus_message_read_array(message, 'y', &id, &id_size) < 0 ||
      sd_bus_message_read(message, "ssus", &service, &kind, &leader, &root) < 0) {
    return -EINVAL;
  }
  std::string hex;
  for (std::size_t i = 0; i < id_size; ++i) {
    hex += fmt::format("{:02x}", static_cast<const std::uint8_t*>(id)[i]);
  }
  fake->note(fmt::format("RegisterMachine {} {} {} {} {}", name, hex, service, kind, leader));
  switch (fake->says()) {
    case FakeMachined::Says::kYes:
      return sd_bus_reply_method_return(message, "o", "/the/machine");
    case FakeMachined::Says::kNo:
      return sd_bus_reply_method_errorf(message, "org.freedesktop.machine1.MachineExists",
                                        "Machine '%s' already exists", name);
    case FakeMachined::Says::kNothing:
      break;
  }
  return 1;
}

int answer_unregister(sd_bus_message* message, void* data, sd_bus_error* /*error*/) {
  const char* name = "";
  if (sd_bus_message_read(message, "s", &name) < 0) {
    return -EINVAL;
  }
  static_cast<FakeMachined*>(data)->note(fmt::format("UnregisterMachine {}", name));
  return sd_bus_reply_method_return(message, "");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#pragma GCC diagnostic ignored "-Wold-style-cast"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
const std::array<sd_bus_vtable, 4> kMethods = {{
    SD_BUS_VTABLE_START(0),
    SD_BUS_METHOD("RegisterMachine", "sayssus", "o", answer_register, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_METHOD("UnregisterMachine", "s", "", answer_unregister, SD_BUS_VTABLE_UNPRIVILEGED),
    SD_BUS_VTABLE_END,
}};
#pragma GCC diagnostic pop

}  // namespace

bool FakeMachined::is_possible() {
  return ::access(kBusProgram, X_OK) == 0;
}

FakeMachined::FakeMachined(Says says) : says_(says) {
  start_bus();
  ::setenv("DBUS_SYSTEM_BUS_ADDRESS", address_.c_str(), 1);
  thread_ = std::thread([this] { serve(); });
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  MutexLock lock(mutex_);
  while (!is_there_) {
    if (!changed_.wait_until(lock, end)) {
      ADD_FAILURE() << "the bus at " << address_ << " has no machined";
      return;
    }
  }
}

FakeMachined::~FakeMachined() {
  {
    const MutexLock lock(mutex_);
    is_ending_ = true;
  }
  thread_.join();
  ::unsetenv("DBUS_SYSTEM_BUS_ADDRESS");
  ::kill(bus_process_, SIGKILL);
  ::waitpid(bus_process_, nullptr, 0);
}

/// It prints its address once it listens.
void FakeMachined::start_bus() {
  std::array<int, 2> pipe{};
  ASSERT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  bus_process_ = ::fork();
  if (bus_process_ == 0) {
    ::dup2(pipe[1], STDOUT_FILENO);
    ::execl(kBusProgram, kBusProgram, "--session", "--nofork", "--nosyslog", "--print-address",
            "--address=unix:tmpdir=/tmp", nullptr);
    ::_exit(127);
  }
  ::close(pipe[1]);
  char c = 0;
  while (::read(pipe[0], &c, 1) == 1 && c != '\n') {
    address_ += c;
  }
  ::close(pipe[0]);
  ASSERT_FALSE(address_.empty());
}

void FakeMachined::serve() {
  constexpr std::uint64_t kLook = 20000;  // us
  sd_bus* bus = nullptr;
  EXPECT_GE(sd_bus_new(&bus), 0);
  EXPECT_GE(sd_bus_set_address(bus, address_.c_str()), 0);
  EXPECT_GE(sd_bus_set_bus_client(bus, 1), 0);
  EXPECT_GE(sd_bus_start(bus), 0);
  EXPECT_GE(sd_bus_add_object_vtable(bus, nullptr, "/org/freedesktop/machine1",
                                     "org.freedesktop.machine1.Manager", kMethods.data(), this),
            0);
  EXPECT_GE(sd_bus_request_name(bus, "org.freedesktop.machine1", 0), 0);
  for (;;) {
    {
      const MutexLock lock(mutex_);
      is_there_ = true;
      changed_.notify_all();
      if (is_ending_) {
        break;
      }
    }
    if (sd_bus_process(bus, nullptr) == 0) {
      sd_bus_wait(bus, kLook);
    }
  }
  sd_bus_flush_close_unref(bus);
}

void FakeMachined::note(std::string call) {
  const MutexLock lock(mutex_);
  calls_.push_back(std::move(call));
  changed_.notify_all();
}

std::vector<std::string> FakeMachined::calls(std::size_t wanted) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  MutexLock lock(mutex_);
  while (calls_.size() < wanted) {
    if (!changed_.wait_until(lock, end)) {
      break;
    }
  }
  return calls_;
}

}  // namespace gpuvm::test
