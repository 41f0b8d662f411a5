// SPDX-License-Identifier: Apache-2.0
#include "vmm/first_boot/first_boot.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <span>

#include "vmm/base/file.hpp"
#include "vmm/base/units.hpp"
#include "vmm/first_boot/credentials.hpp"
#include "vmm/first_boot/nocloud.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kLargestSeed = 8_MiB;  ///< of one of cloud-init's files
constexpr std::string_view kRootKeys = "ssh.authorized_keys.root";

Result<std::string> read_text(const std::string& path, std::uint64_t most) {
  const auto bytes = TRY(read_file(path, most, ErrorKind::kConfig));
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

Result<std::vector<Credential>> read_credentials(const std::vector<CredentialConfig>& configs) {
  std::vector<Credential> credentials;
  for (const auto& config : configs) {
    auto value = config.text.value_or("");
    if (config.file) {
      value = TRY_CONTEXT(read_text(*config.file, kMostCredentialBytes),
                          config.place.or_else(fmt::format("credentials.{}", config.name)));
    }
    credentials.push_back({config.name, std::move(value)});
  }
  return credentials;
}

/// Beside keys that the user hands over in the same way.
void add_root_key(const std::string& line, std::vector<Credential>& credentials) {
  const auto theirs = std::find_if(credentials.begin(), credentials.end(),
                                   [](const auto& each) { return each.name == kRootKeys; });
  if (theirs == credentials.end()) {
    credentials.push_back({std::string(kRootKeys), line + "\n"});
    return;
  }
  const bool ends = theirs->value.empty() || theirs->value.back() == '\n';
  theirs->value += (ends ? "" : "\n") + line + "\n";
}

Result<std::optional<NoCloudInput::File>> read_seed(const std::optional<std::string>& path,
                                                    const std::string& place) {
  if (!path) {
    return std::optional<NoCloudInput::File>();
  }
  NoCloudInput::File file{.path = *path, .contents = {}, .place = place};
  file.contents = TRY_CONTEXT(read_text(*path, kLargestSeed), place);
  return std::optional(std::move(file));
}

/// Sealed: it is as it was made as long as the guest has it.
Result<UniqueFd> in_memory(std::span<const std::byte> bytes) {
  UniqueFd fd(::memfd_create("gpuvm-cidata", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) {
    return fail_errno(ErrorKind::kHost, "cloud_init: cannot have memory for its volume");
  }
  while (!bytes.empty()) {
    const ssize_t done = ::write(fd.get(), bytes.data(), bytes.size());
    if (done < 0 && errno == EINTR) {
      continue;
    }
    if (done <= 0) {
      return fail_errno(ErrorKind::kHost, "cloud_init: cannot fill its volume");
    }
    bytes = bytes.subspan(static_cast<std::size_t>(done));
  }
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) !=
      0) {
    return fail_errno(ErrorKind::kHost, "cloud_init: cannot seal its volume");
  }
  return fd;
}

Result<UniqueFd> make_volume(const Config& config, const std::string& ssh_key) {
  NoCloudInput input{.guest = config.name};
  const auto& seed = *config.cloud_init;
  input.user_data =
      TRY(read_seed(seed.user_data, seed.user_data_place.or_else("cloud_init.user_data")));
  input.meta_data =
      TRY(read_seed(seed.meta_data, seed.meta_data_place.or_else("cloud_init.meta_data")));
  input.network_config = TRY(read_seed(
      seed.network_config, seed.network_config_place.or_else("cloud_init.network_config")));
  input.ssh_key = ssh_key;
  const auto files = TRY(nocloud_files(input));
  return in_memory(
      TRY(make_fat_volume(kNoCloudLabel, static_cast<std::uint32_t>(hash_of(files)), files)));
}

Result<SshKey> read_key(const SshKeyConfig& config, SshKeyUse use) {
  return config.path.empty() ? own_ssh_key(TRY(ssh_key_folder()), use)
                             : read_public_key(config.path);
}

}  // namespace

Result<FirstBoot> open_first_boot(const Config& config, SshKeyUse use) {
  if (use == SshKeyUse::kMake && config.ssh_key) {
    TRY(open_first_boot(config, SshKeyUse::kLook));  // a file that will not do makes nobody a key
  }
  FirstBoot first_boot;
  auto credentials = TRY(read_credentials(config.credentials));
  std::string line;
  if (config.ssh_key) {
    auto key =
        TRY_CONTEXT(read_key(*config.ssh_key, use), config.ssh_key->place.or_else("ssh_key"));
    add_root_key(key.line, credentials);
    line = key.line;
    first_boot.ssh_key = std::move(key.private_path);
  }
  first_boot.oem_strings = TRY(credential_strings(credentials));
  if (config.cloud_init) {
    first_boot.volume = TRY(make_volume(config, line));
  }
  return first_boot;
}

void describe_first_boot(const Config& config, InspectNode& node) {
  if (!config.credentials.empty()) {
    std::vector<std::string> names;
    for (const auto& credential : config.credentials) {
      names.push_back(credential.name);
    }
    node.field("credentials", fmt::format("{}", fmt::join(names, ", ")));
  }
  if (config.cloud_init) {
    const auto& seed = *config.cloud_init;
    node.field("cloud_init",
               fmt::format("user_data {}, meta_data {}, network_config {}",
                           seed.user_data.value_or("empty"), seed.meta_data.value_or("made"),
                           seed.network_config.value_or("none")));
  }
  if (config.ssh_key) {
    node.field("ssh_key",
               config.ssh_key->path.empty() ? "the user's own for gpuvm" : config.ssh_key->path);
  }
}

}  // namespace gpuvm
