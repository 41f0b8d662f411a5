// SPDX-License-Identifier: Apache-2.0
// AcpiSource: the ability of a device to describe itself in the guest's DSDT. Addresses and
// interrupts in the description come from the device's own constants; the table generator only
// collects.
#pragma once

#include "firmware/acpi/aml.hpp"

namespace gpuvm {

class AcpiSource {
 public:
  virtual ~AcpiSource() = default;
  /// Terms for the scope \_SB, in the order the sources were given. A source that adds to another
  /// scope wraps its terms in aml::scope() with an absolute path ("\\_SB.PCI0", "\\_GPE"), which
  /// must have been defined by a source before it. Called once while the machine is built and
  /// again when the tables are rebuilt on a reset; must give the same terms each time.
  virtual aml::Terms acpi() const = 0;
};

}  // namespace gpuvm
