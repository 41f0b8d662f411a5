// SPDX-License-Identifier: Apache-2.0
// main() for a fuzz target built without libFuzzer (g++ has none): runs the target on every file of
// the directories given, and on `--mutations N` variants of each, made by a fixed pseudo-random
// sequence, so that a failure can be repeated. A finding ends the process (abort or sanitizer),
// after the input was named on stderr.
// Usage: TARGET [--mutations N] FILE-OR-DIRECTORY…
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr int kExitUsage = 64;

Bytes read_all(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void add_inputs(std::vector<std::filesystem::path>& inputs, const std::filesystem::path& place) {
  if (!std::filesystem::is_directory(place)) {
    inputs.push_back(place);
    return;
  }
  for (const auto& entry : std::filesystem::directory_iterator(place)) {
    if (entry.is_regular_file()) {
      inputs.push_back(entry.path());
    }
  }
}

/// One to eight small changes: values at the edges, single bits, cuts, longer ends.
Bytes mutate(Bytes bytes, std::mt19937_64& random) {
  static constexpr std::uint64_t kEdges[] = {0,
                                             1,
                                             0x7f,
                                             0x80,
                                             0xff,
                                             0x7fff,
                                             0xffff,
                                             0x7fffffff,
                                             0x80000000,
                                             0xffffffff,
                                             ~std::uint64_t{0}};
  for (std::uint64_t changes = 1 + random() % 8; changes != 0 && !bytes.empty(); --changes) {
    // Formats have their fields at the front: every second change goes there.
    const std::size_t window =
        random() % 2 == 0 ? std::min<std::size_t>(bytes.size(), 1024) : bytes.size();
    const std::size_t at = random() % window;
    const std::size_t width =
        std::min<std::size_t>(std::size_t{1} << random() % 4, bytes.size() - at);
    switch (random() % 8) {
      case 0:
        bytes.resize(at);
        break;
      case 1:
        bytes.insert(bytes.end(), width, static_cast<std::uint8_t>(random()));
        break;
      case 2:
      case 3:
        bytes[at] = static_cast<std::uint8_t>(bytes[at] ^ (1U << random() % 8));
        break;
      default: {
        std::uint64_t value = random() % 2 == 0 ? kEdges[random() % std::size(kEdges)] : random();
        for (std::size_t i = 0; i < width; ++i, value >>= 8) {
          bytes[at + i] = static_cast<std::uint8_t>(value);
        }
      }
    }
  }
  return bytes;
}

/// An exact copy on the heap, so that a sanitizer sees one byte too far.
void run_one(const Bytes& bytes) {
  const Bytes exact(bytes.begin(), bytes.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
}

void replay(const std::filesystem::path& path, unsigned long mutations) {
  const Bytes bytes = read_all(path);
  std::fprintf(stderr, "%s: %zu bytes\n", path.c_str(), bytes.size());
  run_one(bytes);
  std::mt19937_64 random(bytes.size());
  for (unsigned long i = 0; i < mutations; ++i) {
    run_one(mutate(bytes, random));
  }
}

}  // namespace

int main(int argc, char** argv) {
  unsigned long mutations = 0;
  std::vector<std::filesystem::path> inputs;
  for (int i = 1; i < argc; ++i) {
    if (std::string_view(argv[i]) == "--mutations" && i + 1 < argc) {
      mutations = std::strtoul(argv[++i], nullptr, 10);
    } else {
      add_inputs(inputs, argv[i]);
    }
  }
  if (inputs.empty()) {
    std::fprintf(stderr, "Usage: %s [--mutations N] FILE-OR-DIRECTORY...\n", argv[0]);
    return kExitUsage;  // an empty corpus must not pass as a success
  }
  std::sort(inputs.begin(), inputs.end());
  for (const auto& input : inputs) {
    replay(input, mutations);
  }
  return 0;
}
