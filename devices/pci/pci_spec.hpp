// SPDX-License-Identifier: Apache-2.0
// Numbers of the PCI specifications and nothing else: register offsets, bit fields, capability ids,
// class codes. Sources: PCI Express Base 6.0, chapter 7 (sections below without a name are its),
// PCI Local Bus 3.0 ("PCI 3.0"), PCI-to-PCI Bridge Architecture 1.2, PCI Power Management 1.2.
// Missing: what no room of gpuvm reads or writes.
#pragma once

#include <cstdint>

namespace gpuvm::pci {

constexpr std::uint32_t kConfigSize = 4096;          ///< of one function, 7.2
constexpr std::uint32_t kLegacyConfigSize = 256;     ///< reachable through 0xcf8, PCI 3.0 6.1
constexpr std::uint32_t kAllOnes = 0xffffffff;       ///< what an absent function reads as
constexpr unsigned kDevicesPerBus = 32;              ///< PCI 3.0 3.2.2.3.2
constexpr unsigned kFunctionsPerDevice = 8;          ///< PCI 3.0 3.2.2.3.2
constexpr std::uint32_t kEcamBytesPerBus = 1 << 20;  ///< 7.2.2, table 7-1

// Common header, 7.5.1.1.
constexpr std::uint16_t kVendorId = 0x00;  ///< and the device id above it
constexpr std::uint16_t kDeviceId = 0x02;
constexpr std::uint16_t kCommand = 0x04;
constexpr std::uint16_t kStatus = 0x06;
constexpr std::uint16_t kRevisionId = 0x08;
constexpr std::uint16_t kClassDword = 0x08;  ///< the class code over the revision
constexpr std::uint16_t kClassCode = 0x09;   ///< 3 bytes: interface, subclass, base class
constexpr std::uint16_t kCacheLineSize = 0x0c;
constexpr std::uint16_t kLatencyTimer = 0x0d;
constexpr std::uint16_t kHeaderType = 0x0e;
constexpr std::uint16_t kBist = 0x0f;
constexpr std::uint16_t kBar0 = 0x10;
constexpr std::uint16_t kCapabilitiesPointer = 0x34;
constexpr std::uint16_t kInterruptLine = 0x3c;
constexpr std::uint16_t kInterruptPin = 0x3d;
constexpr std::uint16_t kHeaderSize = 0x40;

// Type 0 header, 7.5.1.2.
constexpr std::uint16_t kSubsystemVendorId = 0x2c;
constexpr std::uint16_t kSubsystemId = 0x2e;
constexpr std::uint16_t kRomBar = 0x30;

// Type 1 header, 7.5.1.3.
constexpr std::uint16_t kPrimaryBus = 0x18;
constexpr std::uint16_t kSecondaryBus = 0x19;
constexpr std::uint16_t kSubordinateBus = 0x1a;
constexpr std::uint16_t kIoBase = 0x1c;
constexpr std::uint16_t kIoLimit = 0x1d;
constexpr std::uint16_t kSecondaryStatus = 0x1e;
constexpr std::uint16_t kMemoryBase = 0x20;
constexpr std::uint16_t kMemoryLimit = 0x22;
constexpr std::uint16_t kPrefetchableBase = 0x24;
constexpr std::uint16_t kPrefetchableLimit = 0x26;
constexpr std::uint16_t kPrefetchableBaseHigh = 0x28;
constexpr std::uint16_t kPrefetchableLimitHigh = 0x2c;
constexpr std::uint16_t kBridgeRomBar = 0x38;
constexpr std::uint16_t kBridgeControl = 0x3e;

// Command, 7.5.1.1.3.
constexpr std::uint16_t kCommandIo = 1 << 0;
constexpr std::uint16_t kCommandMemory = 1 << 1;
constexpr std::uint16_t kCommandBusMaster = 1 << 2;
constexpr std::uint16_t kCommandParityError = 1 << 6;
constexpr std::uint16_t kCommandSerr = 1 << 8;
constexpr std::uint16_t kCommandInterruptDisable = 1 << 10;

// Status, 7.5.1.1.4.
constexpr std::uint16_t kStatusCapabilities = 1 << 4;

// Vendor ids that are none: what an absent function reads as, and what a bridge returns for one
// that is not ready, 2.3.1.1.
constexpr std::uint16_t kNoVendor = 0xffff;
constexpr std::uint16_t kVendorNotReady = 0x0001;

// Capabilities Pointer, 7.5.1.1.11: the two lowest bits are reserved.
constexpr std::uint8_t kCapabilityPointerMask = 0xfc;

// Header Type, 7.5.1.1.9.
constexpr std::uint8_t kHeaderLayoutMask = 0x7f;
constexpr std::uint8_t kHeaderTypeBridge = 0x01;
constexpr std::uint8_t kHeaderTypeMultiFunction = 0x80;

// Class codes, PCI Code and ID Assignment: base class << 16 | subclass << 8 | interface.
constexpr std::uint32_t kBaseClassDisplay = 0x03;
constexpr std::uint32_t kBaseClassAccelerator = 0x12;
constexpr std::uint32_t kClassHostBridge = 0x060000;
constexpr std::uint32_t kClassPciBridge = 0x060400;

// Base address registers, 7.5.1.2.1, and expansion ROM, 7.5.1.2.4.
constexpr std::uint32_t kBarIo = 1 << 0;
constexpr std::uint32_t kBarMemory64 = 2 << 1;
constexpr std::uint32_t kBarPrefetchable = 1 << 3;
constexpr std::uint32_t kRomEnable = 1 << 0;
constexpr std::uint64_t kMinMemoryBar = 16;
constexpr std::uint64_t kMemorySpace32 = std::uint64_t{1} << 32;  ///< what 32-bit addresses reach
constexpr std::uint64_t kMinIoBar = 4;
constexpr std::uint64_t kMaxIoBar = 1 << 16;  ///< x86's whole space (256 on a strict device)
constexpr std::uint64_t kMinRom = 2048;       ///< lowest writable address bit is 11
constexpr std::uint64_t kMaxRom = 1 << 24;    ///< 16 MiB, PCI 3.0 6.2.5.2

// Bridge windows, 7.5.1.3.6, 7.5.1.3.8, 7.5.1.3.9.
constexpr std::uint64_t kIoWindowGranularity = 4096;
constexpr std::uint64_t kMemoryWindowGranularity = 1 << 20;
constexpr std::uint16_t kPrefetchable64 = 0x0001;  ///< low bits of base and limit

// Bridge Control, 7.5.1.3.13.
constexpr std::uint16_t kBridgeControlParityError = 1 << 0;
constexpr std::uint16_t kBridgeControlSerr = 1 << 1;
constexpr std::uint16_t kBridgeControlBusReset = 1 << 6;

// Capability ids, PCI Code and ID Assignment, section 2.
enum class CapabilityId : std::uint8_t {
  kPowerManagement = 0x01,
  kVitalProductData = 0x03,
  kMsi = 0x05,
  kVendorSpecific = 0x09,
  kBridgeSubsystem = 0x0d,
  kPciExpress = 0x10,
  kMsix = 0x11,
  kAdvancedFeatures = 0x13,
};

// Extended capability ids, PCI Code and ID Assignment, section 3.
enum class ExtendedCapabilityId : std::uint16_t {
  kResizableBar = 0x15,
};

// MSI capability, 7.7.1.
constexpr std::uint16_t kMsiControl = 0x02;
constexpr std::uint16_t kMsiEnable = 1 << 0;
constexpr std::uint16_t kMsi64Bit = 1 << 7;
constexpr std::uint16_t kMsiAddress = 0x04;
constexpr std::uint16_t kMsiAddressHigh = 0x08;
constexpr std::uint16_t kMsiData64 = 0x0c;    ///< of a 64-bit capability
constexpr std::uint16_t kMsi64Size = 0x10;    ///< in whole dwords
constexpr std::uint32_t kMaxMsiVectors = 32;  ///< 7.7.1.2

// MSI-X capability, 7.7.2.
constexpr std::uint16_t kMsixControl = 0x02;
constexpr std::uint16_t kMsixEnable = 1 << 15;
constexpr std::uint16_t kMsixSize = 0x0c;
constexpr std::uint32_t kMaxMsixVectors = 2048;  ///< 7.7.2.2

// Advanced Features capability, Conventional PCI Advanced Capabilities ECN.
constexpr std::uint16_t kAdvancedCapabilities = 0x03;
constexpr std::uint8_t kAdvancedResetCapable = 1 << 1;

// PCI Power Management capability, 7.5.2.
constexpr std::uint16_t kPowerCapabilities = 0x02;
constexpr std::uint16_t kPowerControl = 0x04;
constexpr std::uint16_t kPowerSize = 0x08;
constexpr std::uint16_t kPowerVersion = 3;
constexpr std::uint32_t kPowerStateMask = 3;
constexpr std::uint32_t kPowerNoSoftReset = 1 << 3;

// Subsystem capability of bridges, 7.9.22.
constexpr std::uint16_t kBridgeSubsystemIds = 0x04;
constexpr std::uint16_t kBridgeSubsystemSize = 0x08;

// PCI Express capability, 7.5.3. Offsets are relative to the capability.
constexpr std::uint16_t kExpressFlags = 0x02;
constexpr std::uint16_t kExpressDeviceCapabilities = 0x04;
constexpr std::uint16_t kExpressDeviceControl = 0x08;
constexpr std::uint16_t kExpressDeviceStatus = 0x0a;
constexpr std::uint16_t kExpressLinkCapabilities = 0x0c;
constexpr std::uint16_t kExpressLinkControl = 0x10;
constexpr std::uint16_t kExpressLinkStatus = 0x12;
constexpr std::uint16_t kExpressSlotCapabilities = 0x14;
constexpr std::uint16_t kExpressSlotControl = 0x18;
constexpr std::uint16_t kExpressSlotStatus = 0x1a;
constexpr std::uint16_t kExpressRootControl = 0x1c;
constexpr std::uint16_t kExpressRootCapabilities = 0x1e;
constexpr std::uint16_t kExpressRootStatus = 0x20;
constexpr std::uint16_t kExpressDeviceCapabilities2 = 0x24;
constexpr std::uint16_t kExpressDeviceControl2 = 0x28;
constexpr std::uint16_t kExpressLinkCapabilities2 = 0x2c;
constexpr std::uint16_t kExpressLinkControl2 = 0x30;
constexpr std::uint16_t kExpressLinkStatus2 = 0x32;
constexpr std::uint16_t kExpressSize = 0x3c;

// PCI Express Capabilities, 7.5.3.2.
constexpr std::uint16_t kExpressVersion = 2;
constexpr std::uint16_t kExpressTypeRootPort = 4 << 4;
constexpr std::uint16_t kExpressSlotImplemented = 1 << 8;
// Device Capabilities, 7.5.3.3.
constexpr std::uint32_t kDeviceResetCapable = 1 << 28;  ///< function level reset
constexpr std::uint32_t kDeviceRoleBasedErrors = 1 << 15;
// Device Control, 7.5.3.4.
constexpr std::uint16_t kDeviceControlErrorEnables = 0x000f;
constexpr std::uint16_t kDeviceControlRelaxedOrdering = 1 << 4;
constexpr unsigned kDeviceControlPayloadShift = 5;
constexpr std::uint32_t kDeviceControlPayloadMask = 7;
constexpr unsigned kDeviceControlReadRequestShift = 12;
constexpr std::uint8_t kMaxPayloadCode = 5;  ///< 128 << 5 = 4096 bytes
constexpr std::uint16_t kDeviceControlInitiateReset = 1 << 15;
// Link Capabilities, 7.5.3.6.
constexpr std::uint16_t kLinkSpeedMask = 0xf;   ///< also in Link Status, 7.5.3.8
constexpr std::uint16_t kLinkWidthMask = 0x3f;  ///< once shifted; also there
constexpr unsigned kLinkWidthShift = 4;         ///< also in Link Status, 7.5.3.8
constexpr std::uint32_t kLinkActiveReporting = 1 << 20;
constexpr std::uint32_t kLinkAspmOptionality = 1 << 22;
constexpr unsigned kLinkPortNumberShift = 24;
constexpr std::uint8_t kMaxLinkSpeed = 6;  ///< code of 64 GT/s
// Link Control, 7.5.3.7.
constexpr std::uint16_t kLinkControlDisable = 1 << 4;
constexpr std::uint16_t kLinkControlCommonClock = 1 << 6;
constexpr std::uint16_t kLinkControlExtendedSynch = 1 << 7;
// Link Status, 7.5.3.8.
constexpr std::uint16_t kLinkStatusSlotClock = 1 << 12;
constexpr std::uint16_t kLinkStatusActive = 1 << 13;
// Slot Capabilities, 7.5.3.9.
constexpr std::uint32_t kSlotAttentionButton = 1 << 0;
constexpr std::uint32_t kSlotPowerController = 1 << 1;
constexpr std::uint32_t kSlotAttentionIndicator = 1 << 3;
constexpr std::uint32_t kSlotPowerIndicator = 1 << 4;
constexpr std::uint32_t kSlotSurprise = 1 << 5;
constexpr std::uint32_t kSlotHotPlugCapable = 1 << 6;
constexpr std::uint32_t kSlotNoCommandCompleted = 1 << 18;
constexpr unsigned kSlotNumberShift = 19;
constexpr std::uint16_t kMaxSlotNumber = 0x1fff;
// Slot Control, 7.5.3.10. An event's enable has the event's own bit of Slot Status, but for the
// link's.
constexpr std::uint16_t kSlotControlInterrupt = 1 << 5;
constexpr unsigned kSlotAttentionIndicatorShift = 6;
constexpr unsigned kSlotPowerIndicatorShift = 8;
constexpr std::uint16_t kSlotIndicatorMask = 3;
constexpr std::uint16_t kSlotControlPowerOff = 1 << 10;
constexpr std::uint16_t kSlotControlLinkChanged = 1 << 12;
// Slot Status, 7.5.3.11.
constexpr std::uint16_t kSlotStatusAttentionButton = 1 << 0;
constexpr std::uint16_t kSlotStatusPowerFault = 1 << 1;
constexpr std::uint16_t kSlotStatusPresenceChanged = 1 << 3;
constexpr std::uint16_t kSlotStatusPresent = 1 << 6;
constexpr std::uint16_t kSlotStatusLinkChanged = 1 << 8;
// Root Control, 7.5.3.12.
constexpr std::uint16_t kRootControlEnables = 0x000f;
// Device Capabilities 2, 7.5.3.15.
constexpr std::uint32_t kDevice2AtomicComplete32 = 1 << 7;
constexpr std::uint32_t kDevice2AtomicComplete64 = 1 << 8;
constexpr std::uint32_t kDevice2AtomicComplete128 = 1 << 9;

// Extended capability header, 7.6.3.
constexpr std::uint16_t kExtendedCapabilities = 0x100;
constexpr unsigned kExtendedNextShift = 20;

// Resizable BAR capability, 7.8.6: entries of a Capability and a Control register each.
constexpr std::uint16_t kResizableControl = 0x08;  ///< of the first entry
constexpr std::uint16_t kResizableEntrySize = 0x08;
constexpr unsigned kMaxResizableBars = 6;
constexpr unsigned kResizableCountShift = 5;  ///< in the first Control: how many BARs, 7.8.6.3
constexpr std::uint32_t kResizableCountMask = 7;
constexpr unsigned kResizableSizeShift = 8;  ///< code of the BAR's size
constexpr std::uint32_t kResizableSizeMask = 0x3f;

// Configuration mechanism 1, PCI 3.0 3.2.2.3.2.
constexpr std::uint16_t kConfigAddressPort = 0xcf8;
constexpr std::uint16_t kConfigDataPort = 0xcfc;
constexpr std::uint32_t kConfigAddressEnable = 1U << 31;
constexpr std::uint32_t kConfigAddressMask = 0x80fffffc;  ///< bits 30:24 and 1:0 are reserved

}  // namespace gpuvm::pci
