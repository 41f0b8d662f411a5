// SPDX-License-Identifier: Apache-2.0
// What of a host is saved, so that its devices can be looked at elsewhere: of each PCI function
// what HostMap and the checks read, and of the host what they ask. Without serial numbers, MAC
// addresses, names of hosts, users and guests, mount points, processes, and addresses of the
// kernel's memory.
#pragma once

#include "vmm/base/result.hpp"
#include "vmm/host/host_system.hpp"
#include "vmm/host_map/host_copy.hpp"

namespace gpuvm {

/// Reads alone; a function that sleeps is woken by it. Errors: kConfig where there are more
/// functions than kMostMapFunctions.
Result<HostCopy> save_host(const HostSystem& host);

/// Of one function, below /sys/bus/pci/devices (save_function.cpp). Files of hosts are text of any
/// kind; what of it is nobody's business is in `clean`.
class PrivateText;
void save_function(const HostSystem& host, const std::string& name, const PrivateText& clean,
                   HostCopy& copy);

}  // namespace gpuvm
