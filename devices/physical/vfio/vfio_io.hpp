// SPDX-License-Identifier: Apache-2.0
// System calls on VFIO file descriptors: interrupted calls are repeated, answers that grow are
// asked for again, busy devices are waited for.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"

namespace gpuvm::vfio {

/// An ioctl whose argument starts with a 32-bit argsz, as a function: 0 or an errno value.
using SizedCall = std::function<int(std::span<std::byte> argument)>;

/// Calls with `seed` as the argument (argsz filled in), and again with a longer one as long as the
/// kernel answers that argsz was too small (by raising it, or ENOSPC). Yields the whole answer.
/// `what` starts the message of an error (kHost).
Result<std::vector<std::byte>> call_sized(const SizedCall& call, std::span<const std::byte> seed,
                                          const std::string& what);

/// ioctl(2), repeated on EINTR: 0 or more, or minus an errno value.
int call_ioctl(int fd, unsigned long request, const void* argument);
int call_ioctl(int fd, unsigned long request, int argument);

constexpr int kBusyAttempts = 10;
constexpr std::chrono::milliseconds kBusyPause{50};
/// Repeats `attempt` (0 or an errno value) while it says EBUSY or EAGAIN: the kernel only tries its
/// locks during a reset, and a fault on a BAR elsewhere makes it give up. Yields the last answer.
int retry_while_busy(const std::function<int()>& attempt,
                     const std::function<void(std::chrono::milliseconds)>& sleep);

/// "Hot reset of NAME failed: …" of an errno value, with who is in the way where that is EAGAIN.
Error reset_error(ErrorKind kind, const std::string& reset, const std::string& name, int error);

/// Enables interrupt vectors by `enable(count)`: 0, minus an errno value, or how many could be had
/// instead; the kernel has then enabled none (Linux, drivers/vfio/pci/vfio_pci_intrs.c,
/// vfio_msi_enable), and is asked for as many, if that is at least `least`. Yields how many are
/// enabled, or minus an errno value: ENOSPC where they are too few.
int enable_as_many(const std::function<int(int count)>& enable, int wanted, int least);

}  // namespace gpuvm::vfio
