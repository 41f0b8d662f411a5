// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the parts of a libvirt domain, each in a file of its own.
#pragma once

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
};

/// "<tpm model='tpm-tis'>" as notes call an element.
std::string shown_element(pugi::xml_node node);
/// A note on an element.
void tell(DomainParts& parts, std::string_view section, pugi::xml_node node,
          std::string_view advice);

/// An element below <domain>; all but <devices> and what is qemu's.
void read_domain_element(DomainParts& parts, pugi::xml_node node);
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
