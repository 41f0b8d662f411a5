// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

namespace gpuvm {
namespace {

/// A large host's /proc/iomem and /proc/interrupts have some 100 KiB.
constexpr std::size_t kAttributeMax = std::size_t{4} << 20;

Status read_exactly(int fd, std::vector<std::byte>& bytes, const std::string& path,
                    ErrorKind kind) {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(fd, bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return fail_errno(kind, "Cannot read " + path);
    }
    if (got == 0) {
      return fail(kind, "{} became shorter while it was read", path);
    }
    done += static_cast<std::size_t>(got);
  }
  return {};
}

}  // namespace

Result<std::vector<std::byte>> read_file(const std::string& path, std::uint64_t max_bytes,
                                         ErrorKind kind, const FileOpener& open) {
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  const UniqueFd fd =
      open ? TRY(open(path)) : UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) {
    return fail_errno(kind, "Cannot open " + path);
  }
  return read_open_file(fd.get(), path, max_bytes, kind);
}

Result<std::vector<std::byte>> read_open_file(int fd, const std::string& path,
                                              std::uint64_t max_bytes, ErrorKind kind) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) {
    return fail_errno(kind, "Cannot examine " + path);
  }
  if (S_ISDIR(info.st_mode)) {
    return fail(kind, "{} is not a regular file but a directory", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return fail(kind, "{} is not a regular file", path);
  }
  const auto size = static_cast<std::uint64_t>(info.st_size);
  if (size > max_bytes) {
    return fail(kind, "{} has {} bytes; at most {} are accepted", path, size, max_bytes);
  }
  std::vector<std::byte> bytes(size);
  TRY(read_exactly(fd, bytes, path, kind));
  return bytes;
}

Result<std::string> read_attribute(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot open " + path);
  }
  std::string text;
  std::array<char, 4096> chunk{};
  while (text.size() < kAttributeMax) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return fail_errno(ErrorKind::kHost, "Cannot read " + path);
    }
    if (got == 0) {
      break;
    }
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

Status write_attribute(const std::string& path, std::string_view text) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot open " + path);
  }
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return fail_errno(ErrorKind::kHost, fmt::format("Cannot write \"{}\" to {}", text, path));
  }
  return {};
}

Error new_file_error(ErrorKind kind, const std::string& path) {
  const int number = errno;
  auto error = fail_errno(kind, "Cannot create the new file " + path, number);
  return number == EEXIST
             ? fail(kind, "{}; nothing is overwritten: remove it, or give another name",
                    error.to_string())
             : error;
}

}  // namespace gpuvm
