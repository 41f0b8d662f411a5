// SPDX-License-Identifier: Apache-2.0
// From the first instruction to the kernel's: reads what the monitor says of the machine, describes
// memory, builds page tables, tables and protocols.
#include "firmware/efi/boot_services.hpp"
#include "firmware/efi/cpu.hpp"
#include "firmware/efi/firmware.hpp"
#include "firmware/efi/image_header.hpp"
#include "firmware/efi/kernel_start.hpp"
#include "firmware/efi/memory_setup.hpp"
#include "firmware/efi/runtime.hpp"

namespace gpuvm::efi {

extern "C" const ImageHeader image_base;

/// UEFI asks for 128 KiB (2.3.4); the kernel's stub stays on it until its own code starts.
constexpr std::size_t kStackSize = 192ULL * 1024;
extern "C" {
__attribute__((section(".bss.boot"), aligned(16))) std::uint8_t gpuvm_efi_stack[kStackSize];
}

namespace {

/// Pages of the firmware itself and of the tree that it was given.
const char* describe_memory(const void* tree, std::uint64_t tree_size) {
  const Region firmware_pages[] = {
      {image_base.base, image_base.data - image_base.base},
      {image_base.data, image_base.runtime_end - image_base.data},
      {image_base.runtime_end, image_base.memory_end - image_base.runtime_end},
      {reinterpret_cast<std::uint64_t>(tree), tree_size}};
  const TypedRegion own[] = {{firmware_pages[0], MemoryType::kRuntimeServicesCode},
                             {firmware_pages[1], MemoryType::kRuntimeServicesData},
                             {firmware_pages[2], MemoryType::kBootServicesData},
                             {firmware_pages[3], MemoryType::kBootServicesData}};
  return set_up_memory(firmware().machine, own, sizeof own / sizeof own[0], firmware().memory);
}

const char* map_memory() {
  auto& state = firmware();
  const std::uint64_t end = state.memory.end_of_ram();
  if (state.paging.build(state.memory, end > kFourGiB ? end : kFourGiB, has_giant_pages()) !=
      EfiStatus::kSuccess) {
    return "no memory for page tables";
  }
  if (enable_execute_protection()) {
    state.paging.allow_execute_protection();
  }
  load_page_tables(state.paging.root());
  return nullptr;
}

void add_tables() {
  auto& state = firmware();
  open_runtime(state.machine, {image_base.base, image_base.runtime_end - image_base.base});
  if (state.machine.rsdp != 0) {
    install_table(guids::kAcpi20, reinterpret_cast<void*>(state.machine.rsdp));
  }
  if (state.machine.smbios3 != 0) {
    install_table(guids::kSmbios3, reinterpret_cast<void*>(state.machine.smbios3));
  }
  fill_boot_services(state.services);
  auto& system = runtime().system;
  system.boot = &state.services;
  system.console_out = state.console.protocol();
  system.error = state.console.protocol();
}

const char* add_protocols() {
  auto& state = firmware();
  auto& system = runtime().system;
  Handle console = nullptr;
  bool done = state.handles.install(console, guids::kSimpleTextOutput, system.console_out) ==
              EfiStatus::kSuccess;
  system.console_out_handle = console;
  system.error_handle = console;
  if (state.machine.seed_size != 0) {
    state.random.seed(state.machine.seed, state.machine.seed_size);
    Handle random = nullptr;
    done = done && state.handles.install(random, guids::kRng, state.random.protocol()) ==
                       EfiStatus::kSuccess;
  }
  Handle attributes = nullptr;
  done = done && state.handles.install(attributes, guids::kMemoryAttribute,
                                       memory_attribute_protocol()) == EfiStatus::kSuccess;
  for (std::size_t i = 0; i < state.machine.function_count; ++i) {
    auto& device = state.pci_devices[i];
    device.open(state.machine.functions[i], state.machine.ecam);
    Handle handle = nullptr;
    done = done &&
           state.handles.install(handle, guids::kPciIo, &device.protocol) == EfiStatus::kSuccess;
  }
  return done ? nullptr : "no room for protocols";
}

const char* start(void* tree) {
  auto& state = firmware();
  if (const char* wrong = read_machine_description(tree, state.machine)) {
    return wrong;
  }
  state.console.open(state.machine.serial_port);
  load_descriptor_tables();
  const char* wrong = describe_memory(tree, state.machine.tree_size);
  if (wrong == nullptr) {
    wrong = map_memory();
  }
  if (wrong != nullptr) {
    return wrong;
  }
  add_tables();
  wrong = add_protocols();
  return wrong != nullptr ? wrong : start_kernel();
}

}  // namespace

extern "C" [[noreturn]] void gpuvm_efi_main(void* tree) {
  create_firmware();
  create_runtime();
  stop_with(start(tree));
}

extern "C" void gpuvm_efi_stack_smashed() {
  stop_with("its stack was overwritten");
}

__asm__(R"(
  .pushsection .text
  .globl gpuvm_efi_entry
gpuvm_efi_entry:
  cld
  leaq gpuvm_efi_stack(%rip), %rsp
  addq $192 * 1024, %rsp  # kStackSize
  movq %rsi, %rdi
  xorl %ebp, %ebp
  call gpuvm_efi_main
  .popsection
)");

}  // namespace gpuvm::efi
