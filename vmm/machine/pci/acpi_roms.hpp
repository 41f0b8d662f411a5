// SPDX-License-Identifier: Apache-2.0
// Which functions' option ROMs ACPI hands out (firmware/acpi/acpi_rom.hpp), and what the tables say
// of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "devices/passthrough/function_view.hpp"
#include "devices/passthrough/passthrough_function.hpp"
#include "devices/pci/root_port.hpp"
#include "firmware/acpi/acpi_rom.hpp"
#include "vmm/base/result.hpp"

namespace gpuvm {

/// Why drivers of such a GPU look for its ROM in ACPI; nothing for those that need not.
struct AcpiRomPolicy {
  std::optional<std::uint16_t> vendor;  ///< any when absent
  std::uint16_t device_class;           ///< base class and sub-class
  const char* reason;
  const char* source;
};
const AcpiRomPolicy* find_acpi_rom_policy(std::uint16_t vendor, std::uint32_t class_code);

/// The option ROMs of a machine's functions that ACPI hands out.
class AcpiRoms {
 public:
  /// Decides about one function behind a port, and reads its ROM if ACPI is to have it. Both must
  /// outlive this. vCPUs are stopped. AMD's functions with the same ids and the same number behind
  /// their ports, but different ROMs, stay out of the VFCT: Linux takes the first image there that
  /// fits, whatever the bus (amdgpu_acpi_vfct_match() in amdgpu_bios.c of 2026), so that one would
  /// get the other's. Errors: kConfig where the user insists and there is none.
  Status add(AcpiRomChoice mode, RootPort& port, std::uint8_t devfn, PassthroughFunction& function);

  /// The functions as they are now: ids and bus numbers are read from the registers. Any thread.
  std::vector<AcpiRom> describe() const;

 private:
  struct Entry {
    RootPort* port;
    std::uint8_t devfn;
    PassthroughFunction* function;
    std::span<const std::byte> image;  ///< the function's, unchanged while it lives
    bool in_vfct = true;
  };
  /// A function whose driver may look into the VFCT.
  struct Reader {
    PassthroughFunction* function;
    std::uint32_t ids;
    std::uint8_t devfn;
    std::optional<std::size_t> entry;  ///< of entries_

    bool is_twin_of(const Reader& other) const { return ids == other.ids && devfn == other.devfn; }
  };
  void keep_from_twins(const Reader& added);
  void leave_out_of_vfct(const Reader& reader, const Reader& twin);

  std::vector<Entry> entries_;
  std::vector<Reader> readers_;
};

}  // namespace gpuvm
