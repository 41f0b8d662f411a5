// SPDX-License-Identifier: Apache-2.0
// Internal to this room: names that users of QEMU, libvirt and cloud-hypervisor, or plain English,
// bring along, and what gpuvm has in their place; and values. Only an unknown key and a value that
// is refused are looked up here, so a row changes a message and never the meaning of a file.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace gpuvm::config {

inline constexpr std::string_view kAnySection = "*";

/// A foreign name for a key. Several rows of one section and name are alternatives.
struct ForeignName {
  std::string_view section;  ///< where it is written: "pci", "" for the root, kAnySection
  std::string_view name;     ///< in lower case, with "_" for "-"
  std::string_view key;      ///< "machine.cpus", or a section: "[boot]", "[[pci]]"
  std::string_view source;   ///< who calls it so
};

/// A foreign name of something that no key of gpuvm does.
struct ForeignThing {
  std::string_view section;
  std::string_view name;
  std::string_view advice;  ///< what to do instead
  std::string_view source;
};

/// A word that is none of a key's, and what to write.
struct ForeignValue {
  std::string_view key;    ///< "net.mode"
  std::string_view value;  ///< in lower case, without white space and with "_" for "-"
  std::string_view advice;
  std::string_view source;
};

std::span<const ForeignName> foreign_names();
std::span<const ForeignThing> foreign_things();
std::span<const ForeignValue> foreign_values();

/// Follows the message on a value that was refused: "; that is \"hot\" here", or "".
std::string value_advice(std::string_view key, std::string_view value);

/// "true" or "false" where text is another word for it, as "yes", "off" and "1" are; else "".
std::string_view switch_guess(std::string_view text);

/// The size that "4096", "4GB" or "4 gib" were meant to be, as gpuvm writes it; "" for no size.
std::string size_guess(std::string_view text);

}  // namespace gpuvm::config
