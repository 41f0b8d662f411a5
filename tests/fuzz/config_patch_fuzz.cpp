// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the configuration space of a hostile device, patched. The first byte chooses
// options, the rest is the space, of any size up to 4096 bytes. Whatever it holds, the guest's view
// has chains that end and show nothing that the policy hides, and no write reaches what is hidden.
#include <cstdint>
#include <cstdlib>
#include <set>
#include <vector>

#include "devices/passthrough/config_patch.hpp"
#include "devices/passthrough/gpudirect.hpp"
#include "vmm/base/bytes.hpp"

namespace {

using namespace gpuvm;

void require(bool condition) {
  if (!condition) {
    std::abort();
  }
}

ConfigPatch::Options options_of(unsigned choice, std::span<const std::byte> config) {
  ConfigPatch::Options options;
  options.multi_function = (choice & 1) != 0;
  options.hide_msi = (choice & 2) != 0;
  options.hide_msix = (choice & 4) != 0;
  options.hide_intx = (choice & 8) != 0;
  options.hide_function_reset = (choice & 16) != 0;
  if ((choice & 32) != 0) {
    options.link = PcieLink{.speed = static_cast<std::uint8_t>(1 + choice % 6), .width = 16};
  }
  if (const auto extra = gpudirect_capability(config, choice & 15U); (choice & 64) != 0 && extra) {
    options.extra = *extra;
  }
  return options;
}

/// No capability twice; the walk has met an end and not a loop of its own making.
void check_chain(const std::vector<CapabilityHeader>& chain, std::size_t most) {
  std::set<std::uint16_t> places;
  for (const auto& capability : chain) {
    require(places.insert(capability.offset).second);
  }
  require(chain.size() <= most);
}

void check_patch(std::span<const std::byte> config, const ConfigPatch& patch) {
  std::vector<std::byte> view(config.begin(), config.end());
  for (std::uint16_t offset = 0; offset + 4U <= view.size(); offset += 4) {
    const auto dword = std::span(view).subspan(offset, 4);
    store_le(dword, patch.apply(offset, static_cast<std::uint32_t>(load_le(dword))));
    require(!patch.hidden(offset) || patch.drops_writes(offset));
  }
  for (const auto& row : patch.rows()) {
    require(row.offset % 4 == 0 && row.offset < 4096 && (row.value & ~row.mask) == 0);
  }
  const auto standard = standard_capabilities(view);
  const auto extended = extended_capabilities(view);
  check_chain(standard, 48);
  check_chain(extended, 960);
  for (const auto& capability : standard) {
    require(standard_policy(capability.id).treatment != CapabilityTreatment::kHidden);
  }
  for (const auto& capability : extended) {
    require(extended_policy(capability.id).treatment != CapabilityTreatment::kHidden);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) {
    return 0;
  }
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  const auto config = bytes.first(std::min<std::size_t>(bytes.size(), 4096));
  check_patch(config, ConfigPatch::create(config, options_of(data[0], config)));
  InspectNode node;
  ConfigPatch::create(config, options_of(data[0], config)).inspect(node);
  return 0;
}
