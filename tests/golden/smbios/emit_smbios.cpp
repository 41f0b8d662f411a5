// SPDX-License-Identifier: Apache-2.0
// Writes the SMBIOS tables of a machine in the form of dmidecode's dump file: the entry point at
// offset 0 with a table address of 0x20, the structures there.
#include <fmt/core.h>

#include <cstddef>
#include <fstream>
#include <span>

#include "firmware/smbios/smbios.hpp"
#include "firmware/smbios/smbios_spec.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

SmbiosInput machine() {
  SmbiosInput input;
  input.uuid = machine_uuid("demo");
  input.machine_name = "demo";
  input.version = "0.1.0";
  input.processors = {1,          8,         2, "GenuineIntel", "Intel(R) Xeon(R) Gold 6430",
                      0x000806f8, 0x0f8bfbff};
  input.ram = {range(0, 2_GiB), range(4_GiB, 14_GiB)};
  input.oem_strings = {"io.systemd.credential:greeting=hello", "second string"};
  return input;
}

/// Moves the table address, and mends the checksum by the difference.
void relocate_entry_point(std::span<std::byte> image, std::uint64_t table) {
  auto entry = load_at<smbios::EntryPoint>(image, 0).value();
  const auto digits = [](std::uint64_t value) {
    unsigned sum = 0;
    for (; value != 0; value >>= 8) {
      sum += static_cast<unsigned>(value & 0xff);
    }
    return sum;
  };
  const unsigned mended = entry.checksum + digits(entry.table_address) - digits(table);
  entry.checksum = static_cast<std::uint8_t>(mended & 0xff);
  entry.table_address = table;
  const auto bytes = std::as_bytes(std::span(&entry, 1));
  std::copy(bytes.begin(), bytes.end(), image.begin());
}

int run(const char* path) {
  Result<SmbiosImage> image = build_smbios(machine());
  if (!image) {
    fmt::print(stderr, "{}\n", image.error().to_string());
    return 1;
  }
  const auto entry = load_at<smbios::EntryPoint>(image->bytes, 0).value();
  relocate_entry_point(image->bytes, entry.table_address - image->base.value());
  std::ofstream file(path, std::ios::binary);
  for (const std::byte byte : image->bytes) {
    file.put(static_cast<char>(byte));
  }
  return file.good() ? 0 : 1;
}

}  // namespace
}  // namespace gpuvm

int main(int argc, char** argv) {
  return argc == 2 ? gpuvm::run(argv[1]) : 64;
}
