// SPDX-License-Identifier: Apache-2.0
// The files of cloud-init's data source NoCloud (cloudinit.readthedocs.io, "NoCloud"), which it
// finds on a volume labelled CIDATA: user-data, meta-data, network-config and vendor-data. User
// data is judged as cloud-init will judge it, by how it begins.
// Missing: whether the keys of a #cloud-config are known; `cloud-init schema` tells that.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.hpp"
#include "vmm/first_boot/fat_volume.hpp"

namespace gpuvm {

inline constexpr std::string_view kNoCloudLabel = "CIDATA";

struct NoCloudInput {
  struct File {
    std::string path;  ///< for messages
    std::string contents;
    std::string place = {};  ///< in the configuration, for messages; empty: the key's name
  };
  std::string guest;  ///< its name
  std::optional<File> user_data = {};
  std::optional<File> meta_data = {};       ///< nothing: instance-id and local-hostname are made
  std::optional<File> network_config = {};  ///< nothing: the volume has none
  std::string ssh_key = {};                 ///< a line of authorized_keys for root; empty: none
};

/// What is wrong with user data, with the line where that is known. Errors: kConfig: YAML that is
/// none, or a beginning that cloud-init does not know.
Status check_user_data(const NoCloudInput::File& file);

/// The volume's files. The made instance-id holds a hash of the contents: with other contents the
/// guest is another instance for cloud-init. Errors: kConfig, that of check_user_data() or for the
/// other files.
Result<std::vector<VolumeFile>> nocloud_files(const NoCloudInput& input);

/// FNV-1a of names and contents.
std::uint64_t hash_of(const std::vector<VolumeFile>& files);

}  // namespace gpuvm
