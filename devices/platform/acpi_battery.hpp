// SPDX-License-Identifier: Apache-2.0
// AcpiBattery: a battery (ACPI 6.5, 10.2, PNP0C0A) that is always full, and the AC adapter (10.3,
// ACPI0003) that keeps it so, for drivers of laptop GPUs that refuse to work in a machine without
// one. Only tables: there is no hardware behind them.
// Missing: _BIX, trip points, wear, notifications: nothing ever changes.
#pragma once

#include "firmware/acpi/acpi_source.hpp"

namespace gpuvm {

class AcpiBattery : public AcpiSource {
 public:
  aml::Terms acpi() const override;
};

}  // namespace gpuvm
