// SPDX-License-Identifier: Apache-2.0
// Internal to this room: the words that stand for enumeration values. Each word stands beside its
// value, and the compiler refuses a switch that leaves one out. What the reader takes and what the
// renderer writes both come from here.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

#include "vmm/config/config.hpp"

namespace gpuvm::config {

/// What is done with an option ROM that does not fit its function (PciRomConfig::strict).
enum class RomCheck { kCorrect, kStrict };
/// Where coherent memory lies in the guest (PciCoherentMemory::at_host_address).
enum class MemoryPlace { kAuto, kHost };

#pragma GCC diagnostic push
#pragma GCC diagnostic error "-Wswitch"

// word_of(): the word for a value; empty for a number that is none. Values count from 0 without a
// gap.

constexpr std::string_view word_of(HugePages value) {
  switch (value) {
    case HugePages::kOff:
      return "off";
    case HugePages::k2MiB:
      return "2MiB";
    case HugePages::k1GiB:
      return "1GiB";
  }
  return {};
}

constexpr std::string_view word_of(RebootAction value) {
  switch (value) {
    case RebootAction::kReset:
      return "reset";
    case RebootAction::kExit:
      return "exit";
  }
  return {};
}

constexpr std::string_view word_of(ConfigPortsMode value) {
  switch (value) {
    case ConfigPortsMode::kAuto:
      return "auto";
    case ConfigPortsMode::kOn:
      return "on";
    case ConfigPortsMode::kOff:
      return "off";
  }
  return {};
}

constexpr std::string_view word_of(PinMemory value) {
  switch (value) {
    case PinMemory::kAuto:
      return "auto";
    case PinMemory::kBeforeStart:
      return "before-start";
    case PinMemory::kBackground:
      return "background";
    case PinMemory::kEarly:
      return "early";
  }
  return {};
}

constexpr std::string_view word_of(BootMode value) {
  switch (value) {
    case BootMode::kLinux:
      return "linux";
    case BootMode::kEfiHandover:
      return "efi-handover";
    case BootMode::kUefi:
      return "uefi";
  }
  return {};
}

constexpr std::string_view word_of(Unpacker value) {
  switch (value) {
    case Unpacker::kGuest:
      return "guest";
    case Unpacker::kHost:
      return "host";
  }
  return {};
}

constexpr std::string_view word_of(ResetChoice value) {
  switch (value) {
    case ResetChoice::kAuto:
      return "auto";
    case ResetChoice::kHot:
      return "hot";
    case ResetChoice::kFunction:
      return "function";
    case ResetChoice::kNone:
      return "none";
  }
  return {};
}

constexpr std::string_view word_of(PciScrub value) {
  switch (value) {
    case PciScrub::kOff:
      return "off";
    case PciScrub::kVram:
      return "vram";
  }
  return {};
}

constexpr std::string_view word_of(PciAcpiRomMode value) {
  switch (value) {
    case PciAcpiRomMode::kAuto:
      return "auto";
    case PciAcpiRomMode::kOn:
      return "on";
    case PciAcpiRomMode::kOff:
      return "off";
  }
  return {};
}

constexpr std::string_view word_of(PciMsixRelocation value) {
  switch (value) {
    case PciMsixRelocation::kOff:
      return "off";
    case PciMsixRelocation::kAuto:
      return "auto";
    case PciMsixRelocation::kBar0:
      return "bar0";
    case PciMsixRelocation::kBar1:
      return "bar1";
    case PciMsixRelocation::kBar2:
      return "bar2";
    case PciMsixRelocation::kBar3:
      return "bar3";
    case PciMsixRelocation::kBar4:
      return "bar4";
    case PciMsixRelocation::kBar5:
      return "bar5";
  }
  return {};
}

constexpr std::string_view word_of(NetMode value) {
  switch (value) {
    case NetMode::kUser:
      return "user";
    case NetMode::kTap:
      return "tap";
  }
  return {};
}

constexpr std::string_view word_of(DiskFormat value) {
  switch (value) {
    case DiskFormat::kRaw:
      return "raw";
    case DiskFormat::kQcow2:
      return "qcow2";
    case DiskFormat::kVmdk:
      return "vmdk";
    case DiskFormat::kVdi:
      return "vdi";
    case DiskFormat::kVhdx:
      return "vhdx";
  }
  return {};
}

constexpr std::string_view word_of(DiskCache value) {
  switch (value) {
    case DiskCache::kWriteback:
      return "writeback";
    case DiskCache::kNone:
      return "none";
    case DiskCache::kUnsafe:
      return "unsafe";
  }
  return {};
}

constexpr std::string_view word_of(ReadyWhen value) {
  switch (value) {
    case ReadyWhen::kVcpus:
      return "vcpus";
    case ReadyWhen::kGuest:
      return "guest";
  }
  return {};
}

constexpr std::string_view word_of(SandboxMode value) {
  switch (value) {
    case SandboxMode::kOn:
      return "on";
    case SandboxMode::kLog:
      return "log";
    case SandboxMode::kOff:
      return "off";
  }
  return {};
}

constexpr std::string_view word_of(OwnerPlace value) {
  switch (value) {
    case OwnerPlace::kAuto:
      return "auto";
    case OwnerPlace::kInside:
      return "inside";
    case OwnerPlace::kProcess:
      return "process";
  }
  return {};
}

constexpr std::string_view word_of(MachinedUse value) {
  switch (value) {
    case MachinedUse::kAuto:
      return "auto";
    case MachinedUse::kOff:
      return "off";
  }
  return {};
}

constexpr std::string_view word_of(RomCheck value) {
  switch (value) {
    case RomCheck::kCorrect:
      return "correct";
    case RomCheck::kStrict:
      return "strict";
  }
  return {};
}

constexpr std::string_view word_of(MemoryPlace value) {
  switch (value) {
    case MemoryPlace::kAuto:
      return "auto";
    case MemoryPlace::kHost:
      return "host";
  }
  return {};
}

#pragma GCC diagnostic pop

template <class Enum>
constexpr std::size_t count_words() {
  std::size_t count = 0;
  while (!word_of(static_cast<Enum>(count)).empty()) {
    ++count;
  }
  return count;
}

/// The words of an enumeration; the index of each is its value.
template <class Enum>
inline constexpr auto kWords = [] {
  std::array<std::string_view, count_words<Enum>()> words{};
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = word_of(static_cast<Enum>(i));
  }
  return words;
}();

}  // namespace gpuvm::config
