// SPDX-License-Identifier: Apache-2.0
#include "vmm/host/held_attribute.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

namespace gpuvm {
namespace {

constexpr std::size_t kAttributeBytes = 4096;

}  // namespace

Result<HeldAttribute> HeldAttribute::open(const HostSystem& host, std::string_view absolute) {
  std::string path = host.path(absolute);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot open " + path);
  }
  return HeldAttribute(std::move(path), std::move(fd));
}

Result<UniqueFd> HeldAttribute::duplicate() const {
  UniqueFd second(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  return second ? Result<UniqueFd>(std::move(second))
                : fail_errno(ErrorKind::kHost, "Cannot hand " + path_ + " on");
}

Result<std::vector<std::byte>> HeldAttribute::read_bytes(std::size_t size) const {
  std::vector<std::byte> bytes(size);
  std::size_t done = 0;
  while (done < size) {
    const ssize_t got =
        ::pread(fd_.get(), bytes.data() + done, size - done, static_cast<off_t>(done));
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got < 0) {
      return fail_errno(ErrorKind::kHost, "Cannot read " + path_);
    }
    if (got == 0) {
      break;
    }
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

Result<std::string> HeldAttribute::read() const {
  const auto bytes = TRY(read_bytes(kAttributeBytes));
  std::string text;
  text.reserve(bytes.size());
  for (const std::byte byte : bytes) {
    text.push_back(static_cast<char>(byte));
  }
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

}  // namespace gpuvm
