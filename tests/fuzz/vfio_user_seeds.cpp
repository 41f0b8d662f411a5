// SPDX-License-Identifier: Apache-2.0
// Writes the corpus of vfio_user_fuzz: what the tests' well-behaved server answers when a function
// is opened and used. Usage: vfio_user_seeds DIRECTORY
#include <cstdio>
#include <fstream>
#include <string>

#include "devices/physical/vfio_user/vfio_user_device.hpp"
#include "tests/unit/devices/physical/vfio_user/scripted_server.hpp"

namespace {

using gpuvm::test::Bytes;
using gpuvm::test::Command;
using gpuvm::vfio_user::Header;

constexpr int kExitUsage = 64;

/// Everything that the server answers, as pieces of the fuzz target's input.
Bytes record(const std::string& capabilities) {
  Bytes pieces;
  gpuvm::test::ScriptedServer server;
  server.capabilities = capabilities;
  for (std::uint16_t command = 1; command <= 13; ++command) {
    server.on(static_cast<Command>(command), [&](const gpuvm::vfio_user::Message& message) {
      std::vector<int> fds;
      const auto payload = server.payload_for(message, fds);
      const auto size = static_cast<std::uint32_t>(sizeof(Header) + payload.size());
      gpuvm::append_bytes(pieces, static_cast<std::uint16_t>(size));
      gpuvm::append_bytes(pieces, static_cast<std::uint8_t>(fds.size()));
      gpuvm::append_bytes(pieces, Header{message.header.id, message.header.command, size, 1, 0});
      pieces.insert(pieces.end(), payload.begin(), payload.end());
      server.answer(message, payload, fds);
    });
  }
  const auto device = gpuvm::VfioUserDevice::adopt("seed", server.start(), {});
  if (device) {
    std::array<std::byte, 4> bytes{};
    static_cast<void>((*device)->read(gpuvm::RegionIndex::kConfig, 0, bytes));
    static_cast<void>((*device)->write(gpuvm::RegionIndex::kConfig, 4, bytes));
    static_cast<void>((*device)->slot_reset());
  }
  return pieces;
}

void write_file(const std::string& path, const Bytes& bytes) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "Usage: vfio_user_seeds DIRECTORY\n");
    return kExitUsage;
  }
  const std::string directory = argv[1];
  write_file(directory + "/plain", record("{}"));
  write_file(directory + "/small-transfers",
             record(R"({"capabilities":{"max_data_xfer_size":64}})"));
  return 0;
}
