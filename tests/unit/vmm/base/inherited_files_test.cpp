// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/inherited_files.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <vector>

#include "vmm/base/unique_fd.hpp"

namespace gpuvm::inherited_files_test {
namespace {

bool is_open(int fd) {
  return ::fcntl(fd, F_GETFD) >= 0;
}

/// Its exit status is what `look` says.
int in_child(const std::function<int()>& look) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::_exit(look());
  }
  int status = 0;
  EXPECT_EQ(::waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

std::vector<UniqueFd> some_files() {
  std::vector<UniqueFd> files;
  for (int i = 0; i < 6; ++i) {
    files.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  }
  return files;
}

TEST(CloseInherited, LeavesThoseThatAreKeptInWhateverOrder) {
  const auto files = some_files();
  const int status = in_child([&files] {
    const std::array<int, 4> kept{files[4].get(), 2, files[1].get(), -1};
    close_inherited(kept);
    const bool has_kept = is_open(2) && is_open(files[1].get()) && is_open(files[4].get());
    const bool has_others = is_open(0) || is_open(1) || is_open(files[0].get()) ||
                            is_open(files[2].get()) || is_open(files[3].get()) ||
                            is_open(files[5].get());
    return has_kept && !has_others ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

TEST(CloseInherited, LeavesThoseBelowANumber) {
  const auto files = some_files();
  const int status = in_child([&files] {
    const int from = files[2].get();
    close_inherited({}, static_cast<unsigned>(from));
    const bool has_lower = is_open(2) && is_open(files[1].get());
    return has_lower && !is_open(from) && !is_open(files[5].get()) ? 0 : 1;
  });
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace gpuvm::inherited_files_test
