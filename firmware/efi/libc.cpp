// SPDX-License-Identifier: Apache-2.0
// The C library functions that the compiler and libfdt call. Simple loops: nothing here is large,
// except a copy of the initrd, which uses the CPU's string instruction.
#include <cstddef>
#include <cstdint>

extern "C" {

void* memcpy(void* to, const void* from, std::size_t size) {
  void* at = to;
  __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
  return to;
}

void* memset(void* to, int value, std::size_t size) {
  void* at = to;
  __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
  return to;
}

void* memmove(void* to, const void* from, std::size_t size) {
  auto* target = static_cast<std::uint8_t*>(to);
  const auto* source = static_cast<const std::uint8_t*>(from);
  if (target <= source || target >= source + size) {
    return memcpy(to, from, size);
  }
  for (std::size_t i = size; i-- > 0;) {
    target[i] = source[i];
  }
  return to;
}

int memcmp(const void* left, const void* right, std::size_t size) {
  const auto* a = static_cast<const std::uint8_t*>(left);
  const auto* b = static_cast<const std::uint8_t*>(right);
  for (std::size_t i = 0; i < size; ++i) {
    if (a[i] != b[i]) {
      return a[i] < b[i] ? -1 : 1;
    }
  }
  return 0;
}

void* memchr(const void* at, int value, std::size_t size) {
  const auto* bytes = static_cast<const std::uint8_t*>(at);
  for (std::size_t i = 0; i < size; ++i) {
    if (bytes[i] == static_cast<std::uint8_t>(value)) {
      return const_cast<std::uint8_t*>(bytes + i);
    }
  }
  return nullptr;
}

std::size_t strnlen(const char* text, std::size_t most) {
  std::size_t length = 0;
  while (length < most && text[length] != '\0') {
    ++length;
  }
  return length;
}

std::size_t strlen(const char* text) {
  return strnlen(text, SIZE_MAX);
}

char* strchr(const char* text, int value) {
  return static_cast<char*>(memchr(text, value, strlen(text) + 1));
}

char* strrchr(const char* text, int value) {
  for (std::size_t i = strlen(text) + 1; i-- > 0;) {
    if (text[i] == static_cast<char>(value)) {
      return const_cast<char*>(text + i);
    }
  }
  return nullptr;
}

// libfdt comes compiled with a stack protector; its canary is at offset 0x28 of segment FS, whose
// base is 0 here.
void gpuvm_efi_stack_smashed();
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming): the compiler's name
__attribute__((noreturn)) void __stack_chk_fail() {
  gpuvm_efi_stack_smashed();
  for (;;) {
  }
}

}  // extern "C"
