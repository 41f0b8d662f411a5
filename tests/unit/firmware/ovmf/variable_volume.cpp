// SPDX-License-Identifier: Apache-2.0
#include "tests/unit/firmware/ovmf/variable_volume.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "firmware/ovmf/firmware_volume.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm::testing_ovmf {
namespace {

constexpr std::size_t kVolumeHeader = 72;
constexpr std::size_t kStoreHeader = 28;
constexpr std::uint64_t kFirst = kVolumeHeader + kStoreHeader;

// A variable: this header, the name, the value; aligned to 4.
struct VariableHeader {
  std::uint16_t start_id;
  std::uint8_t state;
  std::uint8_t reserved;
  std::uint32_t attributes;
  std::uint32_t name_size;
  std::uint32_t data_size;
};
static_assert(sizeof(VariableHeader) == 16);
constexpr std::uint64_t kStateOffset = 2;
constexpr std::uint16_t kStartId = 0x55aa;
// States: bits are cleared one after the other.
constexpr std::uint8_t kHeaderValid = 0x7f;
constexpr std::uint8_t kAdded = 0x3f;
constexpr std::uint8_t kInDeletion = 0xfe;
constexpr std::uint8_t kDeleted = 0xfd;

// The record in the working block: flags that are cleared as the write goes on.
constexpr std::uint8_t kSpareComplete = 0xfe;
constexpr std::uint8_t kDestinationComplete = 0xfd;

std::uint64_t size_of(const VariableHeader& header) {
  return (sizeof header + std::uint64_t{header.name_size} + header.data_size + 3) & ~3ull;
}

bool is_live(std::uint8_t state) {
  return state == kAdded || state == (kAdded & kInDeletion);
}

struct Found {
  std::uint64_t offset;
  VariableHeader header;
};

/// Every variable, whatever its state; nothing if the chain is broken.
std::optional<std::vector<Found>> walk(std::span<const std::byte> volume) {
  std::vector<Found> all;
  std::uint64_t at = kFirst;
  while (at + sizeof(VariableHeader) <= kStoreSize) {
    const auto header = *load_at<VariableHeader>(volume, at);
    if (header.start_id != kStartId) {
      return all;  // the end, as edk2 has it: a header that was not finished is no variable
    }
    // Sizes are only believed of a header that was finished, and it ends the store otherwise.
    if ((header.state & 0x80) != 0) {
      return all;
    }
    if (size_of(header) > kStoreSize - at) {
      return std::nullopt;
    }
    all.push_back({at, header});
    at += size_of(header);
  }
  return all;
}

std::string text_at(std::span<const std::byte> volume, std::uint64_t at, std::uint32_t size) {
  return {reinterpret_cast<const char*>(volume.data() + at), size};
}

std::string name_of(std::span<const std::byte> volume, const Found& found) {
  return text_at(volume, found.offset + sizeof(VariableHeader), found.header.name_size);
}

void append_variable(std::vector<std::byte>& out, const std::string& name,
                     const std::string& value) {
  const VariableHeader header{.start_id = kStartId,
                              .state = 0xff,
                              .reserved = 0,
                              .attributes = 7,
                              .name_size = static_cast<std::uint32_t>(name.size()),
                              .data_size = static_cast<std::uint32_t>(value.size())};
  const std::size_t end = out.size() + size_of(header);
  append_bytes(out, header);
  for (const char c : name + value) {
    out.push_back(static_cast<std::byte>(c));
  }
  out.resize(end, std::byte{0xff});
}

}  // namespace

std::vector<std::byte> empty_volume(std::uint64_t size) {
  std::vector<std::byte> out(16);  // zero vector
  for (const int byte : {0x8d, 0x2b, 0xf1, 0xff, 0x96, 0x76, 0x8b, 0x4c, 0xa9, 0x85, 0x27, 0x47,
                         0x07, 0x5b, 0x4f, 0x50}) {
    out.push_back(static_cast<std::byte>(byte));
  }
  append_bytes(out, size);
  append_bytes(out, std::array<char, 4>{'_', 'F', 'V', 'H'});
  append_bytes(out, std::uint32_t{0x0004feff});
  append_bytes(out, static_cast<std::uint16_t>(kVolumeHeader));
  append_bytes(out, std::uint16_t{0});  // checksum
  append_bytes(out, std::uint16_t{0});
  append_bytes(out, std::uint16_t{0x0200});  // reserved, revision
  append_bytes(out, static_cast<std::uint32_t>(size / 4096));
  append_bytes(out, std::uint32_t{4096});
  append_bytes(out, std::uint64_t{0});
  std::uint16_t sum = 0;
  for (std::size_t at = 0; at < out.size(); at += 2) {
    sum = static_cast<std::uint16_t>(sum + load_le(std::span(out).subspan(at, 2)));
  }
  store_le(std::span(out).subspan(50, 2), static_cast<std::uint16_t>(-sum));
  for (const int byte : {0x78, 0x2c, 0xf3, 0xaa, 0x7b, 0x94, 0x9a, 0x43, 0xa1, 0x80, 0x2e, 0x14,
                         0x4e, 0xc3, 0x77, 0x92}) {
    out.push_back(static_cast<std::byte>(byte));
  }
  append_bytes(out, static_cast<std::uint32_t>(kStoreSize - kVolumeHeader));
  append_bytes(out, std::uint16_t{0xfe5a});  // formatted, healthy
  append_bytes(out, std::array<std::uint8_t, 6>{});
  out.resize(size, std::byte{0xff});
  return out;
}

