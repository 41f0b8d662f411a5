// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/entry_tables.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "firmware/linux/linux_layout.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

using linux_layout::kGdt;
using linux_layout::kPageTables;

// boot.rst: __BOOT_CS and __BOOT_DS.
constexpr std::uint16_t kCodeSelector = 0x10;
constexpr std::uint16_t kDataSelector = 0x18;

// SDM 3.4.5: flat, present, DPL 0, 4 KiB units; code: L = 1, D = 0, execute/read; data: B = 1,
// read/write. Both "accessed", so that the CPU need not write to the table.
constexpr std::array<std::uint64_t, 4> kGdtEntries = {0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff};
constexpr std::uint8_t kTypeCode = 0xb;
constexpr std::uint8_t kTypeData = 0x3;
constexpr std::uint8_t kTypeBusyTss = 0xb;

constexpr std::uint64_t kEntriesPerTable = 512;
constexpr std::uint64_t kPresentWritable = 0x3;
constexpr std::uint64_t kLargePage = 0x80;
constexpr std::uint64_t kLowDirectories = 4;
constexpr std::uint64_t kHighDirectories = linux_layout::kPageTablePages - 2 - kLowDirectories;

constexpr std::uint64_t kCr0 = 0x80010033;  // PG, WP, NE, ET, MP, PE
constexpr std::uint64_t kCr4 = 0x20;        // PAE
constexpr std::uint64_t kEfer = 0x500;      // LMA, LME
constexpr std::uint64_t kRflags = 0x2;      // the bit that is always 1; IF = 0

/// PML4, PDPT, and directories for the gibibytes that are asked for.
std::vector<std::uint64_t> identity_page_tables(const std::optional<GuestRange>& kernel) {
  std::vector<std::uint64_t> gibibytes = {0, 1, 2, 3};
  if (kernel) {
    const std::uint64_t first = std::max(kernel->base().value() / 1_GiB, kLowDirectories);
    const std::uint64_t last = std::min(kernel->last().value() / 1_GiB, kEntriesPerTable - 1);
    for (std::uint64_t i = 0; i < kHighDirectories && first + i <= last; ++i) {
      gibibytes.push_back(first + i);
    }
  }
  std::vector<std::uint64_t> tables(linux_layout::kPageTablePages * kEntriesPerTable);
  const std::uint64_t base = kPageTables.value();
  tables[0] = (base + kPageSize) | kPresentWritable;
  for (std::uint64_t i = 0; i < gibibytes.size(); ++i) {
    tables[kEntriesPerTable + gibibytes[i]] = (base + (2 + i) * kPageSize) | kPresentWritable;
    for (std::uint64_t page = 0; page < kEntriesPerTable; ++page) {
      tables[(2 + i) * kEntriesPerTable + page] =
          (gibibytes[i] * 1_GiB + page * 2_MiB) | kPresentWritable | kLargePage;
    }
  }
  return tables;
}

SegmentState flat_segment(std::uint16_t selector, std::uint8_t type) {
  SegmentState segment;
  segment.limit = 0xffffffff;
  segment.selector = selector;
  segment.type = type;
  segment.code_or_data = true;
  segment.present = true;
  segment.four_kib_units = true;
  return segment;
}

}  // namespace

Status write_entry_tables(const GuestMemory& memory, std::optional<GuestRange> kernel) {
  const auto tables = identity_page_tables(kernel);
  if (!memory.write(kGdt, std::as_bytes(std::span(kGdtEntries))) ||
      !memory.write(kPageTables, std::as_bytes(std::span(tables)))) {
    return fail(ErrorKind::kConfig, "The guest has no memory at {:#x} for its first page tables",
                kPageTables.value());
  }
  return {};
}

CpuEntryState linux_entry_state(GuestAddress entry) {
  CpuEntryState state;
  state.rip = entry.value();
  state.rsp = linux_layout::kStackTop.value();
  state.rsi = linux_layout::kZeroPage.value();
  state.rflags = kRflags;
  state.cr0 = kCr0;
  state.cr3 = kPageTables.value();
  state.cr4 = kCr4;
  state.efer = kEfer;
  state.code = flat_segment(kCodeSelector, kTypeCode);
  state.code.long_mode = true;
  state.data = flat_segment(kDataSelector, kTypeData);
  state.data.default_32 = true;
  state.task.limit = 0xffff;
  state.task.type = kTypeBusyTss;
  state.task.present = true;
  state.gdt = {kGdt.value(), sizeof kGdtEntries - 1};
  return state;
}

}  // namespace gpuvm
