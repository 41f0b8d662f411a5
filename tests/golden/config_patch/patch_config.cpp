// SPDX-License-Identifier: Apache-2.0
// Prints a real function's configuration space as `lspci -F` reads it, as it is or as a guest sees
// it.
//   patch_config before|after DUMP [multi] [link=SPEED,WIDTH] [clique=N] [no-msi] [no-flr]
// After: `multi` with others in its slot, `link` the root port's, `no-…` what the host cannot give.
#include <fmt/core.h>

#include <cstring>
#include <string_view>

#include "devices/passthrough/config_patch.hpp"
#include "devices/passthrough/gpudirect.hpp"
#include "tests/fixtures/config_space/config_dump.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

unsigned number(std::string_view text) {
  return static_cast<unsigned>(std::strtoul(std::string(text).c_str(), nullptr, 10));
}

Status read_word(std::string_view word, std::span<const std::byte> config,
                 ConfigPatch::Options& options) {
  if (word == "multi") {
    options.multi_function = true;
  } else if (word == "no-msi") {
    options.hide_msi = true;
  } else if (word == "no-flr") {
    options.hide_function_reset = true;
  } else if (word.starts_with("link=")) {
    const auto comma = word.find(',');
    options.link = PcieLink{.speed = static_cast<std::uint8_t>(number(word.substr(5))),
                            .width = static_cast<std::uint8_t>(number(word.substr(comma + 1)))};
  } else if (word.starts_with("clique=")) {
    const auto clique = static_cast<std::uint8_t>(number(word.substr(7)));
    options.extra = TRY(gpudirect_capability(config, clique));
  } else {
    return fail(ErrorKind::kUsage, "Unknown word {}", word);
  }
  return {};
}

void print_dump(std::span<const std::byte> config) {
  fmt::print("01:00.0 function\n");
  for (std::size_t line = 0; line < config.size(); line += 16) {
    fmt::print("{:02x}:", line);
    for (const auto byte : config.subspan(line, 16)) {
      fmt::print(" {:02x}", static_cast<unsigned>(byte));
    }
    fmt::print("\n");
  }
  fmt::print("\n");
}

Status run(int argc, char** argv) {
  if (argc < 3) {
    return fail(ErrorKind::kUsage, "patch_config before|after DUMP [WORD…]");
  }
  auto config = test::read_config_dump(argv[2]);
  if (std::strcmp(argv[1], "after") == 0) {
    ConfigPatch::Options options;
    for (int i = 3; i < argc; ++i) {
      TRY(read_word(argv[i], config, options));
    }
    const auto patch = ConfigPatch::create(config, options);
    for (std::uint16_t offset = 0; offset < config.size(); offset += 4) {
      const auto dword = std::span(config).subspan(offset, 4);
      store_le(dword, patch.apply(offset, static_cast<std::uint32_t>(load_le(dword))));
    }
  }
  print_dump(config);
  return {};
}

}  // namespace
}  // namespace gpuvm

int main(int argc, char** argv) {
  const gpuvm::Status status = gpuvm::run(argc, argv);
  if (!status) {
    fmt::print(stderr, "{}\n", status.error().to_string());
    return 1;
  }
  return 0;
}
