// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/vfio_io.hpp"

#include <sys/ioctl.h>

#include <cerrno>
#include <cstring>

#include "vmm/base/bytes.hpp"

namespace gpuvm::vfio {
namespace {

// No answer of VFIO is larger: a hot reset set of 256 functions has 2 KiB.
constexpr std::size_t kAnswerMax = 1 << 20;
constexpr int kMaxCalls = 4;

}  // namespace

Result<std::vector<std::byte>> call_sized(const SizedCall& call, std::span<const std::byte> seed,
                                          const std::string& what) {
  std::vector<std::byte> argument(seed.begin(), seed.end());
  std::size_t size = argument.size();
  for (int attempt = 0; attempt < kMaxCalls; ++attempt) {
    argument.assign(seed.begin(), seed.end());
    argument.resize(size);
    store_le(std::span(argument).first(sizeof(std::uint32_t)), size);
    const int error = call(argument);
    if (error != 0 && error != ENOSPC) {
      return fail_errno(ErrorKind::kHost, what, error);
    }
    const auto wanted = static_cast<std::size_t>(
        load_le(std::span<const std::byte>(argument).first(sizeof(std::uint32_t))));
    if (error == 0 && wanted <= size) {
      return argument;
    }
    if (wanted > kAnswerMax) {
      break;
    }
    // ENOSPC without a larger argsz (older hot reset code): double what we offer.
    size = wanted > size ? wanted : size * 2;
  }
  return fail(ErrorKind::kHost, "{}: the kernel's answer keeps growing", what);
}

int call_ioctl(int fd, unsigned long request, const void* argument) {
  int result = 0;
  do {
    // SAFETY: the caller passes the structure that `request` names.
    result = ::ioctl(fd, request, argument);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int call_ioctl(int fd, unsigned long request, int argument) {
  int result = 0;
  do {
    result = ::ioctl(fd, request, argument);
  } while (result < 0 && errno == EINTR);
  return result < 0 ? -errno : result;
}

int retry_while_busy(const std::function<int()>& attempt,
                     const std::function<void(std::chrono::milliseconds)>& sleep) {
  int error = 0;
  for (int round = 0; round < kBusyAttempts; ++round) {
    error = attempt();
    if (error != EBUSY && error != EAGAIN) {
      return error;
    }
    sleep(kBusyPause);
  }
  return error;
}

Error reset_error(ErrorKind kind, const std::string& reset, const std::string& name, int error) {
  const auto what = fmt::format("{} of {} failed", reset, name);
  if (error == EAGAIN) {
    return fail(
        kind,
        "{}: the host's kernel keeps it locked, as while it removes the device or waits for "
        "its driver to let go",
        what);
  }
  return fail_errno(kind, what, error);
}

int enable_as_many(const std::function<int(int count)>& enable, int wanted, int least) {
  // Fewer each time, so it ends.
  for (int count = wanted; count >= least;) {
    const int result = enable(count);
    if (result <= 0) {
      return result == 0 ? count : result;
    }
    if (result >= count) {
      return -EIO;  // no sense in that answer
    }
    count = result;
  }
  return -ENOSPC;
}

}  // namespace gpuvm::vfio
