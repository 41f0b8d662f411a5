// SPDX-License-Identifier: Apache-2.0
// [cloud_init] and ssh_key: what a guest is told at its first boot. The files are read, and judged,
// by vmm/first_boot.
#include "vmm/config/sections.hpp"

namespace gpuvm::config {

namespace {

/// The key itself, as people paste it.
bool is_pasted_key(std::string_view text) {
  return text.find(' ') != std::string_view::npos &&
         (text.starts_with("ssh-") || text.starts_with("ecdsa-") || text.starts_with("sk-"));
}

/// The path of a file for cloud-init, not what would be in it.
Result<std::optional<std::string>> read_seed_path(TableReader& table, std::string_view key) {
  constexpr std::string_view kPathRule = "the path of a file";
  if (table.holds_string(key)) {
    const auto text = TRY(table.text(key, kPathRule));
    if (text.starts_with('#') || text.find('\n') != std::string::npos) {
      return table.must_be(key, kPathRule, "its text",
                           ": write that into a file beside this one, and name the file");
    }
  }
  return table.optional_path(key);
}

}  // namespace

Result<CloudInitConfig> read_cloud_init(TableReader table) {
  CloudInitConfig cloud_init;
  cloud_init.user_data = TRY(read_seed_path(table, "user_data"));
  cloud_init.user_data_place = table.place_of_value("user_data");
  cloud_init.meta_data = TRY(read_seed_path(table, "meta_data"));
  cloud_init.meta_data_place = table.place_of_value("meta_data");
  cloud_init.network_config = TRY(read_seed_path(table, "network_config"));
  cloud_init.network_config_place = table.place_of_value("network_config");
  TRY(table.finish());
  return cloud_init;
}

Result<std::optional<SshKeyConfig>> read_ssh_key(TableReader& root) {
  constexpr std::string_view kRule = "\"auto\" or the path of a public key";
  const auto text = TRY(root.optional_string("ssh_key", kRule));
  if (!text) {
    return std::optional<SshKeyConfig>();
  }
  SshKeyConfig key;
  key.place = root.place_of_value("ssh_key");
  if (is_pasted_key(*text)) {
    return root.must_be("ssh_key", kRule, "the key itself",
                        ": write it into a file, such as me.pub beside this one, and name that");
  }
  if (*text != "auto") {
    key.path = TRY(root.optional_path("ssh_key")).value_or("");
  }
  return std::optional(std::move(key));
}

}  // namespace gpuvm::config
