// SPDX-License-Identifier: Apache-2.0
#include "devices/physical/vfio/held_attribute.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/base/units.hpp"

namespace gpuvm::vfio {

Result<HeldAttribute> HeldAttribute::open(const HostSystem& host, const std::string& absolute) {
  std::string path = host.path(absolute);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "Cannot open " + path);
  }
  return HeldAttribute(std::move(fd), std::move(path));
}

Result<std::vector<std::byte>> HeldAttribute::read_bytes(std::size_t size) const {
  std::vector<std::byte> bytes(size);
  ssize_t got = -1;
  do {
    got = ::pread(fd_.get(), bytes.data(), bytes.size(), 0);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    return fail_errno(ErrorKind::kHost, "Cannot read " + path_);
  }
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

Result<std::string> HeldAttribute::read() const {
  const auto bytes = TRY(read_bytes(kPageSize));
  // SAFETY: bytes as characters.
  std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  text.resize(text.find_last_not_of("\n ") + 1);  // npos + 1 is 0
  return text;
}

}  // namespace gpuvm::vfio
