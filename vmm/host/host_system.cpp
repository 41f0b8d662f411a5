// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_system.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "vmm/base/file.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/patient_write.hpp"

namespace gpuvm {
namespace {

/// What a killed child that the kernel lets go needs to be gone, with much to spare.
constexpr std::chrono::milliseconds kKillTime{1000};

bool ends_within(int process, std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    struct pollfd event {
      .fd = process, .events = POLLIN, .revents = 0
    };
    const int ready = ::poll(&event, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
    if (ready > 0) {
      return true;
    }
    if (ready == 0 || errno != EINTR) {
      return false;
    }
  }
}

/// Its wait status.
int wait_status(pid_t child) {
  int status = -1;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return status;
}

// The child sees a fixed environment: the caller's PATH must not decide what runs as root.
Status run_and_wait(const char* program, std::array<char*, 5>& arguments,
                    std::chrono::milliseconds limit) {
  std::array<char, 32> search_path{"PATH=/usr/sbin:/usr/bin:/sbin"};
  std::array<char*, 2> environment{search_path.data(), nullptr};
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, program, nullptr, nullptr, arguments.data(), environment.data());
  if (error != 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot run {}", program), error);
  }
  const UniqueFd handle(static_cast<int>(::syscall(SYS_pidfd_open, child, 0U)));
  // Linux 5.3; older kernels have no way to wait with a limit that is none of the whole process.
  if (handle && !ends_within(handle.get(), limit)) {
    ::kill(child, SIGKILL);
    if (!ends_within(handle.get(), kKillTime)) {
      return fail(ErrorKind::kHost,
                  "{} has not ended for {} s, and cannot be killed: it sleeps in "
                  "the kernel (`dmesg | tail` may say why)",
                  program, limit.count() / 1000);
    }
    wait_status(child);
    return fail(ErrorKind::kHost, "{} had not ended after {} s, and was killed", program,
                limit.count() / 1000);
  }
  const int status = wait_status(child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    return fail(ErrorKind::kHost, "{} failed (wait status {:#x})", program, status);
  }
  return {};
}

}  // namespace

std::string HostSystem::path(std::string_view absolute) const {
  return root_ + std::string(absolute);
}

bool HostSystem::exists(std::string_view absolute) const {
  return ::access(path(absolute).c_str(), F_OK) == 0;
}

Result<std::string> HostSystem::read(std::string_view absolute) const {
  return read_attribute(path(absolute));
}

std::optional<std::uint64_t> HostSystem::read_number(std::string_view absolute) const {
  const auto text = read(absolute);
  if (!text) {
    return std::nullopt;
  }
  std::string_view digits = *text;
  int base = 10;
  if (digits.starts_with("0x")) {
    digits.remove_prefix(2);
    base = 16;
  }
  std::uint64_t value = 0;
  const char* const end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, value, base);
  if (error != std::errc{} || stop != end) {
    return std::nullopt;
  }
  return value;
}

std::vector<std::string> HostSystem::list(std::string_view absolute) const {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(path(absolute), error);
  while (!error && entry != std::filesystem::directory_iterator()) {
    names.push_back(entry->path().filename().string());
    entry.increment(error);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::string> HostSystem::link_text(std::string_view absolute) const {
  std::array<char, 4096> target{};
  const ssize_t length = ::readlink(path(absolute).c_str(), target.data(), target.size());
  if (length <= 0) {
    return std::nullopt;
  }
  return std::string(target.data(), static_cast<std::size_t>(length));
}

std::optional<std::string> HostSystem::link_name(std::string_view absolute) const {
  const auto text = link_text(absolute);
  if (!text) {
    return std::nullopt;
  }
  return text->substr(text->find_last_of('/') + 1);
}

Status HostSystem::write(std::string_view absolute, std::string_view text) const {
  return write_attribute(path(absolute), text);
}

Result<bool> HostSystem::write_within(std::string_view absolute, std::string_view text,
                                      std::chrono::milliseconds limit) const {
  return write_patiently(path(absolute), std::string(text), limit);
}

int HostSystem::try_write(std::string_view absolute, std::string_view text) const {
  const auto error =
      try_write_patiently(path(absolute), std::string(text), std::nullopt, kPatience);
  if (!error) {
    log::debug("{}", error.error().to_string());
    return EIO;
  }
  return error->value_or(ETIMEDOUT);
}

Status HostSystem::write_bytes(std::string_view absolute, std::uint64_t offset,
                               std::span<const std::byte> bytes) const {
  const std::string file = path(absolute);
  const std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto error = TRY(try_write_patiently(file, text, offset, kPatience));
  if (error.value_or(ETIMEDOUT) != 0) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + file, error.value_or(ETIMEDOUT));
  }
  return {};
}

Result<std::vector<std::byte>> HostSystem::read_bytes(std::string_view absolute,
                                                      std::size_t size) const {
  const std::string file = path(absolute);
  const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
  std::vector<std::byte> bytes(size);
  const ssize_t got = fd ? ::pread(fd.get(), bytes.data(), bytes.size(), 0) : -1;
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + file);
  }
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

Status HostSystem::load_module(const std::string& name) const {
  std::string program = "/sbin/modprobe";
  std::string end_of_options = "--";
  std::string module_name = name;
  std::array<char*, 5> arguments{program.data(), end_of_options.data(), module_name.data(), nullptr,
                                 nullptr};
  return run_and_wait(program.c_str(), arguments, kPatience);
}

}  // namespace gpuvm
