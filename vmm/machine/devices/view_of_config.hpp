// SPDX-License-Identifier: Apache-2.0
// What a [[pci]] section says of one function, with the files that it names read and checked: how
// the guest sees it.
#pragma once

#include "devices/passthrough/function_view.hpp"
#include "vmm/config/config.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

/// ROM file, ids, clique, quirks and the place of the MSI-X table are for the function that the
/// section names; hidden ROMs, the check and peer-to-peer for all. Changes nothing of the host.
/// Errors: kConfig: no such function, an override of a bridge's ids, a ROM file that cannot be
/// used, no such place. `host` must outlive what is returned.
Result<FunctionView> view_of(const HostSystem& host, const PciConfig& entry, const Bdf& function);

/// Of a vfio-user server's function, which nobody has asked yet: what the section says of it is for
/// the start to check, whether a ROM file is for it, too. Errors: kConfig: no such region, a file
/// that is no ROM.
Result<FunctionView> view_of_remote(const PciConfig& entry);

}  // namespace gpuvm
