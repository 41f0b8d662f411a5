// SPDX-License-Identifier: Apache-2.0
// HandoverBoot: boot.mode = "efi-handover": the guest's own small EFI firmware (firmware/efi), the
// kernel beside it, the device tree that describes the machine to it, and the port by which it
// talks to the monitor (firmware/efi/monitor_port.hpp).
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "firmware/acpi/acpi_numa.hpp"
#include "firmware/efi/variable_file.hpp"
#include "firmware/fdt/machine_tree.hpp"
#include "firmware/linux/cpu_entry_state.hpp"
#include "firmware/linux/e820.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/pci/firmware_functions.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class HandoverBoot : public IoHandler, public Inspectable {
 public:
  static constexpr IoPort kPort{0x620};
  static constexpr std::uint64_t kPortCount = 1;

  struct Load {
    const Config& config;
    GuestAddress rsdp;
    GuestAddress smbios3;
    std::vector<E820Entry> reserved;  ///< soft reserved: a device's memory
    std::optional<AcpiNuma> numa = {};
    TreePci pci;  ///< its functions are those below
    std::vector<FirmwareFunction> functions;
    FileOpener open_file = {};  ///< of kernel and initrd
  };

  /// `config` and `memory` must outlive this. `on_failure`: from a vCPU thread, the kernel does not
  /// start: kConfig where it is the kernel's fault, kInternal where it is the firmware's.
  HandoverBoot(const Config& config, const GuestMemory& memory,
               std::function<void(Error)> on_failure, std::unique_ptr<VariableFile> variables);

  /// Puts firmware, kernel, initrd, ROMs and tree into memory. vCPUs are stopped. Errors: kConfig
  /// naming the file, what is wrong with it and the cure.
  Result<CpuEntryState> load(const Load& what);

  /// The device tree that load() hands to the firmware of a guest without variables, made in
  /// `memory`, which nobody uses. Errors: as load().
  static Result<std::vector<std::byte>> make_tree(const GuestMemory& memory, const Load& what);

  std::string_view name() const override { return "EFI firmware"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void inspect(InspectNode& node) const override;

 private:
  bool save_variables();
  bool take_report_byte(std::byte value) GPUVM_EXCLUDES(mutex_);

  const Config& config_;
  const GuestMemory& memory_;
  const std::function<void(Error)> on_failure_;
  std::unique_ptr<VariableFile> variables_;
  std::atomic<bool> failed_{false};  ///< the answer to the last command
  std::atomic<std::uint64_t> saves_{0};
  log::RateLimit limit_;
  Mutex mutex_;
  std::optional<ErrorKind> report_ GPUVM_GUARDED_BY(mutex_);  ///< whose failure is being reported
  std::string reason_ GPUVM_GUARDED_BY(mutex_);               ///< as far as it has come
};

}  // namespace gpuvm
