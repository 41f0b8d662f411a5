// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/host_system.hpp"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <filesystem>
#include <system_error>

#include "vmm/base/file.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host/patient_write.hpp"

namespace gpuvm {
namespace {

// The child sees a fixed environment: the caller's PATH must not decide what runs as root.
Status run_and_wait(const char* program, std::array<char*, 5>& arguments) {
  std::array<char, 32> search_path{"PATH=/usr/sbin:/usr/bin:/sbin"};
  std::array<char*, 2> environment{search_path.data(), nullptr};
  pid_t child = 0;
  const int error =
      ::posix_spawn(&child, program, nullptr, nullptr, arguments.data(), environment.data());
  if (error != 0) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot run {}", program), error);
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) {
      return fail_errno(ErrorKind::kHost, fmt::format("Cannot wait for {}", program));
    }
  }
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
  const std::string file = path(absolute);
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) {
    return errno;
  }
  const ssize_t written = ::write(fd.get(), text.data(), text.size());
  return written < 0 ? errno : written == static_cast<ssize_t>(text.size()) ? 0 : EIO;
}

Status HostSystem::write_bytes(std::string_view absolute, std::uint64_t offset,
                               std::span<const std::byte> bytes) const {
  const std::string file = path(absolute);
  const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd || ::pwrite(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)) !=
                 static_cast<ssize_t>(bytes.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + file);
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
  return run_and_wait(program.c_str(), arguments);
}

}  // namespace gpuvm
