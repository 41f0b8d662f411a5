// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/rng/rng_device.hpp"

#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace gpuvm {
namespace {

constexpr std::uint32_t kClassOther = 0x00ff00;  // PCI Code and ID Assignment: no class fits

std::uint64_t price_of(const QueueRequest& request) {
  return std::clamp<std::uint64_t>(request.chain.writable.size(), RngDevice::kLeastPrice,
                                   RngDevice::kMostOfRequest);
}

}  // namespace

Result<std::unique_ptr<RngDevice>> RngDevice::create(Options options) {
  UniqueFd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) {
    return fail_errno(ErrorKind::kHost, "Cannot make a timer for the guest's random numbers");
  }
  return std::unique_ptr<RngDevice>(new RngDevice(std::move(options), std::move(timer)));
}

RngDevice::RngDevice(Options options, UniqueFd timer)
    : options_(std::move(options)),
      identity_{.type = virtio_rng::kDeviceType,
                .class_code = kClassOther,
                .features = 0,
                .queues = 1,
                .queue_size = kQueueSize,
                .config_size = 0},
      timer_(std::move(timer)),
      budget_(options_.burst),
      earned_at_(options_.now()) {}

Status RngDevice::host_random(std::span<std::byte> out) {
  while (!out.empty()) {
    const auto got = ::getrandom(out.data(), out.size(), 0);
    if (got < 0 && errno != EINTR) {
      return fail_errno(ErrorKind::kHost, "getrandom");
    }
    out = out.subspan(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  }
  return {};
}

void RngDevice::start(std::uint64_t) {
  state_ = State{};
}

/// The newest first, as RequestSink::release() asks for.
void RngDevice::finish() {
  for (; !state_.waiting.empty(); state_.waiting.pop_back()) {
    state_.waiting.back()->release();
  }
}

/// 5.4.6.1: a buffer has nothing for the device to read, and room for a byte at least.
Result<Execution> RngDevice::execute(QueueRequest& request) {
  if (request.chain.writable.size() == 0) {
    return fail(ErrorKind::kGuest, "A buffer for random bytes has no room for any");
  }
  earn();
  if (!state_.waiting.empty() || !pay(price_of(request))) {
    state_.waiting.push_back(&request);
    delayed_.fetch_add(1, std::memory_order_relaxed);
    if (state_.waiting.size() == 1) {
      arm();
    }
    return Execution::later();
  }
  return Execution::done(TRY(fill(request.chain.writable)));
}

/// What time has brought since the last call, in whole bytes.
void RngDevice::earn() {
  using std::chrono::nanoseconds;
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const auto now = options_.now();
  // More than a second brings no more than one, and more than the burst nothing.
  const auto passed =
      std::clamp<nanoseconds>(now - earned_at_, nanoseconds(0), nanoseconds(kSecond));
  const auto earned =
      static_cast<std::uint64_t>(passed.count()) * options_.bytes_per_second / kSecond;
  if (earned > 0) {
    budget_ = std::min(budget_ + earned, options_.burst);
    earned_at_ = now;
  }
}

bool RngDevice::pay(std::uint64_t price) {
  if (budget_ < price) {
    return false;
  }
  budget_ -= price;
  return true;
}

Result<std::uint32_t> RngDevice::fill(const GuestBuffer& buffer) {
  std::array<std::byte, kMostOfRequest> bytes;
  const auto wanted = std::span(bytes).first(
      static_cast<std::size_t>(std::min<std::uint64_t>(buffer.size(), bytes.size())));
  TRY(options_.fill(wanted));
  const auto written = static_cast<std::uint32_t>(buffer.fill(wanted));
  bytes_.fetch_add(written, std::memory_order_relaxed);
  return written;
}

/// The timer goes off when the oldest request can be paid.
void RngDevice::arm() {
  constexpr std::uint64_t kSecond = 1'000'000'000;
  const std::uint64_t price = price_of(*state_.waiting.front());
  const std::uint64_t missing = price - std::min(price, budget_);
  const std::uint64_t wait =
      std::max<std::uint64_t>(missing * kSecond / options_.bytes_per_second, 1);
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(wait / kSecond);
  when.it_value.tv_nsec = static_cast<long>(wait % kSecond);
  ::timerfd_settime(timer_.get(), 0, &when, nullptr);
}

pollfd RngDevice::wanted() {
  return {.fd = state_.waiting.empty() ? -1 : timer_.get(), .events = POLLIN, .revents = 0};
}

Status RngDevice::serve(short) {
  std::uint64_t expirations = 0;
  [[maybe_unused]] const auto got = ::read(timer_.get(), &expirations, sizeof expirations);
  earn();
  while (!state_.waiting.empty() && pay(price_of(*state_.waiting.front()))) {
    QueueRequest* const request = state_.waiting.front();
    const auto written = TRY(fill(request->chain.writable));
    state_.waiting.pop_front();
    request->complete(written);
  }
  if (!state_.waiting.empty()) {
    arm();
  }
  return {};
}

void RngDevice::inspect(InspectNode& node) const {
  node.field("bytes", bytes_.load(std::memory_order_relaxed));
  node.field("delayed_requests", delayed_.load(std::memory_order_relaxed));
  node.field("bytes_per_second", options_.bytes_per_second);
}

}  // namespace gpuvm
