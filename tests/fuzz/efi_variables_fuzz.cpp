// SPDX-License-Identifier: Apache-2.0
// Fuzz target: the block of EFI variables as a guest leaves it in its memory, or somebody in a
// file. Byte 0: bit 0 its header and checksum are made right (a guest computes them, too); two
// bytes: its length; then the block, then what a kernel asks of it. What must hold: a block that
// was found sound stays so whatever is asked, a walk through it ends, what it says of a variable is
// so, and nothing outside of it is touched (sanitizer).
#include <cstring>
#include <vector>

#include "firmware/efi/variable_file.hpp"
#include "firmware/efi/variable_store.hpp"
#include "tests/fuzz/input.hpp"
#include "tests/fuzz/quiet.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

using efi::EfiStatus;
using efi::VariableStore;
using fuzz::Input;
using fuzz::must;

constexpr unsigned kMostRequests = 64;
constexpr std::size_t kHeader = 24;
/// A record has at least 40 bytes.
constexpr unsigned kMostVariables = VariableStore::kBlockSize / 40;

/// What a guest does that wants its block taken.
void make_right(std::span<std::byte> block) {
  std::memcpy(block.data(), "gpuvmVAR\1\0\0\0", 12);
  auto used = static_cast<std::uint32_t>(load_le(block.subspan(12, 4)) % (block.size() + 1));
  used = used < kHeader ? static_cast<std::uint32_t>(block.size()) : used;
  store_le(block.subspan(12, 4), used);
  store_le(block.subspan(16, 4), 0);
  store_le(block.subspan(16, 4), efi::crc32(block.data(), used));
}

/// Every variable that there is, one after the other.
void walk(const VariableStore& store, bool is_runtime) {
  std::vector<char16_t> name(VariableStore::kLargest / 2 + 1, u'\0');
  std::vector<std::byte> data(VariableStore::kLargest);
  efi::Guid vendor;
  for (unsigned count = 0;; ++count) {
    must(count <= kMostVariables, "a walk ends");
    std::uint64_t size = name.size() * 2;
    if (store.next(&size, name.data(), &vendor, is_runtime) != EfiStatus::kSuccess) {
      return;
    }
    std::uint32_t attributes = 0;
    std::uint64_t data_size = data.size();
    must(store.get(name.data(), &vendor, &attributes, &data_size, data.data(), is_runtime) ==
             EfiStatus::kSuccess,
         "a variable that is named is there");
    std::uint64_t none = 0;
    must(data_size > 0 && store.get(name.data(), &vendor, nullptr, &none, nullptr, is_runtime) ==
                              EfiStatus::kBufferTooSmall,
         "a variable has bytes");
  }
}

/// A byte: bit 0 after ExitBootServices(), bits 1 to 3 the name's last letter, bits 4 and 5 its
/// length; then attributes, the length of the data, the data.
void ask(Input& input, VariableStore& store) {
  const auto how = input.byte();
  char16_t name[8] = {u'V', u'a', u'r', u'i', u'a', u'b', u'l', u'\0'};
  name[how >> 4 & 3] = static_cast<char16_t>(u'0' + (how >> 1 & 7));
  name[(how >> 4 & 3) + 1] = u'\0';
  const efi::Guid vendor{.a = how & 0x40U};
  const std::uint32_t attributes = (how & 0x80) != 0 ? input.dword() : input.byte() & 0x47U;
  std::vector<std::byte> data(input.word());
  const auto given = input.rest(std::min<std::size_t>(data.size(), 64));
  std::copy(given.begin(), given.end(), data.begin());
  bool changed = false;
  const auto status =
      store.set(name, &vendor, attributes, data.size(), data.data(), (how & 1) != 0, changed);
  must(!changed || status == EfiStatus::kSuccess, "what was refused has changed nothing");
  must(store.used() + store.room() == VariableStore::kBlockSize, "what is used is not free");
}

void run(Input input) {
  const bool is_made_right = (input.byte() & 1) != 0;
  const auto given = input.rest(std::max<std::size_t>(input.word(), kHeader));
  std::vector<std::byte> block(given.begin(), given.end());
  if (is_made_right && block.size() >= kHeader) {
    make_right(block);
  }
  const bool is_sound = VariableStore::check(block.data(), block.size()) == nullptr;
  const auto file = VariableFile::open("").value();
  must(file->save(block).has_value() == is_sound, "what is sound is kept");
  const auto kept = file->block();
  must(VariableStore::check(kept.data(), kept.size()) == nullptr, "what is kept is sound");
  if (!is_sound) {
    return;
  }
  block.resize(VariableStore::kBlockSize);
  VariableStore store(block.data());
  for (unsigned i = 0; i < kMostRequests && !input.empty(); ++i) {
    ask(input, store);
    must(VariableStore::check(block.data(), block.size()) == nullptr, "it stays sound");
  }
  walk(store, false);
  walk(store, true);
  store.drop_volatile();
  must(VariableStore::check(block.data(), store.used()) == nullptr, "it is sound without some");
}

}  // namespace
}  // namespace gpuvm

// NOLINTNEXTLINE(readability-identifier-naming): the name is libFuzzer's
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  gpuvm::fuzz::be_quiet();
  gpuvm::run(gpuvm::fuzz::Input(data, size));
  return 0;
}
