// SPDX-License-Identifier: Apache-2.0
// Writes the volume of cloud-init's files that a guest gets: emit_nocloud VOLUME USER_DATA NETWORK
// PUBLIC_KEY.
#include <fmt/core.h>

#include <fstream>

#include "vmm/first_boot/first_boot.hpp"

namespace gpuvm {
namespace {

int run(char** argv) {
  Config config;
  config.name = "render_1";
  config.cloud_init =
      CloudInitConfig{.user_data = argv[2], .meta_data = {}, .network_config = argv[3]};
  config.ssh_key = SshKeyConfig{.path = argv[4]};
  const auto first_boot = open_first_boot(config, SshKeyUse::kLook);
  if (!first_boot) {
    fmt::print(stderr, "{}\n", first_boot.error().to_string());
    return 1;
  }
  std::ifstream from(fmt::format("/proc/self/fd/{}", first_boot->volume.get()), std::ios::binary);
  std::ofstream to(argv[1], std::ios::binary);
  to << from.rdbuf();
  return to.good() ? 0 : 1;
}

}  // namespace
}  // namespace gpuvm

int main(int argc, char** argv) {
  return argc == 5 ? gpuvm::run(argv) : 64;
}
