// SPDX-License-Identifier: Apache-2.0
#include "firmware/ovmf/table_loader.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "vmm/base/bytes.hpp"

namespace gpuvm::ovmf {
namespace {

using FileName = std::array<char, 56>;

enum Command : std::uint32_t { kAllocate = 1, kAddPointer = 2, kAddChecksum = 3 };
enum Zone : std::uint8_t {
  kAnywhere = 1,  ///< below 4 GiB
  kAnchor = 2,    ///< where operating systems search for the RSDP
};

#pragma pack(push, 1)
struct Allocate {
  FileName file;
  std::uint32_t alignment;
  std::uint8_t zone;
};
struct AddPointer {
  FileName in;
  FileName target;
  std::uint32_t offset;
  std::uint8_t size;
};
struct AddChecksum {
  FileName in;
  std::uint32_t offset;
  std::uint32_t start;
  std::uint32_t length;
};
#pragma pack(pop)

constexpr std::size_t kEntrySize = 128;

FileName file_name(std::string_view name) {
  FileName out{};
  std::copy(name.begin(), name.end(), out.begin());
  return out;
}

FileName file_name(AcpiBlob blob) {
  switch (blob) {
    case AcpiBlob::kRsdp:
      return file_name(kRsdpFile);
    case AcpiBlob::kTables:
      return file_name(kTablesFile);
    case AcpiBlob::kData:
      break;
  }
  return file_name(kDataFile);
}

template <class T>
void append(std::vector<std::byte>& out, Command command, const T& arguments) {
  static_assert(sizeof(std::uint32_t) + sizeof(T) <= kEntrySize);
  const std::size_t end = out.size() + kEntrySize;
  append_bytes(out, static_cast<std::uint32_t>(command));
  append_bytes(out, arguments);
  out.resize(end);
}

}  // namespace

std::vector<std::byte> table_loader(const AcpiBlobs& blobs) {
  std::vector<std::byte> out;
  append(out, kAllocate, Allocate{file_name(kRsdpFile), kRsdpAlignment, kAnchor});
  append(out, kAllocate, Allocate{file_name(kTablesFile), kAcpiTablesAlignment, kAnywhere});
  if (!blobs.data.empty()) {
    append(out, kAllocate, Allocate{file_name(kDataFile), kAcpiTablesAlignment, kAnywhere});
  }
  for (const auto& pointer : blobs.pointers) {
    append(
        out, kAddPointer,
        AddPointer{file_name(pointer.in), file_name(pointer.target), pointer.offset, pointer.size});
  }
  for (const auto& checksum : blobs.checksums) {
    append(out, kAddChecksum,
           AddChecksum{file_name(checksum.in), checksum.offset, checksum.start, checksum.length});
  }
  return out;
}

}  // namespace gpuvm::ovmf
