// SPDX-License-Identifier: Apache-2.0
// Fuzz target: a saved host, as somebody sends it. Whatever the input, the outcome is an error of
// one line, or a host that is mapped, checked, shown and written; what is written is read as the
// same again.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vmm/check/check.hpp"
#include "vmm/host_map/map_json.hpp"
#include "vmm/host_map/map_text.hpp"
#include "vmm/host_map/snapshot_file.hpp"

namespace {

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

bool has_control_characters(std::string_view text) {
  for (const char c : text) {
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f) {
      return true;
    }
  }
  return false;
}

void use(const gpuvm::HostCopy& host) {
  const auto map = gpuvm::gather_host_map(host, gpuvm::PciNames::of_host(host));
  if (!map) {
    return;
  }
  for (const auto filter : {gpuvm::MapFilter::kAll, gpuvm::MapFilter::kGpus}) {
    require(!has_control_characters(gpuvm::tree_text(*map, filter)));
    require(!has_control_characters(gpuvm::devices_text(*map, filter)));
    require(!gpuvm::map_json(*map, filter).empty());
  }
  const auto lines = gpuvm::check_everything({.host = host, .map = *map, .is_here = false});
  require(!has_control_characters(gpuvm::check_text(lines, false)));
  require(!gpuvm::check_json(lines).empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto host = gpuvm::parse_snapshot(text);
  if (!host) {
    require(host.error().kind() == gpuvm::ErrorKind::kConfig);
    require(!has_control_characters(host.error().to_string()));
    require(host.error().to_string().find('\n') == std::string::npos);
    return 0;
  }
  use(*host);
  const std::string written = gpuvm::to_snapshot_text(*host, "1");
  const auto again = gpuvm::parse_snapshot(written);
  require(again.has_value());
  require(gpuvm::to_snapshot_text(*again, "1") == written);
  return 0;
}
