// SPDX-License-Identifier: Apache-2.0
// Files that a user names for the first boot, and files that lie where guests are announced, as
// hostile bytes: user data judged and put on a volume, and a record of a running guest. What is
// accepted must come out again as it went in.
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <string>

#include "vmm/first_boot/credentials.hpp"
#include "vmm/first_boot/fat_volume.hpp"
#include "vmm/first_boot/nocloud.hpp"
#include "vmm/login/running_guest.hpp"

namespace gpuvm {
namespace {

void require(bool holds) {
  if (!holds) {
    std::abort();
  }
}

void try_user_data(const std::string& text) {
  NoCloudInput input{.guest = "g", .user_data = NoCloudInput::File{"/u", text}};
  const auto files = nocloud_files(input);
  if (!files) {
    require(files.error().kind() == ErrorKind::kConfig &&
            files.error().to_string().find('\n') == std::string::npos);
    return;
  }
  const auto volume = make_fat_volume(kNoCloudLabel, 0, *files);
  require(volume.has_value());
  require(text.empty() ||
          ::memmem(volume->data(), volume->size(), text.data(), text.size()) != nullptr);
}

void try_meta_data(const std::string& text) {
  NoCloudInput input{.guest = "g", .meta_data = NoCloudInput::File{"/m", text}};
  input.network_config = input.meta_data;
  const auto files = nocloud_files(input);
  require(files || files.error().kind() == ErrorKind::kConfig);
}

void try_record(const std::string& text) {
  const auto record = GuestRecord::parse(text);
  require(!record || GuestRecord::parse(record->to_text()) == record);
}

void try_credential(const std::string& text) {
  const auto string = credential_string({"name", text});
  require(string.find('\0') == std::string::npos && string.find('\n') == std::string::npos);
}

}  // namespace
}  // namespace gpuvm

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  gpuvm::try_user_data(text);
  gpuvm::try_meta_data(text);
  gpuvm::try_record(text);
  gpuvm::try_credential(text);
  return 0;
}
