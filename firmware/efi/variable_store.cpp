// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/variable_store.hpp"

#include <cstring>

namespace gpuvm::efi {
namespace {

constexpr std::uint8_t kMagic[8] = {'g', 'p', 'u', 'v', 'm', 'V', 'A', 'R'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint64_t kAlignment = 8;
constexpr std::uint32_t kKnownAttributes =
    kVariableNonVolatile | kVariableBootAccess | kVariableRuntimeAccess | kVariableAppend;
constexpr std::uint32_t kAccess = kVariableBootAccess | kVariableRuntimeAccess;
constexpr std::uint32_t kAuthenticated =
    kVariableAuthenticated | kVariableTimeAuthenticated | kVariableEnhancedAuthenticated;

std::uint64_t aligned(std::uint64_t size) {
  return (size + kAlignment - 1) & ~(kAlignment - 1);
}

/// Bytes of a name with its NUL, or 0 when there is none within `most` bytes.
std::uint64_t name_bytes(const Char16* name, std::uint64_t most) {
  for (std::uint64_t i = 0; (i + 1) * sizeof(Char16) <= most; ++i) {
    Char16 character = 0;
    std::memcpy(&character, name + i, sizeof character);
    if (character == 0) {
      return (i + 1) * sizeof(Char16);
    }
  }
  return 0;
}

/// What of SetVariable()'s parameters is wrong whatever the store holds.
EfiStatus check_request(std::uint64_t name_size, std::uint32_t attributes, std::uint64_t size,
                        const void* data) {
  if (name_size <= sizeof(Char16) || (size != 0 && data == nullptr) ||
      (attributes & kAccess) == kVariableRuntimeAccess) {
    return EfiStatus::kInvalidParameter;
  }
  if ((attributes & kAuthenticated) != 0) {
    return EfiStatus::kUnsupported;
  }
  return (attributes & ~kKnownAttributes) != 0 ? EfiStatus::kInvalidParameter : EfiStatus::kSuccess;
}

}  // namespace

struct VariableStore::Header {
  std::uint8_t magic[8];
  std::uint32_t version;
  std::uint32_t used;   ///< bytes, with this header
  std::uint32_t crc32;  ///< of everything used, this field taken as 0
  std::uint32_t reserved;
};

struct VariableStore::Record {
  Guid vendor;
  std::uint32_t attributes;
  std::uint32_t name_size;  ///< bytes, with the NUL
  std::uint32_t data_size;
  std::uint32_t reserved;

