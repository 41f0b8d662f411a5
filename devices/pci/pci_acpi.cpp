// SPDX-License-Identifier: Apache-2.0
// PciAcpi: see pci_acpi.hpp.
#include "devices/pci/pci_acpi.hpp"

#include <algorithm>

#include "devices/pci/pci_spec.hpp"
#include "firmware/acpi/aml_resource.hpp"

namespace gpuvm {
namespace {

constexpr unsigned kPinsPerDevice = 4;

// PCI Firmware 3.3, 4.5.1 and 4.5.2; ACPI 6.5, 6.2.11.
constexpr std::string_view kOscUuid = "33db4d5b-1ff7-401c-9657-7441c03dd766";
constexpr std::uint64_t kOscRevision = 1;
constexpr std::uint64_t kOscBadUuid = 1 << 2;
constexpr std::uint64_t kOscBadRevision = 1 << 3;
constexpr std::uint64_t kOscMasked = 1 << 4;
// Of the Control Field.
constexpr std::uint64_t kOscNativeHotPlug = 1 << 0;
constexpr std::uint64_t kOscCapabilityStructures = 1 << 4;  ///< those of PCI Express

aml::Term or_into(const aml::Term& bits, std::string_view target) {
  return aml::or_(aml::path(target), bits, aml::path(target));
}

/// Operating System Capabilities: answers in the caller's buffer, as it must.
aml::Term osc_method(bool hot_plug) {
  const std::uint64_t granted = kOscCapabilityStructures | (hot_plug ? kOscNativeHotPlug : 0);
  const aml::Term buffer = aml::argument(3);
  const aml::Terms known = {
      aml::create_dword_field(buffer, aml::integer(8), "CDW3"),
      aml::and_(aml::path("CDW3"), aml::integer(granted), aml::local(0)),
      aml::if_(aml::not_equal(aml::local(0), aml::path("CDW3")),
               {or_into(aml::integer(kOscMasked), "CDW1"),
                aml::store(aml::local(0), aml::path("CDW3"))}),
      aml::return_(buffer),
  };
  return aml::method(
      "_OSC", 4,
      {aml::create_dword_field(buffer, aml::integer(0), "CDW1"),
       aml::if_(aml::not_equal(aml::argument(0), aml::uuid(kOscUuid)),
                {or_into(aml::integer(kOscBadUuid), "CDW1"), aml::return_(buffer)}),
       aml::if_(aml::not_equal(aml::argument(1), aml::integer(kOscRevision)),
                {or_into(aml::integer(kOscBadRevision), "CDW1"), aml::return_(buffer)}),
       aml::join(known)},
      aml::Serialized::kYes);
}

aml::Term memory_descriptor(GuestRange range, aml::Usage usage) {
  const std::uint64_t first = range.base().value();
  const std::uint64_t last = range.last().value();
  aml::MemoryWindow window;
  window.usage = usage;
  return last < pci::kMemorySpace32 ? aml::dword_memory(static_cast<std::uint32_t>(first),
                                                        static_cast<std::uint32_t>(last), window)
                                    : aml::qword_memory(first, last, window);
}

}  // namespace

aml::Term PciAcpi::resources() const {
  aml::Terms list = {
      aml::word_bus_number(0, static_cast<std::uint16_t>(std::clamp(config_.buses, 1U, 256U) - 1)),
      aml::io_range({.base = pci::kConfigAddressPort, .length = 8})};
  for (const auto& window : config_.io_windows) {
    list.push_back(aml::word_io(static_cast<std::uint16_t>(window.base().value()),
                                static_cast<std::uint16_t>(window.last().value())));
  }
  for (const auto& window : config_.memory_windows) {
    list.push_back(memory_descriptor(window, aml::Usage::kProducer));
  }
  return aml::resource_template(list);
}

/// One entry for each pin: Package {device << 16 | 0xffff, pin, no link device, GSI} (ACPI 6.5,
/// 6.2.13).
aml::Term PciAcpi::routing() const {
  aml::Terms entries;
  for (const std::uint8_t device : config_.devices) {
    for (unsigned pin = 0; pin < kPinsPerDevice; ++pin) {
      entries.push_back(
          aml::package({aml::integer(std::uint64_t{device} << 16 | 0xffff), aml::integer(pin),
                        aml::integer(0), aml::integer(intx_gsi(device, pin).value())}));
    }
  }
  return aml::package(entries);
}

/// Guests only trust the MCFG table if something reserves the range it names (PCI Firmware 3.3,
/// 4.1.2).
aml::Term PciAcpi::ecam_reservation() const {
  return aml::device(
      "ECAM", {aml::name("_HID", aml::eisa_id("PNP0C02")), aml::name("_UID", aml::string("ECAM")),
               aml::name("_CRS", aml::resource_template(
                                     {memory_descriptor(config_.ecam, aml::Usage::kConsumer)}))});
}

aml::Terms PciAcpi::acpi() const {
  aml::Terms bridge = {aml::name("_HID", aml::eisa_id("PNP0A08")),
                       aml::name("_CID", aml::eisa_id("PNP0A03")),
                       aml::name("_SEG", aml::integer(0)),
                       aml::name("_BBN", aml::integer(0)),
                       aml::name("_CRS", resources()),
                       aml::name("_PRT", routing()),
                       osc_method(config_.hot_plug)};
  if (config_.proximity_domain) {
    bridge.push_back(aml::name("_PXM", aml::integer(*config_.proximity_domain)));
  }
  return {aml::device("PCI0", bridge), ecam_reservation()};
}

}  // namespace gpuvm
