// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/console.hpp"

#include "firmware/efi/firmware.hpp"
#include "firmware/efi/ports.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint16_t kLineStatus = 5;
constexpr std::uint8_t kTransmitterEmpty = 0x20;
constexpr unsigned kSendPatience = 100'000;  // polls; then the character is dropped
constexpr std::uint64_t kColumns = 80;
constexpr std::uint64_t kRows = 25;

EfiStatus GPUVM_EFIAPI reset(TextOutput*, std::uint8_t) {
  return EfiStatus::kSuccess;
}

EfiStatus GPUVM_EFIAPI output_string(TextOutput*, const Char16* text) {
  if (text == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  firmware().console.print(text);
  return EfiStatus::kSuccess;
}

EfiStatus GPUVM_EFIAPI test_string(TextOutput*, const Char16* text) {
  for (; text != nullptr && *text != 0; ++text) {
    if (*text > 0x7e) {
      return EfiStatus::kUnsupported;
    }
  }
  return EfiStatus::kSuccess;
}

EfiStatus GPUVM_EFIAPI query_mode(TextOutput*, std::uint64_t mode, std::uint64_t* columns,
                                  std::uint64_t* rows) {
  if (mode != 0 || columns == nullptr || rows == nullptr) {
    return EfiStatus::kUnsupported;
  }
  *columns = kColumns;
  *rows = kRows;
  return EfiStatus::kSuccess;
}

EfiStatus GPUVM_EFIAPI set_mode(TextOutput*, std::uint64_t mode) {
  return mode == 0 ? EfiStatus::kSuccess : EfiStatus::kUnsupported;
}

}  // namespace

void Console::open(std::uint16_t port) {
  port_ = port;
  protocol_ = {.reset = reset,
               .output_string = output_string,
               .test_string = test_string,
               .query_mode = query_mode,
               .set_mode = set_mode,
               .set_attribute = unsupported,
               .clear_screen = unsupported,
               .set_cursor_position = unsupported,
               .enable_cursor = unsupported,
               .mode = &mode_};
}

void Console::put(char character) {
  if (port_ == 0) {
    return;
  }
  const auto status = static_cast<std::uint16_t>(port_ + kLineStatus);
  for (unsigned i = 0; i < kSendPatience && (read_port8(status) & kTransmitterEmpty) == 0; ++i) {
  }
  write_port8(port_, static_cast<std::uint8_t>(character));
}

void Console::print(const char* text) {
  for (; *text != '\0'; ++text) {
    if (*text == '\n') {
      put('\r');
    }
    put(*text);
  }
}

void Console::print(const Char16* text) {
  for (; *text != 0; ++text) {
    put(*text < 0x7f ? static_cast<char>(*text) : '?');
  }
}

}  // namespace gpuvm::efi
