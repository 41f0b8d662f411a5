// SPDX-License-Identifier: Apache-2.0
// [cloud_init] and ssh_key: what a guest is told at its first boot. The files are read, and judged,
// by vmm/first_boot.
#include "vmm/config/sections.hpp"

namespace gpuvm::config {

Result<CloudInitConfig> read_cloud_init(TableReader table) {
  CloudInitConfig cloud_init;
  cloud_init.user_data = TRY(table.optional_path("user_data"));
  cloud_init.meta_data = TRY(table.optional_path("meta_data"));
  cloud_init.network_config = TRY(table.optional_path("network_config"));
  TRY(table.finish());
  return cloud_init;
}

Result<std::optional<SshKeyConfig>> read_ssh_key(TableReader& root) {
  constexpr std::string_view kRule = "\"auto\" or the path of a public key";
  const auto text = TRY(root.optional_string("ssh_key", kRule));
  if (!text) {
    return std::optional<SshKeyConfig>();
  }
  if (*text == "auto") {
    return std::optional(SshKeyConfig());
  }
  return std::optional(SshKeyConfig{.path = TRY(root.optional_path("ssh_key")).value_or("")});
}

}  // namespace gpuvm::config
