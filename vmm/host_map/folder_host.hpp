// SPDX-License-Identifier: Apache-2.0
// FolderHost: a folder with a copy of another host's /sys (and /proc and /dev), in the place of the
// host. It is somebody else's and hostile: nothing outside the folder is reached whatever its links
// say (openat2(2), RESOLVE_IN_ROOT), nothing but regular files and folders is read, and what is
// there is only looked at.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/base/unique_fd.hpp"
#include "vmm/host_map/read_only_host.hpp"

namespace gpuvm {

/// Any thread.
class FolderHost final : public ReadOnlyHost {
 public:
  /// The folder has either sys/bus/pci/devices, and then stands for "/", or bus/pci/devices, and
  /// then stands for "/sys". Errors: kConfig: neither; it cannot be opened; kHost: the kernel is
  /// too old to look at it safely (Linux 5.6).
  static Result<FolderHost> open(const std::string& folder);

  bool exists(std::string_view absolute) const override;
  Result<std::string> read(std::string_view absolute) const override;
  Result<std::vector<std::byte>> read_bytes(std::string_view absolute,
                                            std::size_t size) const override;
  std::vector<std::string> list(std::string_view absolute) const override;
  std::optional<std::string> link_text(std::string_view absolute) const override;

 private:
  FolderHost(UniqueFd folder, bool is_sysfs);
  /// Errno where it cannot be opened.
  UniqueFd open_below(std::string_view absolute, unsigned flags) const;

  UniqueFd folder_;
  bool is_sysfs_;  ///< the folder is /sys, not /
};

}  // namespace gpuvm
