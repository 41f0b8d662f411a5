// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/msi_vector.hpp"

#include <poll.h>

namespace gpuvm {

Result<MsiVector> MsiVector::create() {
  return MsiVector(TRY(EventFd::create()));
}

Status MsiVector::set(MsiController& controller, std::optional<MsiMessage> message) {
  if (message_ == message) {
    return {};
  }
  if (!message) {
    controller.disconnect(*route_, event_.fd());
    route_.reset();
  } else if (route_) {
    TRY(controller.update(*route_, *message));
  } else {
    route_ = TRY(controller.connect(event_.fd(), *message));
  }
  message_ = message;
  return {};
}

bool MsiVector::pending() const {
  if (route_) {
    return false;
  }
  pollfd descriptor{.fd = event_.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&descriptor, 1, 0) == 1 && (descriptor.revents & POLLIN) != 0;
}

}  // namespace gpuvm
