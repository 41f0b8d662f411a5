// SPDX-License-Identifier: Apache-2.0
#include "devices/passthrough/vector_routes.hpp"

#include <algorithm>

namespace gpuvm {

VectorRoutes::VectorRoutes(PhysicalDevice& device, IrqType type, MsiController& controller)
    : device_(device), type_(type), controller_(controller) {}

VectorRoutes::~VectorRoutes() {
  disable();
}

Status VectorRoutes::connect_device(std::uint32_t count) {
  while (active_.size() < count) {
    active_.push_back(TRY(MsiVector::create()));
  }
  std::vector<int> fds;
  for (const auto& vector : active_) {
    fds.push_back(vector.fd());
  }
  return device_.set_irq_fds(type_, 0, fds);
}

Status VectorRoutes::enable(std::uint32_t vectors) {
  disable();
  if (vectors == 0) {
    return {};
  }
  auto status = connect_device(std::min(vectors, kInitialVectors));
  if (!status) {
    active_.clear();
    return status;
  }
  vectors_ = vectors;
  return {};
}

// A host kernel without dynamic MSI-X allocation (before Linux 6.5) cannot add vectors to an
// enabled interrupt: all are disabled and enabled again. The eventfds stay, with what they hold.
Status VectorRoutes::grow(std::uint32_t vector) {
  auto count = std::max<std::uint32_t>(static_cast<std::uint32_t>(active_.size()), 1);
  while (count <= vector) {
    count *= 2;
  }
  const auto before = active_.size();
  TRY(device_.disable_irqs(type_));
  auto status = connect_device(std::min(count, vectors_));
  if (!status) {
    active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(before), active_.end());
    TRY(connect_device(static_cast<std::uint32_t>(before)));
  }
  // What came meanwhile is lost: drivers can bear an interrupt too many, and not one too few.
  for (std::size_t i = 0; i < before; ++i) {
    if (active_[i].routed()) {
      active_[i].signal();
    }
  }
  return status;
}

void VectorRoutes::disable() {
  for (auto& vector : active_) {
    (void)vector.set(controller_, {});  // which never fails
  }
  if (vectors_ != 0) {
    if (auto status = device_.disable_irqs(type_); !status) {
      complain(0, status.error());
    }
  }
  active_.clear();
  vectors_ = 0;
}

void VectorRoutes::set(std::uint32_t vector, std::optional<MsiMessage> message) {
  if (vector >= vectors_) {
    return;
  }
  if (vector >= active_.size()) {
    if (!message) {
      return;
    }
    if (auto status = grow(vector); !status) {
      complain(vector, status.error());
    }
    if (vector >= active_.size()) {
      return;
    }
  }
  if (auto status = active_[vector].set(controller_, message); !status) {
    complain(vector, status.error());
  }
}

bool VectorRoutes::pending(std::uint32_t vector) const {
  return vector < active_.size() && active_[vector].pending();
}

void VectorRoutes::complain(std::uint32_t vector, const Error& error) {
  ++failures_;
  if (limit_.allow()) {
    log::warn("{}: Vector {} of {}: {}", device_.name(), vector,
              type_ == IrqType::kMsix ? "MSI-X" : "MSI", error.to_string());
  }
}

void VectorRoutes::inspect(InspectNode& node) const {
  node.field("vectors", std::uint64_t{vectors_});
  node.field("connected_to_device", std::uint64_t{active_.size()});
  node.field("failures", failures_);
  std::uint64_t routed = 0;
  for (const auto& vector : active_) {
    routed += vector.routed() ? 1U : 0U;
  }
  node.field("routed", routed);
}

}  // namespace gpuvm
