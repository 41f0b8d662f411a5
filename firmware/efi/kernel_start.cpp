// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/kernel_start.hpp"

#include <cstring>

#include "firmware/efi/firmware.hpp"
#include "firmware/efi/runtime.hpp"
#include "firmware/efi/text.hpp"

namespace gpuvm::efi {
namespace {

// boot_params, Documentation/arch/x86/zero-page.rst and boot.rst.
constexpr std::size_t kBootParamsPages = 1;
constexpr std::size_t kSetupHeader = 0x1f1;
constexpr std::size_t kTypeOfLoader = 0x210;
constexpr std::uint8_t kLoaderUndefined = 0xff;
constexpr std::size_t kCode32Start = 0x214;
constexpr std::size_t kRamdiskImage = 0x218;
constexpr std::size_t kRamdiskSize = 0x21c;
constexpr std::size_t kCommandLine = 0x228;
constexpr std::size_t kExtRamdiskImage = 0x0c0;
constexpr std::size_t kExtRamdiskSize = 0x0c4;
constexpr std::size_t kExtCommandLine = 0x0c8;

using HandoverEntry = void (*)(Handle image, SystemTable* system, void* boot_params);
using PeEntry = EfiStatus(GPUVM_EFIAPI*)(Handle image, SystemTable* system);

/// A 64-bit value in two fields of 32 bits, the upper one in the extended part of boot_params.
void store_split(std::uint8_t* params, std::size_t low, std::size_t high, std::uint64_t value) {
  const auto lower = static_cast<std::uint32_t>(value);
  const auto upper = static_cast<std::uint32_t>(value >> 32);
  std::memcpy(params + low, &lower, sizeof lower);
  std::memcpy(params + high, &upper, sizeof upper);
}

/// Memory below 4 GiB for the kernel, cleared; null when there is none.
std::uint8_t* loader_data(std::uint64_t size) {
  std::uint64_t address = kFourGiB - 1;
  const std::uint64_t pages = (size + kEfiPageSize - 1) >> kEfiPageShift;
  if (firmware().memory.allocate(AllocateType::kMaxAddress, MemoryType::kLoaderData, pages,
                                 address) != EfiStatus::kSuccess) {
    return nullptr;
  }
  auto* memory = reinterpret_cast<std::uint8_t*>(address);
  std::memset(memory, 0, pages << kEfiPageShift);
  return memory;
}

/// UEFI 2.10, 13.2.2.
EfiStatus GPUVM_EFIAPI load_initrd(LoadFile2*, const void* path, std::uint8_t boot_policy,
                                   std::uint64_t* size, void* buffer) {
  const Region& initrd = firmware().machine.initrd;
  if (path == nullptr || size == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  if (boot_policy != 0) {
    return EfiStatus::kUnsupported;
  }
  const std::uint64_t room = *size;
  *size = initrd.size;
  if (buffer == nullptr || room < initrd.size) {
    return EfiStatus::kBufferTooSmall;
  }
  std::memcpy(buffer, reinterpret_cast<const void*>(initrd.base), initrd.size);
  return EfiStatus::kSuccess;
}

/// For a PE kernel: the initrd under the device path where Linux looks for it. (By the handover
/// protocol the kernel uses it where it is, without a copy.)
const char* offer_initrd() {
  static LoadFile2 protocol;
  static VendorMediaPath path;
  protocol = {load_initrd};
  path = {.vendor = guids::kLinuxInitrdMedia};
  Handle handle = nullptr;
  auto& handles = firmware().handles;
  if (handles.install(handle, guids::kDevicePath, &path) != EfiStatus::kSuccess ||
      handles.install(handle, guids::kLoadFile2, &protocol) != EfiStatus::kSuccess) {
    return "no room for the initrd's protocol";
  }
  return nullptr;
}

const char* start_by_handover() {
  auto& machine = firmware().machine;
  const std::size_t length = std::strlen(machine.command_line) + 1;
  auto* params = loader_data(kBootParamsPages << kEfiPageShift);
  auto* command_line = loader_data(length);
  if (params == nullptr || command_line == nullptr ||
      machine.kernel.setup_header_size > (kBootParamsPages << kEfiPageShift) - kSetupHeader) {
    return "no memory for the kernel's parameters";
  }
  std::memcpy(params + kSetupHeader, machine.kernel.setup_header, machine.kernel.setup_header_size);
  std::memcpy(command_line, machine.command_line, length);
  params[kTypeOfLoader] = kLoaderUndefined;
  // Stubs before Linux 5.7 take their own image from there.
  const auto code32_start = static_cast<std::uint32_t>(machine.kernel.image.base);
  std::memcpy(params + kCode32Start, &code32_start, sizeof code32_start);
  store_split(params, kCommandLine, kExtCommandLine, reinterpret_cast<std::uint64_t>(command_line));
  store_split(params, kRamdiskImage, kExtRamdiskImage, machine.initrd.base);
  store_split(params, kRamdiskSize, kExtRamdiskSize, machine.initrd.size);
  const auto entry = reinterpret_cast<HandoverEntry>(machine.kernel.entry);
  firmware().kernel_entered = true;
  entry(firmware().image_handle, &runtime().system, params);
  return "its EFI handover entry came back";
}

/// The command line in UTF-16, as load options.
bool set_load_options(LoadedImage& image, const char* text) {
  const std::size_t length = std::strlen(text) + 1;
  auto* options = reinterpret_cast<Char16*>(loader_data(length * sizeof(Char16)));
  if (options == nullptr) {
    return false;
  }
  for (std::size_t i = 0; i < length; ++i) {
    options[i] = static_cast<std::uint8_t>(text[i]);
  }
  image.options = options;
  image.options_size = static_cast<std::uint32_t>(length * sizeof(Char16));
  return true;
}

const char* start_as_pe() {
  auto& machine = firmware().machine;
  if (machine.initrd.size != 0) {
    if (const char* wrong = offer_initrd()) {
      return wrong;
    }
  }
  const auto entry = reinterpret_cast<PeEntry>(machine.kernel.entry);
  firmware().kernel_entered = true;
  const EfiStatus status = entry(firmware().image_handle, &runtime().system);
  stop_with(Text()
                .add("its PE entry came back with status ")
                .add_hex(static_cast<std::uint64_t>(status))
                .c_str());
}

}  // namespace

const char* start_kernel() {
  auto& state = firmware();
  auto& image = state.loaded_image;
  image.system = &runtime().system;
  image.base = reinterpret_cast<void*>(state.machine.kernel.image.base);
  image.size = state.machine.kernel.image.size;
  image.code_type = static_cast<std::uint32_t>(MemoryType::kLoaderCode);
  image.data_type = static_cast<std::uint32_t>(MemoryType::kLoaderData);
  if (!set_load_options(image, state.machine.command_line)) {
    return "no memory for the command line";
  }
  if (state.handles.install(state.image_handle, guids::kLoadedImage, &image) !=
      EfiStatus::kSuccess) {
    return "no room for the kernel's handle";
  }
  return state.machine.kernel.handover ? start_by_handover() : start_as_pe();
}

}  // namespace gpuvm::efi