std::optional<Variables> recover(std::vector<std::byte> volume) {
  const auto flags = std::to_integer<std::uint8_t>(volume.at(kWorkOffset));
  if (flags == kSpareComplete) {  // the store may be half written, the spare block is whole
    std::copy_n(volume.begin() + kSpareOffset, kStoreSize, volume.begin());
  }
  if (std::strcmp(ovmf::examine_variables(volume), "sound") != 0) {
    return std::nullopt;
  }
  const auto all = walk(volume);
  if (!all) {
    return std::nullopt;
  }
  Variables variables;
  for (const unsigned state :
       {unsigned{kAdded & kInDeletion}, unsigned{kAdded}}) {  // newer ones win
    for (const auto& found : *all) {
      if (found.header.state == state) {
        variables[name_of(volume, found)] =
            text_at(volume, found.offset + sizeof(VariableHeader) + found.header.name_size,
                    found.header.data_size);
      }
    }
  }
  return variables;
}

std::optional<std::uint64_t> VariableDriver::find(const std::string& name) const {
  const auto all = walk(volume_);
  for (const auto& found : all.value()) {
    if (is_live(found.header.state) && name_of(volume_, found) == name) {
      return found.offset;
    }
  }
  return std::nullopt;
}

std::uint64_t VariableDriver::end_of_store() const {
  const auto all = walk(volume_);
  return all->empty() ? kFirst : all->back().offset + size_of(all->back().header);
}

void VariableDriver::clear_bits(std::uint64_t offset, std::uint8_t mask) {
  const std::byte byte = volume_[offset] & static_cast<std::byte>(mask);
  flash_.program(offset, {&byte, 1});
}

/// The old one is marked first, then the new one is written, then the old one is deleted.
void VariableDriver::set(const std::string& name, const std::string& value) {
  std::vector<std::byte> bytes;
  append_variable(bytes, name, value);
  if (end_of_store() + bytes.size() > kStoreSize) {
    reclaim();
  }
  const auto old = find(name);
  const std::uint64_t at = end_of_store();
  if (old) {
    clear_bits(*old + kStateOffset, kInDeletion);
  }
  flash_.program(at, std::span(bytes).first(sizeof(VariableHeader)));
  clear_bits(at + kStateOffset, kHeaderValid);
  flash_.program(at + sizeof(VariableHeader), std::span(bytes).subspan(sizeof(VariableHeader)));
  clear_bits(at + kStateOffset, kAdded);
  if (old) {
    clear_bits(*old + kStateOffset, kDeleted);
  }
}

/// Live variables move together, through the spare block.
void VariableDriver::reclaim() {
  ++reclaims_;
  std::vector<std::byte> store(volume_.begin(), volume_.begin() + kFirst);
  const auto all = walk(volume_);
  for (const auto& found : all.value()) {
    if (is_live(found.header.state)) {
      const auto from = volume_.subspan(found.offset, size_of(found.header));
      store.insert(store.end(), from.begin(), from.end());
      store[store.size() - from.size() + kStateOffset] = std::byte{kAdded};
    }
  }
  store.resize(kStoreSize, std::byte{0xff});
  flash_.erase(kWorkOffset, 0x1000);
  flash_.erase(kSpareOffset, kStoreSize);
  flash_.program(kSpareOffset, store);
  clear_bits(kWorkOffset, kSpareComplete);
  flash_.erase(0, kStoreSize);
  flash_.program(0, store);
  clear_bits(kWorkOffset, kDestinationComplete);
}

}  // namespace gpuvm::testing_ovmf
