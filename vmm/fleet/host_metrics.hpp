// SPDX-License-Identifier: Apache-2.0
// A look at a host as numbers in Prometheus' text format, version 0.0.4
// (prometheus.io/docs/instrumenting/exposition_formats): for node_exporter's textfile collector,
// which knows the host's name by itself.
#pragma once

#include <string>

#include "vmm/fleet/host_look.hpp"

namespace gpuvm {

/// gpuvm_card_…, gpuvm_guests and gpuvm_host_look_timestamp_seconds. docs/fleet.md lists them.
std::string host_metrics(const HostLook& look);

}  // namespace gpuvm
