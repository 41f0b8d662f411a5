// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/devices/owned_function.hpp"

#include "devices/passthrough/passthrough_function.hpp"
#include "vmm/machine/devices/guest_function_reset.hpp"

namespace gpuvm {

OwnedFunction::OwnedFunction(HostFunction host) : host_(std::move(host)) {}

OwnedFunction::~OwnedFunction() = default;

void OwnedFunction::show(std::unique_ptr<GuestFunctionReset> reset,
                         std::unique_ptr<PassthroughFunction> guest) {
  reset_ = std::move(reset);
  guest_ = std::move(guest);
}

void OwnedFunction::hide() {
  guest_.reset();
  reset_.reset();
}

}  // namespace gpuvm
