// SPDX-License-Identifier: Apache-2.0
#include "firmware/efi/boot_services.hpp"

#include <cstring>

#include "firmware/efi/cpu.hpp"
#include "firmware/efi/firmware.hpp"
#include "firmware/efi/text.hpp"
#include "firmware/efi/variable_store.hpp"

namespace gpuvm::efi {
namespace {

constexpr std::uint64_t kTplApplication = 4;
constexpr std::uint64_t kPausesPerMicrosecond = 20;  // roughly: nothing here depends on the time

std::uint64_t GPUVM_EFIAPI raise_tpl(std::uint64_t) {
  return kTplApplication;  // there are no events that a level could hold back
}

void GPUVM_EFIAPI restore_tpl(std::uint64_t) {}

/// The kernel gave up; it has said why.
EfiStatus GPUVM_EFIAPI exit_image(Handle, EfiStatus status, std::uint64_t, const Char16*) {
  stop_with(Text()
                .add("its EFI stub gave up with status ")
                .add_hex(static_cast<std::uint64_t>(status))
                .c_str());
}

EfiStatus GPUVM_EFIAPI get_next_monotonic_count(std::uint64_t* count) {
  if (count == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  *count = ++firmware().monotonic_count;
  return EfiStatus::kSuccess;
}

EfiStatus GPUVM_EFIAPI stall(std::uint64_t microseconds) {
  for (std::uint64_t i = 0; i < microseconds * kPausesPerMicrosecond; ++i) {
    relax();
  }
  return EfiStatus::kSuccess;
}

/// There is no watchdog: nothing to switch off.
EfiStatus GPUVM_EFIAPI set_watchdog_timer(std::uint64_t seconds, std::uint64_t, std::uint64_t,
                                          const Char16*) {
  return seconds == 0 ? EfiStatus::kSuccess : EfiStatus::kUnsupported;
}

EfiStatus GPUVM_EFIAPI calculate_crc32(const void* data, std::uint64_t size, std::uint32_t* crc) {
  if (data == nullptr || size == 0 || crc == nullptr) {
    return EfiStatus::kInvalidParameter;
  }
  *crc = crc32(data, size);
  return EfiStatus::kSuccess;
}

void GPUVM_EFIAPI copy_mem(void* to, const void* from, std::uint64_t size) {
  std::memmove(to, from, size);
}

void GPUVM_EFIAPI set_mem(void* to, std::uint64_t size, std::uint8_t value) {
  std::memset(to, value, size);
}

void refuse_the_rest(BootServices& services) {
  services.create_event = unsupported;
  services.set_timer = unsupported;
  services.wait_for_event = unsupported;
  services.signal_event = unsupported;
  services.close_event = unsupported;
  services.check_event = unsupported;
  services.reinstall_protocol_interface = unsupported;
  services.register_protocol_notify = unsupported;
  services.load_image = unsupported;
  services.start_image = unsupported;
  services.unload_image = unsupported;
  services.connect_controller = unsupported;
  services.disconnect_controller = unsupported;
  services.open_protocol_information = unsupported;
  services.protocols_per_handle = unsupported;
  services.install_multiple_protocol_interfaces = unsupported;
  services.uninstall_multiple_protocol_interfaces = unsupported;
  services.create_event_ex = unsupported;
}

}  // namespace

void fill_boot_services(BootServices& services) {
  services = {};
  refuse_the_rest(services);
  services.raise_tpl = raise_tpl;
  services.restore_tpl = restore_tpl;
  services.exit = exit_image;
  services.get_next_monotonic_count = get_next_monotonic_count;
  services.stall = stall;
  services.set_watchdog_timer = set_watchdog_timer;
  services.calculate_crc32 = calculate_crc32;
  services.copy_mem = copy_mem;
  services.set_mem = set_mem;
  fill_memory_services(services);
  fill_protocol_services(services);
  services.header = {
      .signature = kBootServicesSignature, .revision = kUefiRevision, .size = sizeof(BootServices)};
  services.header.crc32 = crc32(&services, sizeof services);
}

}  // namespace gpuvm::efi
