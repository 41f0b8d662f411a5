// SPDX-License-Identifier: Apache-2.0
// [credentials]: what the guest's systemd is handed by SMBIOS (systemd.io/CREDENTIALS). The names
// are the user's. A name has dots, and TOML makes tables of a key with dots that is not in quotes:
// both spellings are the same here, so that --set needs no quotes.
#include <algorithm>

#include "vmm/config/sections.hpp"

namespace gpuvm::config {
namespace {

constexpr std::size_t kMostCredentials = 64;
constexpr std::size_t kLongestCredential = 255;  ///< systemd's FDNAME_MAX
constexpr std::string_view kCredentialRule = "\"TEXT\" or { file = \"PATH\" }";
constexpr std::string_view kCredentialNameRule =
    "1 to 255 characters of ASCII without spaces, \":\", \"=\" and \"/\", for instance "
    "ssh.authorized_keys.root";

/// What systemd's credential_name_valid() takes, without what ends a name in an SMBIOS string.
bool is_credential_name(std::string_view name) {
  const auto is_bad = [](char c) {
    return c <= ' ' || c > '~' || c == ':' || c == '=' || c == '/';
  };
  return !name.empty() && name.size() <= kLongestCredential && name != "." && name != ".." &&
         std::none_of(name.begin(), name.end(), is_bad);
}

/// { file = "PATH" }, and nothing else in it. A credential whose name ends in ".file" has it in
/// quotes.
bool is_file_table(const TableReader& table) {
  return table.names().size() == 1 && table.holds_string("file");
}

/// Braces that hold something else would be taken for a part of the name.
Error not_a_file(const TableReader& table, std::string_view key, const TableReader& braces) {
  std::string names;
  for (const auto name : braces.names()) {
    names += fmt::format("{}{}", names.empty() ? "" : " and ", printable(name));
  }
  return table.must_be(key, kCredentialRule,
                       names.empty() ? "an empty table" : fmt::format("a table with {}", names));
}

/// As [[fw_cfg]] has it. The text itself may be secret, and is not shown.
Status check_text_is_meant(const TableReader& table, std::string_view key, std::string_view text) {
  if (text.starts_with("file:")) {
    return table.wrong(key,
                       "begins with \"file:\", which is text here: write { file = \"PATH\" } for "
                       "what is in a file, also for a text that begins so");
  }
  return {};
}

Status add_credential(const TableReader& table, std::string_view key, CredentialConfig credential,
                      std::vector<CredentialConfig>& all) {
  if (!is_credential_name(credential.name)) {
    return table.wrong(
        key, fmt::format("is no name that systemd takes: it has {}", kCredentialNameRule));
  }
  if (all.size() == kMostCredentials) {
    return table.wrong(
        key, fmt::format("is one credential too many: at most {} are accepted", kMostCredentials));
  }
  const auto is_same = [&credential](const auto& other) { return other.name == credential.name; };
  if (std::any_of(all.begin(), all.end(), is_same)) {
    return table.wrong(key, "is there twice, with its dots in quotes and without; remove one");
  }
  all.push_back(std::move(credential));
  return {};
}

/// `prefix`: the part of the names that led to this table, with its last dot.
Status collect_credentials(TableReader& table, const std::string& prefix,
                           std::vector<CredentialConfig>& all) {
  for (const auto key : table.names()) {
    CredentialConfig credential;
    credential.name = prefix + std::string(key);
    credential.place = table.place_of_value(key);
    if (!table.holds_table(key)) {
      credential.text = TRY(table.text(key, kCredentialRule));
      TRY(check_text_is_meant(table, key, *credential.text));
      TRY(add_credential(table, key, std::move(credential), all));
      continue;
    }
    auto inner = TRY(table.table(key));
    if (is_file_table(inner)) {
      credential.file = TRY(inner.optional_path("file"));
      credential.place = inner.place_of_value("file");
      TRY(add_credential(table, key, std::move(credential), all));
    } else if (table.holds_inline_table(key) || inner.names().empty()) {
      return not_a_file(table, key, inner);
    } else {
      TRY(collect_credentials(inner, credential.name + ".", all));
    }
  }
  return {};
}

}  // namespace

Result<std::vector<CredentialConfig>> read_credentials(TableReader table) {
  std::vector<CredentialConfig> all;
  TRY(collect_credentials(table, "", all));
  return all;
}

}  // namespace gpuvm::config
