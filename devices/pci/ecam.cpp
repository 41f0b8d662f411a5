// SPDX-License-Identifier: Apache-2.0
// Ecam: see ecam.hpp.
#include "devices/pci/ecam.hpp"

namespace gpuvm {
namespace {

// Table 7-1.
PciAddress address_of(std::uint64_t offset) {
  return {static_cast<std::uint8_t>(offset >> 20), static_cast<std::uint8_t>(offset >> 12)};
}
std::uint16_t register_of(std::uint64_t offset) {
  return static_cast<std::uint16_t>(offset % pci::kConfigSize);
}

}  // namespace

IoStatus Ecam::check(std::uint64_t offset, std::size_t access) const {
  if (access == 0 || access > 8) {
    return IoStatus::kInvalidSize;
  }
  if (offset >= size()) {
    return IoStatus::kNoResponse;
  }
  return register_of(offset) + access > pci::kConfigSize ? IoStatus::kUnaligned : IoStatus::kOk;
}

IoStatus Ecam::read(std::uint64_t offset, std::span<std::byte> out) {
  reads_.fetch_add(1, std::memory_order_relaxed);
  const IoStatus status = check(offset, out.size());
  if (status == IoStatus::kOk) {
    count(address_of(offset));
    topology_.read(address_of(offset), register_of(offset), out);
  }
  return status;
}

IoStatus Ecam::write(std::uint64_t offset, std::span<const std::byte> in) {
  writes_.fetch_add(1, std::memory_order_relaxed);
  const IoStatus status = check(offset, in.size());
  if (status == IoStatus::kOk) {
    count(address_of(offset));
    topology_.write(address_of(offset), register_of(offset), in);
  }
  return status;
}

void Ecam::inspect(InspectNode& node) const {
  node.field("buses", std::uint64_t{buses_});
  node.field("reads", reads_.load(std::memory_order_relaxed));
  node.field("writes", writes_.load(std::memory_order_relaxed));
  auto& accesses = node.child("accesses");
  for (std::size_t bus = 0; bus < on_bus_.size(); ++bus) {
    if (const auto number = on_bus_[bus].load(std::memory_order_relaxed); number > 0) {
      accesses.field(fmt::format("bus_{}", bus), number);
    }
  }
}

}  // namespace gpuvm
