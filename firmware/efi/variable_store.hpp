// SPDX-License-Identifier: Apache-2.0
// VariableStore: UEFI variables, packed into one block of memory that is also the form in which
// they are kept in a file. It refers to nothing outside the block, so that it works at any address.
// Used by the firmware (before and after SetVirtualAddressMap) and by the monitor, which checks a
// block before it trusts it. Specification: UEFI 2.10, section 8.2. Missing: authenticated
// variables, hardware error records.
//
// The block, little endian: Header, then records, each aligned to 8 bytes: Record, name (UTF-16
// with its NUL), data. Header and records are checked by a CRC-32.
#pragma once

#include "firmware/efi/uefi_types.hpp"

namespace gpuvm::efi {

/// CRC-32 as UEFI uses it (ISO 3309).
std::uint32_t crc32(const void* data, std::uint64_t size, std::uint32_t start = 0);

class VariableStore {
 public:
  static constexpr std::uint64_t kBlockSize = 64ULL * 1024;
  /// Of one variable's name and data together.
  static constexpr std::uint64_t kLargest = 32ULL * 1024;

  /// Over a block of kBlockSize bytes, whose contents stay as they are.
  explicit VariableStore(void* block) : block_(static_cast<std::uint8_t*>(block)) {}

  /// Makes it empty.
  void format();
  /// Null for a sound block of `size` bytes (the length of a file, at most kBlockSize), else what
  /// is wrong with it. Nothing is read past `size`.
  static const char* check(const void* block, std::uint64_t size);
  /// Bytes from the block's start that hold something.
  std::uint64_t used() const;

  /// GetVariable(). `runtime`: after ExitBootServices(). Errors: kInvalidParameter, kNotFound,
  /// kBufferTooSmall.
  EfiStatus get(const Char16* name, const Guid* vendor, std::uint32_t* attributes,
                std::uint64_t* size, void* data, bool runtime) const;
  /// GetNextVariableName(). Errors: kInvalidParameter (also a name that does not exist), kNotFound
  /// (no more), kBufferTooSmall.
  EfiStatus next(std::uint64_t* size, Char16* name, Guid* vendor, bool runtime) const;
  /// SetVariable(). `changed` says whether what must last is different now. Errors:
  /// kInvalidParameter, kNotFound (deleting what is not there), kUnsupported (authenticated),
  /// kWriteProtected (a volatile variable after ExitBootServices()), kOutOfResources.
  EfiStatus set(const Char16* name, const Guid* vendor, std::uint32_t attributes,
                std::uint64_t size, const void* data, bool runtime, bool& changed);
  /// Bytes left for records.
  std::uint64_t room() const { return kBlockSize - used(); }
  /// Drops what need not last (for a file, or a new start of the guest).
  void drop_volatile();

 private:
  struct Header;
  struct Record;
  Header& header() const;
  Record* first() const;
  Record* after(Record* record) const;
  bool at_end(const Record* record) const;
  Record* lookup(const Char16* name, std::uint64_t name_size, const Guid& vendor,
                 bool runtime) const;
  void erase(Record* record);
  EfiStatus remove(Record* old, bool runtime, bool& changed);
  EfiStatus replace(Record* old, Record head, const Char16* name, std::uint64_t size,
                    const void* data, bool append, bool& changed);
  void append_record(const Record& head, const Char16* name, const void* before, const void* data,
                     std::uint64_t before_size);
  void seal();

  std::uint8_t* block_;
};

}  // namespace gpuvm::efi
