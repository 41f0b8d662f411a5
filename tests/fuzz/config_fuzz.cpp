// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a configuration file with --set options. Lines at the start of the input that begin
// with "--set " are options, the rest is the file. Whatever the input, the outcome is an error of
// one line or a Config that to_toml() writes and that parses to the same again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/config/config.hpp"

namespace {

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

std::vector<std::string> take_overrides(std::string_view& text) {
  constexpr std::string_view kOption = "--set ";
  std::vector<std::string> overrides;
  while (text.starts_with(kOption)) {
    const auto end = std::min(text.find('\n'), text.size());
    overrides.emplace_back(text.substr(kOption.size(), end - kOption.size()));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return overrides;
}

void check_values(const gpuvm::Config& config) {
  require(config.machine.cpus >= 1 && config.machine.cpus <= 64);
  require(config.machine.memory >= gpuvm::operator""_MiB(128));
  require(config.machine.memory % gpuvm::operator""_MiB(2) == 0);
  require(config.boot.kernel.starts_with('/'));
  require(config.boot.cmdline.find('\0') == std::string::npos);
  require(config.pci.size() <= 32);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto overrides = take_overrides(text);
  const auto config = gpuvm::parse_config(text, {"fuzz.toml", "/guests", "fuzz"}, overrides);
  if (!config) {
    require(config.error().kind() == gpuvm::ErrorKind::kConfig ||
            config.error().kind() == gpuvm::ErrorKind::kUsage);
    require(config.error().to_string().find('\n') == std::string::npos);
    return 0;
  }
  check_values(*config);
  auto shown = *config;  // texts of credentials are secrets, which are not written out
  std::erase_if(shown.credentials, [](const auto& each) { return !each.file; });
  const auto again = gpuvm::parse_config(gpuvm::to_toml(*config), {"again.toml", "/", "again"});
  require(again.has_value() && *again == shown);
  return 0;
}
