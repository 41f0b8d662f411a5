// SPDX-License-Identifier: Apache-2.0
#include "vmm/service/service_environment.hpp"

#include <unistd.h>

#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <string_view>
#include <system_error>

namespace gpuvm {
namespace {

constexpr std::chrono::microseconds kShortestWatchdog{1000};
constexpr std::chrono::hours kLongestWatchdog{24};

/// Decimal digits and nothing else.
std::optional<std::int64_t> number_in(const char* text) {
  if (text == nullptr) {
    return std::nullopt;
  }
  const std::string_view digits(text);
  std::int64_t number = 0;
  const auto* const end = digits.data() + digits.size();
  const auto [rest, error] = std::from_chars(digits.data(), end, number);
  return error == std::errc() && rest == end ? std::optional(number) : std::nullopt;
}

}  // namespace

ServiceEnvironment ServiceEnvironment::read(const std::function<const char*(const char*)>& get,
                                            pid_t self) {
  ServiceEnvironment found;
  if (const char* const socket = get("NOTIFY_SOCKET")) {
    found.notify_socket = socket;
  }
  const auto interval = number_in(get("WATCHDOG_USEC"));
  const char* const owner = get("WATCHDOG_PID");
  const bool is_ours = owner == nullptr || number_in(owner) == std::int64_t{self};
  if (interval && is_ours && *interval >= kShortestWatchdog.count() &&
      *interval <= std::chrono::microseconds(kLongestWatchdog).count()) {
    found.watchdog = std::chrono::microseconds(*interval);
  }
  return found;
}

ServiceEnvironment ServiceEnvironment::of_process() {
  return read([](const char* name) { return std::getenv(name); }, ::getpid());
}

}  // namespace gpuvm
