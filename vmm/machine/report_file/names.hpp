// SPDX-License-Identifier: Apache-2.0
// Words that reports have for numbers: regions, interrupts, kinds of BARs.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "devices/physical/physical_device.hpp"
#include "vmm/host/pci_device.hpp"
#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

/// In the order of IrqType.
constexpr std::array<std::string_view, kIrqTypes> kIrqNames = {"intx", "msi", "msix", "error",
                                                               "request"};
/// "bar0", "rom", "config", "vga", "region9".
std::string region_name(RegionIndex index);
/// "io", "memory32", "memory64".
std::string_view bar_kind_name(const PciBar& bar);

}  // namespace gpuvm
