// SPDX-License-Identifier: Apache-2.0
#include "devices/virtio/virtio_pci_config.hpp"

#include "devices/virtio/virtio_bar.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

constexpr std::uint16_t kMostQueues = 64;
constexpr std::uint8_t kInterruptPinA = 1;

}  // namespace

Result<VirtioPciConfig> VirtioPciConfig::create(const VirtioDevice::Identity& identity,
                                                bool multi_function) {
  if (identity.queues == 0 || identity.queues > kMostQueues ||
      identity.config_size > virtio_bar::kNotify - virtio_bar::kDevice) {
    return fail(ErrorKind::kInternal, "A virtio device with {} queues and {} bytes cannot be",
                identity.queues, identity.config_size);
  }
  VirtioPciConfig config;
  auto& space = config.space_;
  space.define_identity(virtio::kPciVendor,
                        static_cast<std::uint16_t>(virtio::kPciDeviceBase + identity.type),
                        identity.class_code);
  space.define({.offset = pci::kRevisionId, .size = 1, .reset_value = virtio::kPciRevision});
  space.define({.offset = pci::kSubsystemVendorId, .size = 2, .reset_value = virtio::kPciVendor});
  space.define({.offset = pci::kSubsystemId, .size = 2, .reset_value = virtio::kPciSubsystem});
  space.define({.offset = pci::kCommand,
                .size = 2,
                .writable = pci::kCommandMemory | pci::kCommandBusMaster | pci::kCommandSerr |
                            pci::kCommandParityError | pci::kCommandInterruptDisable});
  space.define({.offset = pci::kCacheLineSize, .size = 1, .writable = 0xff});
  const std::uint8_t header_type = multi_function ? pci::kHeaderTypeMultiFunction : 0;
  space.define({.offset = pci::kHeaderType, .size = 1, .reset_value = header_type});
  space.define({.offset = pci::kInterruptLine, .size = 1, .writable = 0xff});
  space.define({.offset = pci::kInterruptPin, .size = 1, .reset_value = kInterruptPinA});
  TRY(config.bars_.define(virtio_bar::kBar,
                          {.kind = BarKind::kMemory32, .size = virtio_bar::kSize}));
  TRY(config.add_msix(static_cast<std::uint16_t>(identity.queues + 1)));
  TRY(config.add_structures(identity));
  return config;
}

/// A vector for each queue and one for changes of the configuration (4.1.5.1.2).
Status VirtioPciConfig::add_msix(std::uint16_t vectors) {
  const auto at = TRY(space_.add_capability(pci::CapabilityId::kMsix, pci::kMsixSize));
  const auto control = static_cast<std::uint16_t>(vectors - 1);
  constexpr auto kTable = static_cast<std::uint32_t>(virtio_bar::kMsixTable | virtio_bar::kBar);
  constexpr auto kPending = static_cast<std::uint32_t>(virtio_bar::kMsixPending | virtio_bar::kBar);
  space_.define({.offset = static_cast<std::uint16_t>(at + 2), .size = 2, .reset_value = control});
  space_.define({.offset = static_cast<std::uint16_t>(at + 4), .reset_value = kTable});
  space_.define({.offset = static_cast<std::uint16_t>(at + 8), .reset_value = kPending});
  const auto layout = MsixLayout::parse(at, control, kTable, kPending);
  if (!layout) {
    return fail(ErrorKind::kInternal, "The MSI-X structures overlap");
  }
  msix_ = *layout;
  return {};
}

Result<std::uint16_t> VirtioPciConfig::add_structure(virtio::StructureType type, std::uint16_t size,
                                                     std::uint64_t offset, std::uint64_t length) {
  const auto at = TRY(space_.add_capability(pci::CapabilityId::kVendorSpecific, size));
  const auto define = [&](std::uint16_t field, unsigned bytes, std::uint64_t value) {
    space_.define({.offset = static_cast<std::uint16_t>(at + field),
                   .size = bytes,
                   .reset_value = static_cast<std::uint32_t>(value)});
  };
  define(virtio::kCapLength, 1, size);
  define(virtio::kCapType, 1, static_cast<std::uint8_t>(type));
  define(virtio::kCapBar, 1, virtio_bar::kBar);
  define(virtio::kCapOffset, 4, offset);
  define(virtio::kCapStructureLength, 4, length);
  return at;
}

Status VirtioPciConfig::add_structures(const VirtioDevice::Identity& identity) {
  using virtio::StructureType;
  TRY(add_structure(StructureType::kCommon, virtio::kCapSize, virtio_bar::kCommon,
                    virtio::kCommonSize));
  TRY(add_structure(StructureType::kIsr, virtio::kCapSize, virtio_bar::kIsr, 1));
  if (identity.config_size > 0) {
    TRY(add_structure(StructureType::kDevice, virtio::kCapSize, virtio_bar::kDevice,
                      identity.config_size));
  }
  const auto notify =
      TRY(add_structure(StructureType::kNotify, virtio::kCapExtendedSize, virtio_bar::kNotify,
                        std::uint64_t{identity.queues} * virtio_bar::kNotifyMultiplier));
  space_.define({.offset = static_cast<std::uint16_t>(notify + virtio::kCapNotifyMultiplier),
                 .reset_value = virtio_bar::kNotifyMultiplier});
  access_ = TRY(add_structure(StructureType::kPciConfigAccess, virtio::kCapExtendedSize, 0, 0));
  const auto writable = [this](std::uint16_t field, unsigned bytes) {
    space_.define({.offset = static_cast<std::uint16_t>(access_ + field),
                   .size = bytes,
                   .writable = pci::kAllOnes >> (32 - bytes * 8)});
  };
  writable(virtio::kCapBar, 1);
  writable(virtio::kCapOffset, 4);
  writable(virtio::kCapStructureLength, 4);
  return {};
}

std::uint32_t VirtioPciConfig::read(std::uint16_t offset) const {
  return BarSet::owns(offset) ? bars_.read(offset) : space_.read(offset);
}

void VirtioPciConfig::write(std::uint16_t offset, std::uint32_t value, std::uint32_t mask) {
  if (BarSet::owns(offset)) {
    bars_.write(offset, value, mask);
  } else {
    space_.write(offset, value, mask);
  }
}

std::optional<VirtioPciConfig::Access> VirtioPciConfig::access() const {
  const auto field = [this](std::uint16_t at, unsigned size) {
    return space_.read(static_cast<std::uint16_t>(access_ + at), size);
  };
  const std::uint32_t bar = field(virtio::kCapBar, 1);
  const std::uint32_t offset = field(virtio::kCapOffset, 4);
  const std::uint32_t size = field(virtio::kCapStructureLength, 4);
  if (bar != virtio_bar::kBar || (size != 1 && size != 2 && size != 4) ||
      !is_aligned(offset, size) || offset > virtio_bar::kSize - size) {
    return std::nullopt;
  }
  return Access{.offset = offset, .size = size};
}

void VirtioPciConfig::reset() {
  space_.reset();
  bars_.reset();
}

}  // namespace gpuvm
