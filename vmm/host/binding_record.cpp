// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/binding_record.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <sstream>
#include <system_error>

namespace gpuvm {
namespace {

constexpr std::string_view kLastLine = "end";

// Another process may have removed the file between our open and our lock.
bool is_still_at(int fd, const std::string& path) {
  struct stat ours {};
  struct stat there {};
  return ::fstat(fd, &ours) == 0 && ::stat(path.c_str(), &there) == 0 &&
         ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

Result<UniqueFd> open_locked(const std::string& path, const Bdf& bdf) {
  constexpr int kAttempts = 8;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    UniqueFd fd(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!fd) {
      return fail_errno(ErrorKind::kHost, "Cannot open " + path + " (root is needed to bind)");
    }
    if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      return fail(ErrorKind::kHost,
                  "{} is already managed by another gpuvm, which holds {}: stop that guest first",
                  bdf.to_string(), path);
    }
    if (is_still_at(fd.get(), path)) {
      return fd;
    }
  }
  return fail(ErrorKind::kHost, "{} keeps being replaced by another process", path);
}

}  // namespace

std::string BindingRecord::to_text() const {
  return fmt::format("driver={}\ndriver_override={}\n{}\n", driver, driver_override, kLastLine);
}

std::optional<BindingRecord> BindingRecord::parse(std::string_view text) {
  BindingRecord record;
  std::istringstream lines{std::string(text)};
  bool is_complete = false;
  for (std::string line; std::getline(lines, line);) {
    const auto equals = line.find('=');
    const std::string key = line.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : line.substr(equals + 1);
    // The values become parts of sysfs paths: nothing may climb out.
    if (value.find('/') != std::string::npos) {
      return std::nullopt;
    }
    if (key == "driver") {
      record.driver = value;
    } else if (key == "driver_override") {
      record.driver_override = value;
    }
    is_complete = line == kLastLine;
  }
  return is_complete ? std::optional(record) : std::nullopt;
}

Result<BindingFile> BindingFile::claim(const HostSystem& host, const Bdf& bdf) {
  const std::string directory = host.path(kBindingDirectory);
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) {
    return fail(ErrorKind::kHost, "Cannot create {}: {} (root is needed to bind)", directory,
                error.message());
  }
  const std::string path = directory + "/" + bdf.to_string() + ".binding";
  BindingFile file(TRY(open_locked(path, bdf)), path);
  TRY(file.load());
  return file;
}

Status BindingFile::load() {
  std::array<char, 1024> buffer{};
  const ssize_t got = ::pread(fd_.get(), buffer.data(), buffer.size(), 0);
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + path_);
  }
  record_ = BindingRecord::parse(std::string_view(buffer.data(), static_cast<std::size_t>(got)));
  return {};
}

Status BindingFile::save(const BindingRecord& record) {
  const std::string text = record.to_text();
  const bool done =
      ::ftruncate(fd_.get(), 0) == 0 &&
      ::pwrite(fd_.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()) &&
      ::fsync(fd_.get()) == 0;
  if (!done) {
    return fail_errno(ErrorKind::kHost, "Cannot write " + path_);
  }
  record_ = record;
  return {};
}

void BindingFile::remove() {
  ::unlink(path_.c_str());
}

}  // namespace gpuvm
