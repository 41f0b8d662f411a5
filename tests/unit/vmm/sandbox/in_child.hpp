// SPDX-License-Identifier: Apache-2.0
// What a test does in a process of its own, since nobody gets out of a sandbox again.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>

namespace gpuvm::sandbox {

/// It has a thread of its own in each process, and calls handlers of signals when it wants to.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kHasThreadSanitizer = true;
#elif defined(__has_feature)
inline constexpr bool kHasThreadSanitizer = __has_feature(thread_sanitizer);
#else
inline constexpr bool kHasThreadSanitizer = false;
#endif

/// How a child has ended, and what it had to say.
struct ChildEnd {
  int status = 0;  ///< of waitpid(2)
  std::string said;
  bool ended_well() const { return WIFEXITED(status) && WEXITSTATUS(status) == 0; }
};

/// `work(fd)` runs in the child; what it writes to the descriptor is `said`.
template <class Work>
ChildEnd in_child(const Work& work) {
  std::array<int, 2> ends{-1, -1};
  ChildEnd end;
  if (::pipe(ends.data()) != 0) {
    return {.status = -1, .said = "no pipe"};
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(ends[0]);
    work(ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  std::array<char, 4096> bytes{};
  ssize_t got = 0;
  while ((got = ::read(ends[0], bytes.data(), bytes.size())) > 0) {
    end.said.append(bytes.data(), static_cast<std::size_t>(got));
  }
  ::close(ends[0]);
  ::waitpid(child, &end.status, 0);
  return end;
}

inline void say(int fd, const std::string& text) {
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
}

}  // namespace gpuvm::sandbox
