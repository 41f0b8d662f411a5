// SPDX-License-Identifier: Apache-2.0
// Domains and command lines of other monitors: whatever the text is, the outcome is an error of one
// line or a configuration, which gpuvm takes unless its first comment says why not.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "vmm/config/config.hpp"
#include "vmm/convert/convert.hpp"

namespace gpuvm {
namespace {

void need(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void try_text(std::string_view text, ForeignText kind) {
  const auto guest = convert_guest(text, {"input", kind});
  if (!guest) {
    const std::string message = guest.error().to_string();
    need(guest.error().kind() == ErrorKind::kConfig && message.starts_with("input"));
    need(message.find('\n') == std::string::npos);
    return;
  }
  const auto config = parse_config(guest->toml, {"output", "/", "guest"});
  need(config.has_value() == guest->is_valid);
  need(guest->is_valid || guest->toml.starts_with("# Not valid yet: "));
}

}  // namespace
}  // namespace gpuvm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  gpuvm::try_text(text, gpuvm::ForeignText::kAuto);
  gpuvm::try_text(text, gpuvm::ForeignText::kQemu);
  return 0;
}
