// SPDX-License-Identifier: Apache-2.0
#include "vmm/host_map/read_only_host.hpp"

#include <cerrno>

namespace gpuvm {
namespace {

/// Nothing can lie below it: whoever opens a path of the host by itself finds no file of ours.
constexpr const char* kNowhere = "/dev/null/saved-host";

Error only_saved(std::string_view what) {
  return fail(ErrorKind::kHost, "{}: a saved host is only looked at", what);
}

}  // namespace

ReadOnlyHost::ReadOnlyHost() : HostSystem(kNowhere) {}

Status ReadOnlyHost::write(std::string_view absolute, std::string_view) const {
  return only_saved(absolute);
}

Result<bool> ReadOnlyHost::write_within(std::string_view absolute, std::string_view,
                                        std::chrono::milliseconds) const {
  return only_saved(absolute);
}

int ReadOnlyHost::try_write(std::string_view, std::string_view) const {
  return EROFS;
}

Status ReadOnlyHost::write_bytes(std::string_view absolute, std::uint64_t,
                                 std::span<const std::byte>) const {
  return only_saved(absolute);
}

Status ReadOnlyHost::load_module(const std::string& name) const {
  return only_saved(name);
}

}  // namespace gpuvm
