// SPDX-License-Identifier: Apache-2.0
// The fake GPU as a child process of a test.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace gpuvm::fake_gpu {

class FakeGpuProcess {
 public:
  /// Starts it with a socket in a folder of its own and waits until it listens; a failure ends the
  /// test program.
  explicit FakeGpuProcess(const std::vector<std::string>& arguments);
  /// Ends it, whatever it does.
  ~FakeGpuProcess();
  FakeGpuProcess(const FakeGpuProcess&) = delete;
  FakeGpuProcess& operator=(const FakeGpuProcess&) = delete;

  const std::string& socket() const { return socket_; }
  const std::string& folder() const { return folder_; }
  void send_signal(int number) const;
  /// Ends it as a crash does, and waits for its end.
  void kill();

 private:
  std::string folder_;
  std::string socket_;
  pid_t child_ = -1;
};

}  // namespace gpuvm::fake_gpu
