// SPDX-License-Identifier: Apache-2.0
// Specification: Intel SDM volume 3, sections 2.5 (control registers), 3.4.5 (segment descriptors),
// 6.14 (64-bit interrupt gates).
#include "firmware/efi/cpu.hpp"

#include "firmware/efi/firmware.hpp"
#include "firmware/efi/text.hpp"

namespace gpuvm::efi {
namespace {

constexpr unsigned kExceptions = 32;
constexpr std::uint16_t kCodeSelector = 0x10;  // boot.rst: __BOOT_CS; __BOOT_DS is 0x18
constexpr std::uint32_t kExtendedFeatures = 0x80000001;
constexpr std::uint32_t kFeatureNoExecute = 1u << 20;
constexpr std::uint32_t kFeatureGiantPages = 1u << 26;
constexpr std::uint32_t kMsrEfer = 0xc0000080;
constexpr std::uint32_t kEferNoExecute = 1u << 11;
constexpr std::uint64_t kCr4FxSave = 0x600;  // OSFXSR, OSXMMEXCPT

struct Gate {
  std::uint16_t offset_low = 0;
  std::uint16_t selector = 0;
  std::uint16_t type = 0;
  std::uint16_t offset_middle = 0;
  std::uint32_t offset_high = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(Gate) == 16);
constexpr std::uint16_t kInterruptGate = 0x8e00;  // present, DPL 0, 64-bit interrupt gate

struct __attribute__((packed)) TablePointer {
  std::uint16_t limit;
  std::uint64_t base;
};

// Flat, accessed; the same selectors as at the entry, so that nothing has to be reloaded.
std::uint64_t gdt[4] = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
Gate idt[kExceptions];

std::uint32_t extended_features() {
  std::uint32_t a = kExtendedFeatures;
  std::uint32_t b = 0;
  std::uint32_t c = 0;
  std::uint32_t d = 0;
  __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  return d;
}

}  // namespace

bool has_giant_pages() {
  return (extended_features() & kFeatureGiantPages) != 0;
}

bool enable_execute_protection() {
  if ((extended_features() & kFeatureNoExecute) == 0) {
    return false;
  }
  std::uint32_t low = 0;
  std::uint32_t high = 0;
  __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(kMsrEfer));
  __asm__ volatile("wrmsr" : : "a"(low | kEferNoExecute), "d"(high), "c"(kMsrEfer));
  return true;
}

void load_page_tables(std::uint64_t root) {
  std::uint64_t cr4 = 0;
  __asm__ volatile("mov %%cr4, %0" : "=r"(cr4));
  __asm__ volatile("mov %0, %%cr4" : : "r"(cr4 | kCr4FxSave));
  __asm__ volatile("mov %0, %%cr3" : : "r"(root) : "memory");
}

void flush_translations() {
  std::uint64_t root = 0;
  __asm__ volatile("mov %%cr3, %0\n\tmov %0, %%cr3" : "=r"(root) : : "memory");
}

void relax() {
  __asm__ volatile("pause");
}

[[noreturn]] void halt() {
  for (;;) {
    __asm__ volatile("cli\n\thlt");
  }
}

/// Called by the gates below.
extern "C" [[noreturn]] void gpuvm_efi_exception(std::uint64_t vector, std::uint64_t error,
                                                 std::uint64_t address) {
  std::uint64_t fault_address = 0;
  __asm__ volatile("mov %%cr2, %0" : "=r"(fault_address));
  stop_with(Text()
                .add("exception ")
                .add_hex(vector)
                .add(" at ")
                .add_hex(address)
                .add(", error code ")
                .add_hex(error)
                .add(", CR2 ")
                .add_hex(fault_address)
                .c_str());
}

extern "C" const char gpuvm_efi_gates[];

// 32 entries of 16 bytes. Exceptions with an error code: SDM volume 3, table 6-1.
__asm__(R"(
  .pushsection .text
  .balign 16
gpuvm_efi_gates:
  .set vector, 0
  .rept 32
  .balign 16
  .if !(vector == 8 || (vector >= 10 && vector <= 14) || vector == 17 || vector == 21 || vector == 29 || vector == 30)
  pushq $0
  .endif
  pushq $vector
  jmp gpuvm_efi_common
  .set vector, vector + 1
  .endr
gpuvm_efi_common:
  popq %rdi
  popq %rsi
  movq (%rsp), %rdx
  andq $-16, %rsp
  call gpuvm_efi_exception
  .popsection
)");

void load_descriptor_tables() {
  for (unsigned i = 0; i < kExceptions; ++i) {
    const auto target = reinterpret_cast<std::uint64_t>(gpuvm_efi_gates) + i * 16ULL;
    idt[i] = {.offset_low = static_cast<std::uint16_t>(target),
              .selector = kCodeSelector,
              .type = kInterruptGate,
              .offset_middle = static_cast<std::uint16_t>(target >> 16),
              .offset_high = static_cast<std::uint32_t>(target >> 32)};
  }
  const TablePointer gdt_pointer = {sizeof gdt - 1, reinterpret_cast<std::uint64_t>(gdt)};
  const TablePointer idt_pointer = {sizeof idt - 1, reinterpret_cast<std::uint64_t>(idt)};
  __asm__ volatile("lgdt %0\n\tlidt %1" : : "m"(gdt_pointer), "m"(idt_pointer));
}

}  // namespace gpuvm::efi
