// SPDX-License-Identifier: Apache-2.0
#include "devices/platform/firmware_ports.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "vmm/base/log.hpp"
#include "vmm/base/output_file.hpp"

namespace gpuvm {
namespace {

constexpr std::size_t kLongestLine = 1024;
constexpr std::uint8_t kFastReset = 1u << 0;
constexpr std::uint8_t kA20Open = 1u << 1;

}  // namespace

Result<std::unique_ptr<DebugConsolePort>> DebugConsolePort::create(const std::string& path,
                                                                   std::uint64_t most) {
  UniqueFd fd = TRY(open_output(
      path,
      {.start = OutputRules::Start::kEmpty, .nonblocking = true, .kind = ErrorKind::kConfig}));
  return std::unique_ptr<DebugConsolePort>(new DebugConsolePort(std::move(fd), most));
}

/// The line in which a firmware hangs is the one that people look for.
DebugConsolePort::~DebugConsolePort() {
  flush_line();
}

IoStatus DebugConsolePort::read(std::uint64_t, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{kPresent});
  return IoStatus::kOk;
}

IoStatus DebugConsolePort::write(std::uint64_t, std::span<const std::byte> in) {
  const MutexLock lock(mutex_);
  for (const std::byte byte : in) {
    line_ += static_cast<char>(byte);
    if (byte == std::byte{'\n'} || line_.size() >= kLongestLine) {
      flush_line();
    }
  }
  bytes_ += in.size();
  return IoStatus::kOk;
}

void DebugConsolePort::flush_line() {
  if (line_.size() > left_) {
    const bool is_first = std::exchange(left_, 0) > 0;
    line_ = is_first ? "\n[gpuvm: no more is kept of it in this run]\n" : "";
    if (is_first) {
      log::warn("The firmware's log has its most, {} MiB; what the guest adds is dropped",
                most_ >> 20);
    }
  } else {
    left_ -= line_.size();
  }
  // What a full disk or pipe does not take is lost: the guest must not wait for a reader.
  [[maybe_unused]] const ssize_t done = ::write(fd_.get(), line_.data(), line_.size());
  line_.clear();
}

void DebugConsolePort::inspect(InspectNode& node) const {
  node.field("bytes", bytes_.load());
}

IoStatus FastA20Port::read(std::uint64_t, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0});
  out[0] = std::byte{kA20Open};
  return IoStatus::kOk;
}

IoStatus FastA20Port::write(std::uint64_t, std::span<const std::byte> in) {
  if (in.size() != 1) {
    return IoStatus::kInvalidSize;
  }
  if ((std::to_integer<std::uint8_t>(in[0]) & kFastReset) != 0 && requests_.reset) {
    requests_.reset();
  }
  return IoStatus::kOk;
}

IoStatus KeyboardResetPort::read(std::uint64_t, std::span<std::byte> out) {
  std::fill(out.begin(), out.end(), std::byte{0xff});
  return IoStatus::kOk;
}

IoStatus KeyboardResetPort::write(std::uint64_t, std::span<const std::byte> in) {
  if (in.size() == 1 && in[0] == std::byte{kPulseReset} && requests_.reset) {
    requests_.reset();
  }
  return IoStatus::kOk;
}

}  // namespace gpuvm
