// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the parts of a libvirt domain, each in a file of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "vmm/convert/foreign_guest.hpp"
#include "vmm/convert/readers.hpp"
#include "vmm/convert/xml_text.hpp"

namespace gpuvm::convert {

struct DomainParts {
  const XmlText& xml;
  ForeignGuest& guest;
  std::vector<std::string> boot_devices = {};  ///< of <os><boot dev>, in their order
  /// Elements that a note is about, with all below them, or that stand in the list of what needs no
  /// key: their places in the text.
  std::set<std::ptrdiff_t> told = {};
};

/// "<tpm model='tpm-tis'>" as notes call an element, with its attributes and its text.
std::string shown_element(pugi::xml_node node);
/// A note on an element and all below it.
void tell(DomainParts& parts, std::string_view section, pugi::xml_node node,
          std::string_view advice);
/// The same, among the notes of one device.
void tell_among(DomainParts& parts, Notes& notes, pugi::xml_node node, std::string_view advice);
/// A note on an element alone; what is below it is read or told by itself.
void tell_alone(DomainParts& parts, std::string_view section, pugi::xml_node node,
                std::string_view advice);
/// An attribute that is "on" or "yes"; what is neither that nor its opposite is told.
bool is_on(DomainParts& parts, pugi::xml_node node, const char* attribute);
/// A number in an attribute; what is none is told.
std::optional<std::uint64_t> number_in(DomainParts& parts, pugi::xml_node node,
                                       const char* attribute);

/// Tells each element and attribute below `top` that no reader knows; those that need no key go
/// into the list of it. After all readers. `top` is the domain, or a text with devices only.
void tell_unknown(DomainParts& parts, pugi::xml_node top);

/// An element below <domain>; all but <devices> and what is qemu's.
void read_domain_element(DomainParts& parts, pugi::xml_node node);
void read_memory(DomainParts& parts, pugi::xml_node node);
void read_vcpu(DomainParts& parts, pugi::xml_node node);
void read_backing(DomainParts& parts, pugi::xml_node node);
void read_tuning(DomainParts& parts, pugi::xml_node node);
/// <numatune>, after the cells of <cpu>.
void read_numa_tuning(DomainParts& parts, pugi::xml_node node);
void read_cpu(DomainParts& parts, pugi::xml_node cpu);
void read_os(DomainParts& parts, pugi::xml_node os);
void read_features(DomainParts& parts, pugi::xml_node features);
/// An element below <devices>. True where it is one.
bool read_device(DomainParts& parts, pugi::xml_node node);
void read_disk(DomainParts& parts, pugi::xml_node disk);
void read_interface(DomainParts& parts, pugi::xml_node interface);
void read_hostdev(DomainParts& parts, pugi::xml_node hostdev);
/// <qemu:commandline> and <qemu:override>, after all devices.
void read_qemu_element(DomainParts& parts, pugi::xml_node node);

}  // namespace gpuvm::convert
