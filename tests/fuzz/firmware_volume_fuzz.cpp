// SPDX-License-Identifier: Apache-2.0
// Fuzz target: files that are said to be OVMF's. Byte 0: bit 0 the header's checksum is made right.
// What must hold: no file is code and variables at once, a variable file that is taken is one of
// variables, the places of both are below 4 GiB and beside each other.
#include <cstring>
#include <string>
#include <vector>

#include "firmware/ovmf/firmware_volume.hpp"
#include "tests/fuzz/input.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

using fuzz::Input;
using fuzz::must;

constexpr std::size_t kHeaderSize = 48;  ///< offset of the header's length
constexpr std::size_t kChecksum = 50;

/// The 16-bit words of the header sum to 0.
void make_right(std::span<std::byte> file) {
  const auto size = static_cast<std::size_t>(load_le(file.subspan(kHeaderSize, 2)));
  store_le(file.subspan(kChecksum, 2), 0);
  std::uint16_t sum = 0;
  for (std::size_t at = 0; at + 1 < std::min(size, file.size()); at += 2) {
    sum = static_cast<std::uint16_t>(sum + load_le(file.subspan(at, 2)));
  }
  store_le(file.subspan(kChecksum, 2), static_cast<std::uint16_t>(0U - sum));
}

void run(Input input) {
  const bool is_made_right = (input.byte() & 1) != 0;
  const auto given = input.rest(1_MiB);
  std::vector<std::byte> file(given.begin(), given.end());
  if (is_made_right && file.size() >= 56) {
    make_right(file);
  }
  const auto kind = ovmf::kind_of(file);
  const bool is_code = ovmf::check_code({"CODE", file}).has_value();
  const bool is_variables = ovmf::check_variables({"VARS", file}, "boot.vars").has_value();
  must(!is_code || !is_variables, "no file is both");
  must(!is_code || kind == ovmf::VolumeKind::kCode, "code is code");
  must(!is_variables || kind == ovmf::VolumeKind::kVariables, "variables are variables");
  const bool is_sound = std::strcmp(ovmf::examine_variables(file), "sound") == 0;
  must(is_sound || !is_variables, "what is taken is sound");
  const std::vector<std::byte> other(align_up(file.size() + 1, 1_MiB) - file.size());
  if (const auto layout = ovmf::place({"CODE", other}, {"VARS", file})) {
    must(layout->code.last().value() == 0xffffffff, "code ends at 4 GiB");
    must(layout->variables.last() + 1 == layout->code.base(), "variables end where code begins");
  }
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
