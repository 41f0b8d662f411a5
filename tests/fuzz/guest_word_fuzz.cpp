// SPDX-License-Identifier: Apache-2.0
// What a guest says, made of the input. Byte 0: how many bytes come at a time. The rest is read as
// lines that come in such pieces, and as one notification. What must hold: no line is longer than
// lines are or has a line break, pieces make no difference, no more than two words of a
// notification, an end.
#include "vmm/channels/line_reader.hpp"
#include "vmm/channels/said_word.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace gpuvm {
namespace {

void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "broken: %s\n", what);
    std::abort();
  }
}

std::vector<std::string> lines_of(std::span<const std::byte> bytes, std::size_t piece) {
  std::vector<std::string> lines;
  LineReader reader([&lines](std::string_view line) {
    require(!line.empty() && line.size() <= LineReader::kMostLine, "the size of a line");
    require(line.find('\n') == std::string_view::npos, "a line has no line break in it");
    lines.emplace_back(line);
  });
  while (!bytes.empty()) {
    const auto size = std::min(bytes.size(), piece);
    reader.add(bytes.first(size));
    bytes = bytes.subspan(size);
  }
  reader.end();
  return lines;
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) {
    return 0;
  }
  const auto bytes = std::as_bytes(std::span(data, size)).subspan(1);
  const auto lines = gpuvm::lines_of(bytes, 1U + data[0]);
  gpuvm::require(lines == gpuvm::lines_of(bytes, bytes.size() + 1), "pieces make no difference");
  for (const auto& line : lines) {
    gpuvm::read_line_word(line);
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  gpuvm::read_line_word(text);
  gpuvm::require(gpuvm::read_notification(text).size() <= 2, "words of a notification");
  return 0;
}
