// SPDX-License-Identifier: Apache-2.0
// HostCopy: what was saved of a host's /sys, /proc and /dev, in memory, in the place of the host:
// whatever reads a HostSystem judges a host that is elsewhere. Nothing of it is a file of this
// machine: links are text that nobody follows, and writes fail.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/host_map/read_only_host.hpp"

namespace gpuvm {

/// A folder, a file, or a symbolic link; a function's folder in /sys/bus/pci/devices is a link and
/// has what the link leads to.
struct CopyNode {
  std::optional<std::string> link = {};  ///< what the symbolic link says
  std::optional<std::string> text = {};
  std::optional<std::vector<std::byte>> bytes = {};
  std::map<std::string, CopyNode, std::less<>> children = {};

  bool is_empty_folder() const { return !link && !text && !bytes && children.empty(); }
};

/// Any thread once it is filled.
class HostCopy final : public ReadOnlyHost {
 public:
  HostCopy() = default;
  HostCopy(CopyNode tree, std::vector<std::string> remarks);

  bool exists(std::string_view absolute) const override;
  Result<std::string> read(std::string_view absolute) const override;
  Result<std::vector<std::byte>> read_bytes(std::string_view absolute,
                                            std::size_t size) const override;
  std::vector<std::string> list(std::string_view absolute) const override;
  std::optional<std::string> link_text(std::string_view absolute) const override;

  /// Makes the folders on the way, too. Paths are ours.
  CopyNode& make(std::string_view absolute);
  const CopyNode& tree() const { return tree_; }
  /// What whoever saved it has to say: sentences.
  const std::vector<std::string>& remarks() const { return remarks_; }
  void add_remark(std::string remark) { remarks_.push_back(std::move(remark)); }

 private:
  const CopyNode* find(std::string_view absolute) const;

  CopyNode tree_;
  std::vector<std::string> remarks_;
};

}  // namespace gpuvm
