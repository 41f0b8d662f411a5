// SPDX-License-Identifier: Apache-2.0
// EfiBoot: boot.mode = "efi-handover": the guest's own small EFI firmware (firmware/efi), the
// kernel beside it, the device tree that describes the machine to it, and the port by which it
// talks to the monitor (firmware/efi/monitor_port.hpp).
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "firmware/efi/variable_file.hpp"
#include "firmware/fdt/machine_tree.hpp"
#include "firmware/linux/cpu_entry_state.hpp"
#include "firmware/linux/e820.hpp"
#include "vmm/base/inspect.hpp"
#include "vmm/base/log.hpp"
#include "vmm/bus/io_handler.hpp"
#include "vmm/bus/lifecycle.hpp"
#include "vmm/config/config.hpp"
#include "vmm/machine/firmware_functions.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class EfiBoot : public IoHandler, public Inspectable {
 public:
  static constexpr IoPort kPort{0x620};
  static constexpr std::uint64_t kPortCount = 1;

  struct Load {
    const Config& config;
    GuestAddress rsdp;
    GuestAddress smbios3;
    std::vector<E820Entry> reserved;
    TreePci pci;  ///< its functions are those below
    std::vector<FirmwareFunction> functions;
  };

  /// `memory` must outlive this. Uses requests.power_off. Errors: kConfig (the variable file).
  static Result<std::unique_ptr<EfiBoot>> create(const Config& config, const GuestMemory& memory,
                                                 MachineRequests requests);

  /// Puts firmware, kernel, initrd, ROMs and tree into memory. vCPUs are stopped. Errors: kConfig
  /// naming the file, what is wrong with it and the cure.
  Result<CpuEntryState> load(const Load& what);

  std::string_view name() const override { return "EFI firmware"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void inspect(InspectNode& node) const override;

 private:
  EfiBoot(const GuestMemory& memory, MachineRequests requests,
          std::unique_ptr<VariableFile> variables);
  bool save_variables();

  const GuestMemory& memory_;
  const MachineRequests requests_;
  std::unique_ptr<VariableFile> variables_;
  std::atomic<bool> failed_{false};  ///< the answer to the last command
  std::atomic<std::uint64_t> saves_{0};
  log::RateLimit limit_;
};

}  // namespace gpuvm
