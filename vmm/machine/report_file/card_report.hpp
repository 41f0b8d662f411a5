// SPDX-License-Identifier: Apache-2.0
// CardReport: what is known of the functions of a card on one host, as one file holds it
// (docs/report.md): what sysfs shows, what VFIO says of opened functions, what was decided, and
// what a test of its resets brought. Texts are printable ASCII, without names of hosts and users;
// serial numbers are zeroed. Missing: configuration spaces of the ports in front, VPD (which holds
// serial numbers), option ROMs.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "devices/physical/physical_device.hpp"
#include "vmm/base/bdf.hpp"
#include "vmm/base/units.hpp"
#include "vmm/host/pci_device.hpp"

namespace gpuvm {

/// Of the file. A number that is not this is of another gpuvm's file.
constexpr std::uint64_t kReportVersion = 1;
/// Larger files are not read; what the limits below allow is smaller.
constexpr std::uint64_t kMostReportBytes = 16_MiB;
constexpr std::size_t kMostReportFunctions = 64;
/// Functions times cycles.
constexpr std::size_t kMostReportResets = 8000;
constexpr std::size_t kIrqTypes = 5;

/// Bytes of configuration space that are zero in a report, whatever they were.
struct ZeroedArea {
  std::uint16_t offset = 0;
  std::uint16_t size = 0;
  std::string reason = {};
};

struct RecordedConfig {
  std::vector<std::byte> bytes = {};  ///< 4096, 256, or the 64 that sysfs shows without root
  std::vector<ZeroedArea> zeroed = {};
};

/// What a hot reset would cover.
struct RecordedHotReset {
  std::vector<HotResetMember> members = {};
  std::string obstacle = {};  ///< why there is none; empty: there is one
};

struct RecordedMember {
  Bdf address = {};
  PciIds ids = {};
  std::string driver = {};  ///< empty: none
};

struct RecordedGroup {
  std::uint32_t number = 0;
  std::string type = {};  ///< "DMA", "identity"; empty: not told
  std::vector<std::string> reserved_regions =
      {};  ///< as sysfs has them: "0xfee00000 0xfeefffff msi"
  std::vector<RecordedMember> members = {};
};

/// A bridge on the way to the function.
struct RecordedPort {
  Bdf address = {};
  PciIds ids = {};
  PciLink link = {};
};

/// A register that the policy table has a check for.
struct RecordedRegister {
  RegionIndex region = RegionIndex::kBar0;
  std::uint32_t offset = 0;
  std::optional<std::uint32_t> value = {};  ///< nothing: it cannot be read
  std::string meaning = {};
};

struct RecordedRegion {
  RegionIndex index = RegionIndex::kBar0;
  RegionInfo info = {};
};

/// What VFIO says of an opened function.
struct VfioRecord {
  DriverAnswer answer = {};
  bool has_function_reset = false;
  std::uint32_t atomic_completers = 0;  ///< as PhysicalDevice's
  RecordedHotReset hot_reset = {};
  std::vector<RecordedRegion> regions = {};  ///< that have bytes, ascending
  std::array<IrqInfo, kIrqTypes> irqs = {};
  std::vector<RecordedRegister> registers = {};  ///< before any reset but the kernel's at opening
  RecordedConfig config = {};
};

struct FunctionRecord {
  Bdf address = {};
  PciIds ids = {};
  std::string driver = {};  ///< empty: none
  std::vector<std::string> reset_methods = {};
  bool has_function_reset = false;  ///< as sysfs tells it; VFIO's word is in `vfio`
  RecordedHotReset hot_reset = {};  ///< as the tree of the host tells it
  std::string power_state = {};
  bool is_boot_vga = false;
  std::optional<std::uint32_t> numa_node = {};
  std::string iommu = {};  ///< "dmar0"; empty: none
  PciLink link = {};
  std::vector<RecordedPort> ports = {};  ///< the nearest first
  std::optional<RecordedGroup> group = {};
  std::optional<std::vector<PciBar>> bars = {};  ///< nothing: sysfs does not tell
  RecordedConfig config = {};                    ///< as sysfs shows it
  std::optional<VfioRecord> vfio = {};           ///< nothing: nobody has opened it
};

struct HostRecord {
  std::string kernel = {};          ///< release
  std::string kernel_package = {};  ///< where the distribution tells more than the release
  std::string iommu = {};           ///< "intel", "amd", another's name, or "none"
  std::string cpu_vendor = {};
  std::string cpu_family = {};
  std::string cpu_model = {};
  std::string cpu_stepping = {};
  std::string cpu_name = {};
  std::string microcode = {};
};

/// What the policy table says of a function.
struct FunctionDecision {
  Bdf address = {};
  std::string policy = {};  ///< name of the row
  std::string reason = {};
  std::string source = {};
  std::string first_choice = {};
  std::string opening = {};                 ///< why it may not be opened; empty: it may
  std::vector<std::string> quirks = {};     ///< that it could have
  std::vector<std::string> shown = {};      ///< capabilities that a guest would see: "PM @0x60"
  std::vector<std::string> not_shown = {};  ///< and those that it would not
  std::string patch_error = {};             ///< why that cannot be said; or empty
};

/// One set of the reset plan.
struct SetDecision {
  std::string functions = {};           ///< "0000:01:00.0, 0000:01:00.1"
  std::vector<std::string> order = {};  ///< methods; empty: no safe reset is known
  std::string hot_reset = {};           ///< "possible", or why not
  std::string function_reset = {};
  std::uint64_t settle_ms = 0;
  std::string warning = {};
  std::string note = {};
};

struct ReportDecision {
  std::vector<FunctionDecision> functions = {};
  std::vector<SetDecision> sets = {};
  std::string plan_error = {};  ///< why there is no plan; or empty
};

struct ResetRecord {
  std::string functions = {};
  std::string method = {};
  std::string verdict = {};
  bool is_safe = false;
  std::uint64_t duration_ms = 0;
  std::vector<std::string> did_not_help = {};
  std::string text = {};
};

/// A register that was written before a reset, which must have taken the value away.
struct WitnessRecord {
  std::string function = {};
  std::string name = {};
  bool is_cleared = false;
};

/// A function after a reset.
struct LookRecord {
  std::string function = {};
  std::string state = {};  ///< FunctionState as a line (to_text())
  std::uint16_t command = 0;
  std::uint16_t status = 0;
  std::vector<RecordedRegister> registers = {};
  std::string error = {};  ///< why it could not be read; or empty
};

struct CycleRecord {
  std::uint64_t number = 0;  ///< from 1
  std::vector<ResetRecord> resets = {};
  std::vector<WitnessRecord> witnesses = {};
  std::vector<LookRecord> looks = {};
};

struct TrialRecord {
  std::uint64_t wanted = 0;  ///< cycles
  bool has_ended = false;    ///< false: gpuvm, or the host, did not live to see its end
  std::string error = {};    ///< what ended it but a reset that failed; or empty
  std::vector<CycleRecord> cycles = {};

  /// Cycles in which a reset failed or did not reach a register.
  std::uint64_t failures() const;
};

struct CardReport {
  std::string gpuvm_version = {};
  std::vector<std::string> remarks = {};       ///< whoever has the file may add some
  std::vector<std::string> not_recorded = {};  ///< sentences: what, and how it could be
  HostRecord host = {};
  std::vector<FunctionRecord> functions = {};
  ReportDecision decision = {};  ///< by the gpuvm that wrote it
  std::optional<TrialRecord> trial = {};
};

}  // namespace gpuvm
