// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/folder_host.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <memory>

namespace gpuvm {
namespace {

constexpr std::string_view kSysfs = "/sys";
constexpr std::size_t kMostText = std::size_t{4} << 20;
constexpr std::size_t kMostNames = 65536;
constexpr std::size_t kLongestLinkText = 4096;

int open_in(int folder, const std::string& relative, unsigned flags) {
  struct open_how how {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, folder, relative.c_str(), &how, sizeof how));
}

bool is_regular(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
}

/// Up to `most` bytes. Errors: kHost.
Result<std::string> read_up_to(int fd, std::size_t most, std::string_view name) {
  std::string text;
  std::array<char, 4096> chunk{};
  while (text.size() < most) {
    const auto got = ::read(fd, chunk.data(), std::min(chunk.size(), most - text.size()));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return fail_errno(ErrorKind::kHost, fmt::format("Cannot read {}", name));
    }
    if (got == 0) {
      break;
    }
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

}  // namespace

FolderHost::FolderHost(UniqueFd folder, bool is_sysfs)
    : folder_(std::move(folder)), is_sysfs_(is_sysfs) {}

Result<FolderHost> FolderHost::open(const std::string& folder) {
  UniqueFd fd(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kConfig, "Cannot open the folder " + folder);
  }
  for (const bool is_sysfs : {false, true}) {
    const UniqueFd devices(open_in(fd.get(), is_sysfs ? "bus/pci/devices" : "sys/bus/pci/devices",
                                   O_PATH | O_DIRECTORY));
    if (devices) {
      return FolderHost(std::move(fd), is_sysfs);
    }
    if (errno == ENOSYS) {
      return fail(ErrorKind::kHost,
                  "This kernel cannot look at a foreign folder safely (openat2, Linux 5.6): save "
                  "the host with gpuvm devices --save FILE instead");
    }
  }
  return fail(ErrorKind::kConfig,
              "{} is no copy of a sysfs: it has neither bus/pci/devices nor sys/bus/pci/devices",
              folder);
}

UniqueFd FolderHost::open_below(std::string_view absolute, unsigned flags) const {
  if (is_sysfs_) {
    if (!absolute.starts_with(kSysfs)) {
      return UniqueFd();
    }
    absolute.remove_prefix(kSysfs.size());
  }
  absolute.remove_prefix(std::min(absolute.find_first_not_of('/'), absolute.size()));
  return UniqueFd(open_in(folder_.get(), absolute.empty() ? "." : std::string(absolute), flags));
}

bool FolderHost::exists(std::string_view absolute) const {
  return static_cast<bool>(open_below(absolute, O_PATH));
}

Result<std::string> FolderHost::read(std::string_view absolute) const {
  // O_NONBLOCK: opening a FIFO must not wait for its writer.
  const UniqueFd fd = open_below(absolute, O_RDONLY | O_NONBLOCK);
  if (!fd || !is_regular(fd.get())) {
    return fail(ErrorKind::kHost, "The saved host has no {}", absolute);
  }
  auto text = TRY(read_up_to(fd.get(), kMostText, absolute));
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

Result<std::vector<std::byte>> FolderHost::read_bytes(std::string_view absolute,
                                                      std::size_t size) const {
  const UniqueFd fd = open_below(absolute, O_RDONLY | O_NONBLOCK);
  if (!fd || !is_regular(fd.get())) {
    return fail(ErrorKind::kHost, "The saved host has no {}", absolute);
  }
  const auto text = TRY(read_up_to(fd.get(), std::min(size, kMostText), absolute));
  const auto* const begin = reinterpret_cast<const std::byte*>(text.data());
  return std::vector<std::byte>(begin, begin + text.size());
}

std::vector<std::string> FolderHost::list(std::string_view absolute) const {
  UniqueFd fd = open_below(absolute, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  std::vector<std::string> names;
  if (!fd) {
    return names;
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(fd.get()), ::closedir);
  if (!folder) {
    return names;
  }
  static_cast<void>(fd.release());  // the folder's now
  while (const dirent* const entry = ::readdir(folder.get())) {
    const std::string_view name(static_cast<const char*>(entry->d_name));
    if (name != "." && name != ".." && names.size() < kMostNames) {
      names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<std::string> FolderHost::link_text(std::string_view absolute) const {
  const UniqueFd fd = open_below(absolute, O_PATH | O_NOFOLLOW);
  std::array<char, kLongestLinkText> target{};
  const ssize_t length = fd ? ::readlinkat(fd.get(), "", target.data(), target.size()) : -1;
  return length > 0 ? std::optional(std::string(target.data(), static_cast<std::size_t>(length)))
                    : std::nullopt;
}

}  // namespace gpuvm
