// SPDX-License-Identifier: Apache-2.0
#include "tests/fake_gpu/fake_gpu_process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

namespace gpuvm::fake_gpu {
namespace {

void require(bool ok, const char* what) {
  if (!ok) {
    std::perror(what);
    std::abort();
  }
}

}  // namespace

FakeGpuProcess::FakeGpuProcess(const std::vector<std::string>& arguments) {
  std::string pattern = (std::filesystem::temp_directory_path() / "fake-gpu-XXXXXX").string();
  require(::mkdtemp(pattern.data()) != nullptr, "mkdtemp");
  folder_ = pattern;
  socket_ = folder_ + "/gpu.sock";
  std::vector<std::string> all = {GPUVM_FAKE_GPU, "--socket", socket_};
  all.insert(all.end(), arguments.begin(), arguments.end());
  std::vector<char*> pointers;
  for (std::string& argument : all) {
    pointers.push_back(argument.data());
  }
  pointers.push_back(nullptr);
  std::array<int, 2> ends{};
  require(::pipe2(ends.data(), O_CLOEXEC) == 0, "pipe2");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  require(::posix_spawn(&child_, GPUVM_FAKE_GPU, &actions, nullptr, pointers.data(), environ) == 0,
          "posix_spawn");
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::array<char, 16> line{};
  require(::read(ends[0], line.data(), line.size()) > 0, "The fake GPU does not listen");
  ::close(ends[0]);
}

FakeGpuProcess::~FakeGpuProcess() {
  kill();
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

void FakeGpuProcess::send_signal(int number) const {
  require(::kill(child_, number) == 0, "kill");
}

void FakeGpuProcess::kill() {
  if (child_ > 0) {
    ::kill(child_, SIGKILL);
    ::waitpid(child_, nullptr, 0);
    child_ = -1;
  }
}

}  // namespace gpuvm::fake_gpu
