// SPDX-License-Identifier: Apache-2.0
// ConfigPorts: see config_ports.hpp.
#include "devices/pci/config_ports.hpp"

#include <algorithm>

#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kResetPortOffset = 1;
constexpr std::uint64_t kDataOffset = pci::kConfigDataPort - pci::kConfigAddressPort;

PciAddress function_of(std::uint32_t address) {
  return {static_cast<std::uint8_t>(address >> 16), static_cast<std::uint8_t>(address >> 8)};
}
std::uint16_t register_of(std::uint32_t address, std::uint64_t offset) {
  return static_cast<std::uint16_t>((address & 0xfc) + (offset - kDataOffset));
}

}  // namespace

bool ConfigPorts::is_reset_port(std::uint64_t offset, std::size_t size) {
  return offset == kResetPortOffset && size == 1;
}

bool ConfigPorts::is_address(std::uint64_t offset, std::size_t size) {
  return offset == 0 && size == 4;
}

bool ConfigPorts::is_data(std::uint64_t offset, std::size_t size) {
  return offset >= kDataOffset && size <= 4 && offset + size <= kPortCount;
}

IoStatus ConfigPorts::read(std::uint64_t offset, std::span<std::byte> out) {
  accesses_.fetch_add(1, std::memory_order_relaxed);
  if (is_reset_port(offset, out.size()) && reset_port_ != nullptr) {
    return reset_port_->read(0, out);
  }
  const std::uint32_t address = address_.load(std::memory_order_relaxed);
  if (is_address(offset, out.size())) {
    store_le(out, address);
    return IoStatus::kOk;
  }
  if (!is_data(offset, out.size())) {
    return IoStatus::kInvalidSize;
  }
  if ((address & pci::kConfigAddressEnable) == 0) {
    // Ordinary I/O to a port that nothing answers; no log line, as probing is usual.
    std::fill(out.begin(), out.end(), std::byte{0xff});
    return IoStatus::kOk;
  }
  topology_.read(function_of(address), register_of(address, offset), out);
  return IoStatus::kOk;
}

IoStatus ConfigPorts::write(std::uint64_t offset, std::span<const std::byte> in) {
  accesses_.fetch_add(1, std::memory_order_relaxed);
  if (is_reset_port(offset, in.size()) && reset_port_ != nullptr) {
    return reset_port_->write(0, in);
  }
  if (is_address(offset, in.size())) {
    address_ = static_cast<std::uint32_t>(load_le(in)) & pci::kConfigAddressMask;
    return IoStatus::kOk;
  }
  if (!is_data(offset, in.size())) {
    return IoStatus::kInvalidSize;
  }
  const std::uint32_t address = address_.load(std::memory_order_relaxed);
  if ((address & pci::kConfigAddressEnable) != 0) {
    topology_.write(function_of(address), register_of(address, offset), in);
  }
  return IoStatus::kOk;
}

void ConfigPorts::inspect(InspectNode& node) const {
  node.hex("address", address_.load(std::memory_order_relaxed));
  node.field("accesses", accesses_.load(std::memory_order_relaxed));
}

}  // namespace gpuvm