  std::uint8_t* name() { return reinterpret_cast<std::uint8_t*>(this + 1); }
  std::uint8_t* data() { return name() + name_size; }
  std::uint64_t size() const {
    return aligned(sizeof(Record) + std::uint64_t{name_size} + data_size);
  }
  bool visible(bool runtime) const {
    return !runtime || (attributes & kVariableRuntimeAccess) != 0;
  }
};

std::uint32_t crc32(const void* data, std::uint64_t size, std::uint32_t start) {
  const auto* bytes = static_cast<const std::uint8_t*>(data);
  std::uint32_t crc = ~start;
  for (std::uint64_t i = 0; i < size; ++i) {
    crc ^= bytes[i];
    for (int bit = 0; bit < 8; ++bit) {
      crc = crc >> 1 ^ ((crc & 1) != 0 ? 0xedb88320u : 0u);
    }
  }
  return ~crc;
}

VariableStore::Header& VariableStore::header() const {
  return *reinterpret_cast<Header*>(block_);
}

VariableStore::Record* VariableStore::first() const {
  return reinterpret_cast<Record*>(block_ + sizeof(Header));
}

VariableStore::Record* VariableStore::after(Record* record) const {
  return reinterpret_cast<Record*>(reinterpret_cast<std::uint8_t*>(record) + record->size());
}

bool VariableStore::at_end(const Record* record) const {
  return reinterpret_cast<const std::uint8_t*>(record) >= block_ + header().used;
}

std::uint64_t VariableStore::used() const {
  return header().used;
}

void VariableStore::seal() {
  header().crc32 = 0;
  header().crc32 = crc32(block_, header().used);
}

void VariableStore::format() {
  std::memset(block_, 0, kBlockSize);
  std::memcpy(header().magic, kMagic, sizeof kMagic);
  header().version = kVersion;
  header().used = sizeof(Header);
  seal();
}

const char* VariableStore::check(const void* block, std::uint64_t size) {
  Header head;
  if (size < sizeof head) {
    return "it is too short";
  }
  std::memcpy(&head, block, sizeof head);
  if (std::memcmp(head.magic, kMagic, sizeof kMagic) != 0 || head.version != kVersion) {
    return "it does not start like a variable store";
  }
  if (head.used < sizeof head || head.used > size || head.used > kBlockSize) {
    return "its length is not what it says";
  }
  const std::uint32_t stated = head.crc32;
  head.crc32 = 0;
  const auto* bytes = static_cast<const std::uint8_t*>(block);
  if (crc32(bytes + sizeof head, head.used - sizeof head, crc32(&head, sizeof head)) != stated) {
    return "its checksum is wrong";
  }
  for (std::uint64_t at = sizeof head; at < head.used;) {
    Record record;
    if (head.used - at < sizeof record) {
      return "its last variable is cut off";
    }
    std::memcpy(&record, bytes + at, sizeof record);
    if (record.name_size > kLargest || record.data_size > kLargest ||
        record.size() > head.used - at ||
        name_bytes(reinterpret_cast<const Char16*>(bytes + at + sizeof record), record.name_size) !=
            record.name_size ||
        record.name_size <= sizeof(Char16) || record.data_size == 0) {
      return "one of its variables is malformed";
    }
    at += record.size();
  }
  return nullptr;
}

VariableStore::Record* VariableStore::lookup(const Char16* name, std::uint64_t name_size,
                                             const Guid& vendor, bool runtime) const {
  for (Record* record = first(); !at_end(record); record = after(record)) {
    if (record->name_size == name_size && record->vendor == vendor && record->visible(runtime) &&
        std::memcmp(record->name(), name, name_size) == 0) {
      return record;
    }
  }
  return nullptr;
}

EfiStatus VariableStore::get(const Char16* name, const Guid* vendor, std::uint32_t* attributes,
                             std::uint64_t* size, void* data, bool runtime) const {
  if (name == nullptr || vendor == nullptr || size == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  Record* record = lookup(name, name_bytes(name, kLargest), *vendor, runtime);
  if (record == nullptr) {
    return EfiStatus::kNotFound;
  }
  if (attributes != nullptr) {
    *attributes = record->attributes;
  }
  const std::uint64_t room = *size;
  *size = record->data_size;
  if (room < record->data_size) {
    return EfiStatus::kBufferTooSmall;
  }
  if (data == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  std::memcpy(data, record->data(), record->data_size);
  return EfiStatus::kSuccess;
}

EfiStatus VariableStore::next(std::uint64_t* size, Char16* name, Guid* vendor, bool runtime) const {
  if (size == nullptr || name == nullptr || vendor == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  const std::uint64_t given = name_bytes(name, *size);
  if (given == 0) {
    return EfiStatus::kInvalidParameter;
  }
  Record* record = first();
  if (given > sizeof(Char16)) {
    record = lookup(name, given, *vendor, runtime);
    if (record == nullptr) {
      return EfiStatus::kInvalidParameter;
    }
    record = after(record);
  }
  while (!at_end(record) && !record->visible(runtime)) {
    record = after(record);
  }
  if (at_end(record)) {
    return EfiStatus::kNotFound;
  }
  const std::uint64_t room = *size;
  *size = record->name_size;
  if (room < record->name_size) {
    return EfiStatus::kBufferTooSmall;
  }
  std::memcpy(name, record->name(), record->name_size);
  *vendor = record->vendor;
  return EfiStatus::kSuccess;
}

void VariableStore::erase(Record* record) {
  const std::uint64_t size = record->size();
  std::uint8_t* at = reinterpret_cast<std::uint8_t*>(record);
  std::uint8_t* end = block_ + header().used;
  std::memmove(at, at + size, static_cast<std::size_t>(end - at) - size);
  std::memset(end - size, 0, size);
  header().used -= static_cast<std::uint32_t>(size);
}

EfiStatus VariableStore::remove(Record* old, bool runtime, bool& changed) {
  if (old == nullptr) {
    return EfiStatus::kNotFound;
  }
  const bool lasts = (old->attributes & kVariableNonVolatile) != 0;
  if (runtime && !lasts) {
    return EfiStatus::kWriteProtected;
  }
  changed = lasts;
  erase(old);
  seal();
  return EfiStatus::kSuccess;
}

EfiStatus VariableStore::set(const Char16* name, const Guid* vendor, std::uint32_t attributes,
                             std::uint64_t size, const void* data, bool runtime, bool& changed) {
  changed = false;
  const std::uint64_t name_size = name == nullptr ? 0 : name_bytes(name, kLargest);
  const EfiStatus wrong = check_request(name_size, attributes, size, data);
  if (wrong != EfiStatus::kSuccess || vendor == nullptr) {
    return vendor == nullptr ? EfiStatus::kInvalidParameter : wrong;
  }
  const bool append = (attributes & kVariableAppend) != 0;
  const std::uint32_t kept = attributes & ~kVariableAppend;
  const bool lasts = (kept & kVariableNonVolatile) != 0;
  const bool deletes = (kept & kAccess) == 0 || (size == 0 && !append);
  Record* old = lookup(name, name_size, *vendor, false);
  if (old != nullptr && !old->visible(runtime)) {
    // It is there for boot services alone: no other one may have its name (UEFI 2.10, 8.2).
    return deletes ? EfiStatus::kNotFound : EfiStatus::kInvalidParameter;
  }
  if (deletes) {
    return remove(old, runtime, changed);
  }
  if (old != nullptr && old->attributes != kept) {
    return EfiStatus::kInvalidParameter;
  }
  if (runtime && !lasts) {
    return EfiStatus::kWriteProtected;
  }
  if (size == 0) {
    return EfiStatus::kSuccess;  // nothing to append
  }
  return replace(old,
                 {.vendor = *vendor,
                  .attributes = kept,
                  .name_size = static_cast<std::uint32_t>(name_size),
                  .data_size = 0,
                  .reserved = 0},
                 name, size, data, append, changed);
}

/// When appending, the new record goes to the end before the old one is taken away, out of which
/// its first part is copied.
EfiStatus VariableStore::replace(Record* old, Record head, const Char16* name, std::uint64_t size,
                                 const void* data, bool append, bool& changed) {
  const std::uint64_t before = append && old != nullptr ? old->data_size : 0;
  if (size > kLargest || before + size + head.name_size > kLargest) {
    return EfiStatus::kOutOfResources;
  }
  head.data_size = static_cast<std::uint32_t>(before + size);
  const std::uint64_t freed = old != nullptr && !append ? old->size() : 0;
  if (head.size() > room() + freed) {
    return EfiStatus::kOutOfResources;
  }
  if (freed != 0) {
    erase(old);
    old = nullptr;
  }
  append_record(head, name, old != nullptr ? old->data() : nullptr, data, before);
  if (old != nullptr) {
    erase(old);
  }
  seal();
  changed = (head.attributes & kVariableNonVolatile) != 0;
  return EfiStatus::kSuccess;
}

void VariableStore::append_record(const Record& head, const Char16* name, const void* before,
                                  const void* data, std::uint64_t before_size) {
  auto* at = reinterpret_cast<Record*>(block_ + header().used);
  std::memset(static_cast<void*>(at), 0, head.size());
  *at = head;
  std::memcpy(at->name(), name, head.name_size);
  if (before_size != 0) {
    std::memcpy(at->data(), before, before_size);
  }
  std::memcpy(at->data() + before_size, data, head.data_size - before_size);
  header().used += static_cast<std::uint32_t>(head.size());
}

void VariableStore::drop_volatile() {
  for (Record* record = first(); !at_end(record);) {
    if ((record->attributes & kVariableNonVolatile) == 0) {
      erase(record);
    } else {
      record = after(record);
    }
  }
  seal();
}

}  // namespace gpuvm::efi
