// SPDX-License-Identifier: Apache-2.0
// UefiBoot: boot.mode = "uefi": a UEFI firmware image (OVMF) in flash at the reset vector, its
// variables in the user's file, and what it is told of the machine by fw_cfg.
// Missing: SMM, which images with Secure Boot ask for.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "devices/platform/firmware_ports.hpp"
#include "devices/platform/flash_device.hpp"
#include "devices/platform/fw_cfg.hpp"
#include "devices/platform/fw_cfg_file.hpp"
#include "devices/platform/vars_file.hpp"
#include "firmware/acpi/acpi_blobs.hpp"
#include "firmware/ovmf/firmware_volume.hpp"
#include "firmware/smbios/smbios.hpp"
#include "vmm/bus/io_bus.hpp"
#include "vmm/config/config.hpp"
#include "vmm/memory/guest_memory.hpp"

namespace gpuvm {

class UefiBoot : public Inspectable {
 public:
  /// Opens, checks and locks the files; makes boot.vars from its template. config must outlive
  /// this. Errors: kConfig, with nothing written.
  static Result<std::unique_ptr<UefiBoot>> open(const Config& config);
  /// What open() would say, without making a file. Errors: kConfig.
  static Status check(const Config& config);
  ~UefiBoot() override;

  /// All of the flash: for the machine's address map.
  GuestRange flash() const;

  /// All references must outlive this.
  struct Machine {
    MachineRequests requests;
    const GuestMemory& memory;
    MemorySlots& slots;
    MmioBus& mmio;
    PortBus& ports;
  };
  /// Puts flash, fw_cfg and the small ports into the machine. Errors: kConfig (the firmware's log),
  /// kHost, kInternal.
  Status connect(const Machine& machine);

  /// What the firmware is told.
  struct Facts {
    SmbiosParts smbios;
    std::uint64_t memory64_wanted = 0;  ///< bytes of 64-bit address space for BARs
    /// The ACPI tables as the machine is now, after the firmware has put the devices where it wants
    /// them; called when it looks for them.
    std::function<Result<AcpiBlobs>()> acpi;
  };
  /// Fills fw_cfg. Before the first vCPU runs.
  Status describe(Facts facts);

  /// Power-on state of the devices. Survives: flash contents. vCPUs are stopped.
  void reset();
  void inspect(InspectNode& node) const override;

 private:
  explicit UefiBoot(const Config& config) : config_(config) {}
  Status open_code();
  Status open_variables();
  Result<std::vector<std::byte>> read_template() const;
  Status open_files();
  Status add_kernel();
  void add_machine_items(const GuestMemory& memory);
  Status add_boot_order();
  std::vector<FwCfg::File> acpi_files() const;

  const Config& config_;
  std::vector<std::byte> code_;
  std::unique_ptr<VarsFile> variables_;
  std::optional<ovmf::FlashLayout> layout_;
  std::optional<FwCfgFile> kernel_;
  std::optional<FwCfgFile> initrd_;
  std::vector<std::pair<std::string, FwCfgFile>> user_files_;

  MappedRegion rom_;
  MemorySlots* slots_ = nullptr;
  SlotId rom_slot_ = 0;
  std::unique_ptr<FlashDevice> flash_;
  std::unique_ptr<FwCfg> fw_cfg_;
  std::unique_ptr<DebugConsolePort> debug_console_;
  std::unique_ptr<FastA20Port> fast_a20_;
  std::unique_ptr<KeyboardResetPort> keyboard_reset_;
  std::function<Result<AcpiBlobs>()> acpi_;
};

}  // namespace gpuvm
