// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/nocloud.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "vmm/first_boot/yaml.hpp"

namespace gpuvm {
namespace {

enum class UserDataKind { kMapping, kList, kOpaque };

struct UserDataStart {
  std::string_view text;
  UserDataKind kind;
};

/// As cloud-init's INCLUSION_TYPES_MAP has them, and what else it unpacks: MIME and gzip. The first
/// that fits counts.
constexpr std::array kUserDataStarts = {
    UserDataStart{"#cloud-config-archive", UserDataKind::kList},
    UserDataStart{"#cloud-config-jsonp", UserDataKind::kOpaque},
    UserDataStart{"#cloud-config", UserDataKind::kMapping},
    UserDataStart{"#!", UserDataKind::kOpaque},
    UserDataStart{"#include", UserDataKind::kOpaque},
    UserDataStart{"#cloud-boothook", UserDataKind::kOpaque},
    UserDataStart{"#part-handler", UserDataKind::kOpaque},
    UserDataStart{"## template: jinja", UserDataKind::kOpaque},  // YAML once it is rendered
    UserDataStart{"content-type:", UserDataKind::kOpaque},
    UserDataStart{"mime-version:", UserDataKind::kOpaque},
    UserDataStart{"\x1f\x8b", UserDataKind::kOpaque},
};

/// cloud-init skips white space and minds no capitals.
std::string start_of(std::string_view contents) {
  constexpr std::size_t kEnough = 32;
  const auto first = contents.find_first_not_of(" \t\r\n\v\f");
  std::string start(first == std::string_view::npos ? "" : contents.substr(first, kEnough));
  std::transform(start.begin(), start.end(), start.begin(), [](char c) {
    return static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  });
  return start;
}

std::string first_line(std::string_view contents) {
  constexpr std::size_t kShown = 30;
  auto line = contents.substr(0, contents.find_first_of("\r\n"));
  const bool is_cut = line.size() > kShown;
  std::string shown(line.substr(0, kShown));
  std::replace_if(
      shown.begin(), shown.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return is_cut ? shown + "…" : shown;
}

Status check_mapping(const NoCloudInput::File& file) {
  if (TRY(parse_yaml(file.contents, file.path)) == YamlRoot::kOther) {
    return fail(ErrorKind::kConfig, "{} is YAML, but no mapping: it has lines of \"KEY: VALUE\"",
                file.path);
  }
  return {};
}

std::string place_of_seed(const NoCloudInput::File& file, std::string_view key) {
  return file.place.empty() ? std::string(key) : file.place;
}

/// A double-quoted scalar of YAML; of printable text.
std::string yaml_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
    }
    out += c;
  }
  return out + '"';
}

/// A host's name has no "_", and a dot begins its domain.
std::string hostname_of(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string made_meta_data(const NoCloudInput& input, std::uint64_t hash) {
  std::string text = fmt::format("instance-id: {}\nlocal-hostname: {}\n",
                                 yaml_quoted(fmt::format("{}-{:016x}", input.guest, hash)),
                                 yaml_quoted(hostname_of(input.guest)));
  if (!input.ssh_key.empty()) {
    text += fmt::format("public-keys:\n- {}\n", yaml_quoted(input.ssh_key));
  }
  return text;
}

/// What user data may overrule. cloud-init's own default lets nobody log in as root.
std::string made_vendor_data(const std::string& ssh_key) {
  return fmt::format("#cloud-config\ndisable_root: false\nssh_authorized_keys:\n- {}\n",
                     yaml_quoted(ssh_key));
}

}  // namespace

std::uint64_t hash_of(const std::vector<VolumeFile>& files) {
  std::uint64_t hash = 0xcbf29ce484222325;
  const auto add = [&hash](std::string_view text) {
    for (const char c : text) {
      hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
    }
    hash = (hash ^ 0xff) * 0x100000001b3;  // where one ends is part of it
  };
  for (const VolumeFile& file : files) {
    add(file.name);
    add(file.contents);
  }
  return hash;
}

Status check_user_data(const NoCloudInput::File& file) {
  const std::string start = start_of(file.contents);
  if (start.empty()) {
    return {};
  }
  const auto* const known =
      std::find_if(kUserDataStarts.begin(), kUserDataStarts.end(),
                   [&start](const auto& each) { return start.starts_with(each.text); });
  if (known == kUserDataStarts.end()) {
    return fail(ErrorKind::kConfig,
                "{} begins with \"{}\", by which cloud-init does not know what it is: write "
                "#cloud-config into the first line of YAML, #!/bin/sh into that of a script",
                file.path, first_line(file.contents));
  }
  switch (known->kind) {
    case UserDataKind::kMapping:
      return check_mapping(file);
    case UserDataKind::kList:
      if (TRY(parse_yaml(file.contents, file.path)) == YamlRoot::kMapping) {
        return fail(ErrorKind::kConfig, "{} is a mapping: a #cloud-config-archive is a list",
                    file.path);
      }
      return {};
    case UserDataKind::kOpaque:
      break;
  }
  return {};
}

Result<std::vector<VolumeFile>> nocloud_files(const NoCloudInput& input) {
  std::vector<VolumeFile> files;
  if (input.user_data) {
    TRY_CONTEXT(check_user_data(*input.user_data),
                place_of_seed(*input.user_data, "cloud_init.user_data"));
  }
  // cloud-init takes a volume only where both are there.
  files.push_back({"user-data", input.user_data ? input.user_data->contents : ""});
  if (input.network_config) {
    TRY_CONTEXT(check_mapping(*input.network_config),
                place_of_seed(*input.network_config, "cloud_init.network_config"));
    files.push_back({"network-config", input.network_config->contents});
  }
  if (!input.ssh_key.empty()) {
    files.push_back({"vendor-data", made_vendor_data(input.ssh_key)});
  }
  if (input.meta_data) {
    TRY_CONTEXT(check_mapping(*input.meta_data),
                place_of_seed(*input.meta_data, "cloud_init.meta_data"));
  }
  files.push_back({"meta-data", input.meta_data ? input.meta_data->contents
                                                : made_meta_data(input, hash_of(files))});
  return files;
}

}  // namespace gpuvm
