// SPDX-License-Identifier: Apache-2.0
// What a report holds, asked of this host: of sysfs, without a change to any function (reading
// configuration space wakes one that sleeps, as lspci does), and of functions that VFIO has opened
// for a test of their resets.
#pragma once

#include <string>
#include <vector>

#include "vmm/host/host_system.hpp"
#include "vmm/machine/devices/device_repair.hpp"
#include "vmm/machine/report/private_text.hpp"
#include "vmm/machine/report_file/card_report.hpp"

namespace gpuvm {

/// `version`: of gpuvm. Errors: kConfig (an absent function, a bridge), kHost (sysfs).
Result<CardReport> gather_report(const HostSystem& host, const std::vector<Bdf>& functions,
                                 const PrivateText& texts, const std::string& version);
/// Of one function (gather_function.cpp). Errors: as gather_report().
Result<FunctionRecord> gather_function(const HostSystem& host, const Bdf& bdf,
                                       const PrivateText& texts);

/// Adds what VFIO says of an opened function. One that does not answer is recorded as far as it
/// goes. Reads registers of the policy's checks.
void record_opened(PhysicalDevice& device, PhysicalHost& host, const PrivateText& texts,
                   FunctionRecord& record);
CycleRecord record_cycle(const TrialCycle& cycle, const PrivateText& texts);

}  // namespace gpuvm
