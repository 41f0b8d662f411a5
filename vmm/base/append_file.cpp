// SPDX-License-Identifier: Apache-2.0
#include "vmm/base/append_file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "vmm/base/output_file.hpp"

namespace gpuvm {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool begins_with(std::string_view text, AppendedLines lines) {
  if (lines == AppendedLines::kJson) {
    return text.starts_with('{');
  }
  constexpr std::string_view kDate = "0000-00-00T";
  if (text.size() < kDate.size()) {
    return false;
  }
  for (std::size_t i = 0; i < kDate.size(); ++i) {
    if (kDate[i] == '0' ? !is_digit(text[i]) : text[i] != kDate[i]) {
      return false;
    }
  }
  return true;
}

/// By the open file: another one may have its name meanwhile.
bool holds_such_lines(int fd, AppendedLines lines) {
  const std::string path = fmt::format("/proc/self/fd/{}", fd);
  const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  std::array<char, 16> first{};
  const ssize_t got = file ? ::pread(file.get(), first.data(), first.size(), 0) : -1;
  return got > 0 && begins_with({first.data(), static_cast<std::size_t>(got)}, lines);
}

/// /dev/stderr, say: who led it into a file knows what is there.
bool is_of_kernel(std::string_view path) {
  return (path.starts_with("/dev/") && !path.starts_with("/dev/shm/")) ||
         path.starts_with("/proc/");
}

Status check_lines(int fd, const std::string& path, AppendedLines lines) {
  struct stat found {};
  if (::fstat(fd, &found) != 0) {
    return fail_errno(ErrorKind::kUsage, "Cannot examine " + path);
  }
  if (!S_ISREG(found.st_mode) || found.st_size == 0 || holds_such_lines(fd, lines)) {
    return {};
  }
  return fail(ErrorKind::kUsage,
              "{} is there and holds something else than {}, so nothing is appended: name another "
              "file, or remove it",
              path, lines == AppendedLines::kJson ? "lines of JSON" : "messages with their times");
}

}  // namespace

Result<UniqueFd> open_to_append(const std::string& path, AppendedLines lines,
                                std::string_view option) {
  const OutputRules rules{.start = OutputRules::Start::kAppend, .nonblocking = true};
  UniqueFd file = TRY_CONTEXT(open_output(path, rules), std::string(option));
  if (!is_of_kernel(path)) {
    TRY_CONTEXT(check_lines(file.get(), path, lines), std::string(option));
  }
  return file;
}

}  // namespace gpuvm
