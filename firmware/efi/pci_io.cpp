// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/pci_io.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint32_t kConfigSize = 4096;
constexpr std::uint32_t kFifo = 4;  // widths 4 to 7: the buffer moves, the register does not
constexpr std::uint32_t kFill = 8;  // widths 8 to 11: the register moves, the buffer does not
constexpr std::uint32_t kWidths = 12;
constexpr std::uint32_t kAttributeGet = 0;
constexpr std::uint32_t kAttributeSupported = 4;

PciIoDevice& device_of(PciIo* self) {
  return *reinterpret_cast<PciIoDevice*>(self);
}

template <class T>
void access(std::uint64_t from, std::uint64_t to) {
  *reinterpret_cast<volatile T*>(to) = *reinterpret_cast<const volatile T*>(from);
}

void move(std::uint32_t size_code, std::uint64_t from, std::uint64_t to) {
  switch (size_code) {
    case 0:
      return access<std::uint8_t>(from, to);
    case 1:
      return access<std::uint16_t>(from, to);
    default:
      return access<std::uint32_t>(from, to);
  }
}

/// 14.4: width as EFI_PCI_IO_PROTOCOL_WIDTH; 64-bit accesses to configuration space do not exist.
EfiStatus config_access(PciIo* self, std::uint32_t width, std::uint32_t offset, std::uint64_t count,
                        void* buffer, bool write) {
  if (buffer == nullptr || width >= kWidths || width % kFifo == 3) {
    return EfiStatus::kInvalidParameter;
  }
  const std::uint64_t size = std::uint64_t{1} << width % kFifo;
  const std::uint64_t span = width >= kFifo && width < kFill ? 1 : count;
  if (offset % size != 0 || offset > kConfigSize || span > (kConfigSize - offset) / size) {
    return EfiStatus::kUnsupported;
  }
  std::uint64_t register_at = device_of(self).config + offset;
  auto memory_at = reinterpret_cast<std::uint64_t>(buffer);
  for (std::uint64_t i = 0; i < count; ++i) {
    move(width % kFifo, write ? memory_at : register_at, write ? register_at : memory_at);
    register_at += width >= kFifo && width < kFill ? 0 : size;
    memory_at += width >= kFill ? 0 : size;
  }
  return EfiStatus::kSuccess;
}

EfiStatus GPUVM_EFIAPI config_read(PciIo* self, std::uint32_t width, std::uint32_t offset,
                                   std::uint64_t count, void* buffer) {
  return config_access(self, width, offset, count, buffer, false);
}

EfiStatus GPUVM_EFIAPI config_write(PciIo* self, std::uint32_t width, std::uint32_t offset,
                                    std::uint64_t count, void* buffer) {
  return config_access(self, width, offset, count, buffer, true);
}

EfiStatus GPUVM_EFIAPI get_location(PciIo* self, std::uint64_t* segment, std::uint64_t* bus,
                                    std::uint64_t* device, std::uint64_t* function) {
  if (segment == nullptr || bus == nullptr || device == nullptr || function == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  const auto& description = device_of(self).function;
  *segment = 0;
  *bus = description.bus;
  *device = description.device;
  *function = description.function;
  return EfiStatus::kSuccess;
}

/// Nothing can be switched: the monitor has set the function up.
EfiStatus GPUVM_EFIAPI attributes(PciIo*, std::uint32_t operation, std::uint64_t,
                                  std::uint64_t* result) {
  if (operation != kAttributeGet && operation != kAttributeSupported) {
    return EfiStatus::kUnsupported;
  }
  if (result == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  *result = 0;
  return EfiStatus::kSuccess;
}

}  // namespace

void PciIoDevice::open(const PciFunctionDescription& description, std::uint64_t ecam) {
  function = description;
  // PCI Express Base 6.0, 7.2.2: bus, device and function in bits 27 to 12.
  config = ecam + (std::uint64_t{description.bus} << 20 | std::uint64_t{description.device} << 15 |
                   std::uint64_t{description.function} << 12);
  protocol = {.poll_memory = unsupported,
              .poll_io = unsupported,
              .memory_read = unsupported,
              .memory_write = unsupported,
              .io_read = unsupported,
              .io_write = unsupported,
              .config_read = config_read,
              .config_write = config_write,
              .copy_memory = unsupported,
              .map = unsupported,
              .unmap = unsupported,
              .allocate_buffer = unsupported,
              .free_buffer = unsupported,
              .flush = unsupported,
              .get_location = get_location,
              .attributes = attributes,
              .get_bar_attributes = unsupported,
              .set_bar_attributes = unsupported,
              .rom_size = description.rom.size,
              .rom_image = reinterpret_cast<void*>(description.rom.base)};
}

}  // namespace gpuvm::efi
