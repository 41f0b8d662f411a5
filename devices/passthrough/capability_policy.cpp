// SPDX-License-Identifier: Apache-2.0
// Sections without a name are PCI Express Base 5.0's.
#include "devices/passthrough/capability_policy.hpp"

#include <algorithm>

namespace gpuvm {
namespace {

constexpr auto kShown = CapabilityTreatment::kShown;
constexpr auto kReadOnly = CapabilityTreatment::kReadOnly;
constexpr auto kHidden = CapabilityTreatment::kHidden;
/// Of a capability whose length varies, or that nobody knows: all up to the next one is its body.
constexpr std::uint16_t kToNext = 0xfffc;

// clang-format off
constexpr CapabilityPolicy kStandard[] = {
    {0x00, kShown, 0, "Null", "a place holder", "PCI Code and ID Assignment 1.14, 2"},
    {0x01, kShown, 0, "Power Management", "the guest may use D0 and D3hot", "7.5.2"},
    {0x02, kHidden, 0x0c, "AGP", "the guest has no AGP bus", "AGP 3.0, 5.5"},
    {0x03, kShown, 0, "Vital Product Data", "to read; the card would keep what is written", "7.9.19"},
    {0x04, kHidden, 0x04, "Slot Identification", "describes the host's slots", "PCI-to-PCI Bridge 1.2, 13"},
    {0x05, kShown, 0, "MSI", "emulated", "7.7.1"},
    {0x06, kHidden, 0x04, "CompactPCI Hot Swap", "the host's slot", "PICMG 2.1"},
    {0x07, kShown, 0, "PCI-X", "the device's own", "PCI-X 2.0, 7"},
    {0x08, kHidden, 0x1c, "HyperTransport", "the guest has no HyperTransport link", "HyperTransport 3.1, 7"},
    {0x09, kShown, 0, "Vendor-Specific", "drivers look for it", "7.9.4"},
    {0x0a, kShown, 0, "Debug Port", "the device's own", "EHCI 1.0, appendix C"},
    {0x0b, kHidden, kToNext, "CompactPCI resources", "the host's slot", "PICMG 2.13"},
    {0x0c, kHidden, 0x08, "PCI Hot-Plug", "the host's slot", "SHPC 1.0, 4.8"},
    {0x0d, kShown, 0, "Bridge subsystem ids", "ids", "7.9.24"},
    {0x0e, kHidden, 0x0c, "AGP 8x", "the guest has no AGP bus", "AGP 3.0"},
    {0x0f, kHidden, 0x18, "Secure Device", "the host's", "AMD I/O Virtualization, 3.2"},
    {0x10, kShown, 0, "PCI Express", "rewritten to match the guest's link", "7.5.3"},
    {0x11, kShown, 0, "MSI-X", "emulated", "7.7.2"},
    {0x12, kShown, 0, "SATA", "the device's own", "Serial ATA AHCI 1.3, 2.4"},
    {0x13, kShown, 0, "Advanced Features", "FLR of devices without PCI Express", "7.9.22"},
    {0x14, kHidden, kToNext, "Enhanced Allocation", "it holds host addresses", "7.8.5"},
    {0x15, kHidden, 0x24, "Flattening Portal Bridge", "bridges alone have it", "7.8.11"},
};

constexpr CapabilityPolicy kExtended[] = {
    {0x00, kShown, 0, "Null", "a place holder", "PCI Code and ID Assignment 1.14, 3"},
    {0x01, CapabilityTreatment::kErrors, 0x48, "Advanced Error Reporting", "errors go to the host's port: the guest must not mask them, but may clear the device's status", "7.8.4"},
    {0x02, kReadOnly, 0x70, "Virtual Channel", "traffic classes end at the host's port", "7.9.1"},
    {0x03, kShown, 0, "Device Serial Number", "the device's own", "7.9.3"},
    {0x04, kShown, 0, "Power Budgeting", "a table to read", "7.8.1"},
    {0x05, kHidden, kToNext, "Root Complex Link Declaration", "describes the host's root complex", "7.9.8"},
    {0x06, kHidden, 0x0c, "Root Complex Internal Link Control", "the host's root complex", "7.9.9"},
    {0x07, kHidden, 0x0c, "Root Complex Event Collector", "the host's root complex", "7.9.10"},
    {0x08, kReadOnly, 0x70, "Multi-Function Virtual Channel", "traffic classes end at the host's port", "7.9.2"},
    {0x09, kReadOnly, 0x70, "Virtual Channel", "traffic classes end at the host's port", "7.9.1"},
    {0x0a, kHidden, 0x14, "Root Complex Register Block", "the host's root complex", "7.9.7"},
    {0x0b, kShown, 0, "Vendor-Specific", "drivers look for it", "7.9.5"},
    {0x0c, kHidden, 0x08, "Configuration Access Correlation", "the host's", "PCI Express Base 2.0, 7.12"},
    {0x0d, kHidden, 0x40, "Access Control Services", "the host's IOMMU separates functions; the guest has none", "7.7.8"},
    {0x0e, kHidden, 0x08, "ARI", "the guest's port does not forward it", "7.8.8"},
    {0x0f, kHidden, 0x08, "Address Translation Services", "the type 1 IOMMU interface keeps it the host's", "10.5.1"},
    {0x10, kHidden, 0x40, "SR-IOV", "its virtual functions belong to the host", "9.3.3"},
    {0x11, kHidden, kToNext, "MR-IOV", "its virtual functions belong to the host", "MR-IOV 1.0, 3.1"},
    {0x12, kHidden, 0x30, "Multicast", "the guest's port does not forward it", "7.9.11"},
    {0x13, kHidden, 0x10, "Page Request Interface", "the type 1 IOMMU interface serves no page requests", "10.5.2"},
    {0x15, CapabilityTreatment::kCurrentSize, 0x34, "Resizable BAR", "BAR sizes are fixed when the guest starts", "7.8.6"},
    {0x16, kReadOnly, 0x30, "Dynamic Power Allocation", "the host's power budget", "7.9.12"},
    {0x17, kHidden, kToNext, "TPH Requester", "steering tags name the host's processors", "7.9.13"},
    {0x18, kHidden, 0x08, "Latency Tolerance Reporting", "the guest's port does not take the messages", "7.8.2"},
    {0x19, kHidden, 0x4c, "Secondary PCI Express", "equalisation of the physical link", "7.7.3"},
    {0x1a, kHidden, kToNext, "Protocol Multiplexing", "the physical link", "PCI Express Base 4.0, G.5"},
    {0x1b, kHidden, 0x08, "Process Address Space ID", "the type 1 IOMMU interface has one address space", "7.8.9"},
    {0x1c, kHidden, 0x08, "LN Requester", "the guest's port does not complete it", "7.9.14"},
    {0x1d, kHidden, 0x5c, "Downstream Port Containment", "ports alone have it", "7.9.15"},
    {0x1e, kHidden, 0x14, "L1 PM Substates", "power states of the physical link; the guest's port has none", "7.8.3"},
    {0x1f, kHidden, 0x0c, "Precision Time Measurement", "the guest's port is no time source", "7.9.16"},
    {0x20, kHidden, 0x1c, "M-PCIe", "the physical link", "PCI Express Base 3.1, 7.34"},
    {0x21, kHidden, 0x10, "FRS Queueing", "ports alone have it", "7.8.10"},
    {0x22, kShown, 0, "Readiness Time Reporting", "times to read", "7.9.17"},
    {0x23, kReadOnly, kToNext, "Designated Vendor-Specific", "drivers look for it; what it switches nobody knows", "7.9.6"},
    {0x24, kHidden, 0x34, "VF Resizable BAR", "goes with SR-IOV", "7.8.7"},
    {0x25, kHidden, 0x0c, "Data Link Feature", "the physical link", "7.7.4"},
    {0x26, kHidden, 0x40, "Physical Layer 16 GT/s", "the physical link", "7.7.5"},
    {0x27, kHidden, 0x88, "Lane Margining", "it would disturb the physical link", "7.7.7"},
    {0x28, kShown, 0, "Hierarchy ID", "ids", "7.9.18"},
    {0x29, kHidden, 0x10, "Native PCIe Enclosure Management", "the host's enclosure", "7.9.20"},
    {0x2a, kHidden, 0x40, "Physical Layer 32 GT/s", "the physical link", "7.7.6"},
    {0x2b, kHidden, kToNext, "Alternate Protocol", "the physical link", "7.9.21"},
    {0x2c, kHidden, 0x14, "System Firmware Intermediary", "the host's firmware", "7.9.23"},
    {0x2d, kHidden, kToNext, "Shadow Functions", "the host's function numbers", "PCI Express Base 6.0"},
    {0x2e, kHidden, 0x18, "Data Object Exchange", "a mailbox of the card's firmware", "PCI Express Base 6.0, 7.9.24"},
    {0x2f, kHidden, 0x10, "Device 3", "abilities of the physical path", "PCI Express Base 6.0"},
    {0x30, kHidden, kToNext, "Integrity and Data Encryption", "keys of the physical link", "PCI Express Base 6.0"},
    {0x31, kHidden, 0x40, "Physical Layer 64 GT/s", "the physical link", "PCI Express Base 6.0"},
    {0x32, kHidden, kToNext, "Flit Logging", "the physical link", "PCI Express Base 6.0"},
    {0x33, kHidden, kToNext, "Flit Performance", "the physical link", "PCI Express Base 6.0"},
    {0x34, kHidden, kToNext, "Flit Error Injection", "it would disturb the physical link", "PCI Express Base 6.0"},
};
// clang-format on

constexpr CapabilityPolicy kUnknown = {0xffff,
                                       kHidden,
                                       kToNext,
                                       "unknown capability",
                                       "nobody can say what it does",
                                       "PCI Code and ID Assignment 1.14"};

const CapabilityPolicy& find(std::span<const CapabilityPolicy> rows, std::uint16_t id) {
  const auto found = std::find_if(rows.begin(), rows.end(),
                                  [id](const CapabilityPolicy& row) { return row.id == id; });
  return found == rows.end() ? kUnknown : *found;
}

}  // namespace

const CapabilityPolicy& standard_policy(std::uint16_t id) {
  return find(kStandard, id);
}

const CapabilityPolicy& extended_policy(std::uint16_t id) {
  return find(kExtended, id);
}

std::span<const CapabilityPolicy> standard_policies() {
  return kStandard;
}

std::span<const CapabilityPolicy> extended_policies() {
  return kExtended;
}

}  // namespace gpuvm
