// SPDX-License-Identifier: Apache-2.0
#include "tests/fuzz/machine/hostile_function.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "devices/pci/capability_chain.hpp"
#include "devices/pci/pci_spec.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::fuzz {
namespace {

struct ConfigDword {
  std::uint16_t offset;
  std::uint32_t value;
};
/// A graphics card: power management, MSI (64 bits, maskable, 32 vectors), PCI Express with FLR,
/// MSI-X (64 vectors in BAR 2), Advanced Features; then extended capabilities: a serial number, a
/// resizable BAR, and one that nobody knows.
constexpr ConfigDword kCard[] = {
    {0x00, 0x1eb810de},  {0x04, 0x00100000},  {0x08, 0x030000a1},  {0x10, 0xe000000c},
    {0x18, 0xf0000000},  {0x20, 0x0000e001},  {0x34, 0x00000040},  {0x3c, 0x00000100},
    {0x40, 0x00035001},  {0x50, 0x018a7005},  {0x70, 0x0002b010},  {0x74, 0x10008fc1},
    {0x7c, 0x00477903},  {0x80, 0x11030000},  {0xb0, 0x003fd011},  {0xb4, 0x00000002},
    {0xb8, 0x00000802},  {0xd0, 0x03060013},  {0x100, 0x15010003}, {0x150, 0x20010015},
    {0x154, 0x00000ff0}, {0x158, 0x00000820}, {0x200, 0x00010037}};

constexpr std::size_t kConfigBytes = 4096;
constexpr std::size_t kRomBytes = 4096;
constexpr unsigned kMostPatches = 15;

std::uint16_t msi_size(std::uint16_t control) {
  return static_cast<std::uint16_t>(12 + ((control & 0x80) != 0 ? 4 : 0) +
                                    ((control & 0x100) != 0 ? 8 : 0));
}

std::uint16_t capability(std::span<const std::byte> config, pci::CapabilityId id) {
  return find_capability(config, static_cast<std::uint8_t>(id));
}

}  // namespace

HostileFunction::HostileFunction(Input& input) : config_(kConfigBytes), rom_(kRomBytes) {
  for (const auto& dword : kCard) {
    store_le(std::span(config_).subspan(dword.offset, 4), dword.value);
  }
  rom_[0] = std::byte{0x55};
  rom_[1] = std::byte{0xaa};
  regions_[static_cast<std::size_t>(RegionIndex::kConfig)] = {
      .size = kConfigBytes, .readable = true, .writable = true};
  regions_[static_cast<std::size_t>(RegionIndex::kRom)] = {.size = kRomBytes, .readable = true};
  add_bar(0, 1_MiB, true);
  add_bar(2, 16_KiB, false);
  add_bar(4, 128, false);
  shape(input);
  find_host_registers();
}

/// A byte: bits 0 to 3 how many dwords of the configuration space are others; bit 4 areas of BAR 0
/// that may be mapped; bit 5 a short configuration space; bit 6 BAR 2 may be mapped; bit 7 other
/// numbers, which follow.
void HostileFunction::shape(Input& input) {
  const auto flags = input.byte();
  for (unsigned i = 0; i < (flags & kMostPatches); ++i) {
    const auto offset = input.word() & 0xffcU;
    store_le(std::span(config_).subspan(offset, 4), input.dword());
  }
  if ((flags & 0x10) != 0) {
    regions_[0].sparse_areas = {{0, 0x3000}, {0x2000, 0x5000}, {0x80000, 0x80000}};
  }
  if ((flags & 0x20) != 0) {
    regions_[static_cast<std::size_t>(RegionIndex::kConfig)].size = 256;
  }
  regions_[2].mappable = (flags & 0x40) != 0;
  if ((flags & 0x80) != 0) {
    const auto numbers = input.byte();
    irq_counts_ = {numbers & 1U, (numbers & 2U) != 0 ? 4U : 0U, (numbers & 4U) != 0 ? 64U : 0U};
    regions_[2].msix_mappable = (numbers & 8) == 0;
    regions_[0].size = (numbers & 16) != 0 ? 0x2345 : regions_[0].size;
    regions_[0].writable = (numbers & 32) == 0;
    regions_[static_cast<std::size_t>(RegionIndex::kRom)].size =
        (numbers & 64) != 0 ? 0 : kRomBytes;
    const auto rom = input.rest((numbers & 128) != 0 ? 64 : 0);
    std::copy(rom.begin(), rom.end(), rom_.begin());
  }
}

void HostileFunction::find_host_registers() {
  const std::span<const std::byte> config =
      std::span(config_).first(static_cast<std::size_t>(region(RegionIndex::kConfig).size));
  if (const auto msi = capability(config, pci::CapabilityId::kMsi);
      msi != 0 && irq_counts_[1] != 0) {
    msi_ = {.offset = msi, .size = msi_size(load_at<std::uint16_t>(config, msi + 2U).value_or(0))};
  }
  // Where the table is not in the device's memory, there is no MSI-X for the guest, and the policy
  // of capabilities decides about its registers.
  const auto msix = capability(config, pci::CapabilityId::kMsix);
  if (msix == 0xb0 && load_at<std::uint32_t>(config, msix).value_or(0) == 0x003fd011 &&
      load_at<std::uint32_t>(config, msix + 4U).value_or(0) == 2 && irq_counts_[2] >= 64) {
    msix_ = {.offset = msix, .size = 12};
  }
  if (const auto power = capability(config, pci::CapabilityId::kPowerManagement); power != 0) {
    power_ = static_cast<std::uint16_t>(power + 4);
  }
}

void HostileFunction::add_bar(unsigned bar, std::uint64_t size, bool is_mappable) {
  files_.at(bar) = UniqueFd(::memfd_create("bar", MFD_CLOEXEC));
  must(::ftruncate(files_.at(bar).get(), static_cast<off_t>(size)) == 0, "there is a memfd");
  regions_.at(bar) = {.size = size,
                      .readable = true,
                      .writable = true,
                      .mappable = is_mappable,
                      .msix_mappable = true};
}

const RegionInfo& HostileFunction::region(RegionIndex index) const {
  return regions_.at(static_cast<std::size_t>(index));
}

Status HostileFunction::check(RegionIndex index, std::uint64_t offset, std::size_t size) const {
  const auto& info = region(index);
  must(offset <= info.size && size <= info.size - offset, "an access is inside its region");
  must(!in_reset_, "nothing touches a function that is being reset");
  const bool is_bar = index < RegionIndex::kRom;
  must(!is_bar || (size <= 8 && (size & (size - 1)) == 0 && offset % size == 0),
       "an access to a BAR is aligned");
  if (gone_) {
    return fail(ErrorKind::kHost, "{} is gone", name_);
  }
  return {};
}

Status HostileFunction::read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) {
  TRY(check(index, offset, out.size()));
  if (index == RegionIndex::kConfig || index == RegionIndex::kRom) {
    const auto& bytes = index == RegionIndex::kConfig ? config_ : rom_;
    std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  const auto got = ::pread(files_.at(static_cast<std::size_t>(index)).get(), out.data(), out.size(),
                           static_cast<off_t>(offset));
  must(got == static_cast<ssize_t>(out.size()), "a BAR is read");
  return {};
}

Status HostileFunction::write(RegionIndex index, std::uint64_t offset,
                              std::span<const std::byte> in) {
  TRY(check(index, offset, in.size()));
  if (index != RegionIndex::kConfig) {
    const auto put = ::pwrite(files_.at(static_cast<std::size_t>(index)).get(), in.data(),
                              in.size(), static_cast<off_t>(offset));
    must(put == static_cast<ssize_t>(in.size()), "a BAR is written");
    return {};
  }
  for (const auto& host : {msi_, msix_}) {
    must(host.size == 0 || offset + in.size() <= host.offset || offset >= host.offset + host.size,
         "the host's interrupt registers are not written");
  }
  must((in.size() & (in.size() - 1)) == 0 && offset % in.size() == 0,
       "a register is written as a whole");
  if (power_ != 0 && offset == power_ && (load_le(in.first(1)) & 3U) != 0) {
    must_be_out_of_reach();
  }
  std::copy(in.begin(), in.end(), config_.begin() + static_cast<std::ptrdiff_t>(offset));
  return {};
}

Status HostileFunction::write_on_event(RegionIndex index, std::uint64_t offset, unsigned size,
                                       std::uint64_t, int event_fd) {
  must(index < RegionIndex::kRom && offset + size <= region(index).size && offset % size == 0,
       "a write by an event is inside a BAR");
  return refuses_irqs_ && event_fd >= 0 ? Status(fail(ErrorKind::kHost, "Not offered")) : Status();
}

Result<MappedRegion> HostileFunction::map(RegionIndex index, RegionArea area,
                                          std::uint64_t alignment) {
  const auto& info = region(index);
  must(info.mappable && area.offset <= info.size && area.size <= info.size - area.offset,
       "what is mapped is inside its region");
  auto mapped = MappedRegion::create({.fd = files_.at(static_cast<std::size_t>(index)).get(),
                                      .offset = area.offset,
                                      .size = area.size,
                                      .alignment = alignment});
  if (mapped) {
    mapped_.at(maps_++ % mapped_.size()) = mapped->bytes();
  }
  return mapped;
}

IrqInfo HostileFunction::irq(IrqType type) const {
  const auto index = static_cast<std::size_t>(type);
  return index < irq_counts_.size()
             ? IrqInfo{.count = irq_counts_.at(index), .maskable = type == IrqType::kIntx}
             : IrqInfo{};
}

Status HostileFunction::set_irq_fds(IrqType type, std::uint32_t start, std::span<const int> fds) {
  must(!in_reset_, "a function that is being reset gets no interrupts");
  must(fds.size() <= irq(type).count && start <= irq(type).count - fds.size(),
       "vectors are those that there are");
  if (refuses_irqs_ || gone_) {
    return fail(ErrorKind::kHost, "No vectors");
  }
  for (std::size_t other = 0; other < irq_fds_.size(); ++other) {
    must(other == static_cast<std::size_t>(type) || irq_fds_.at(other).empty(),
         "one type of interrupts is on at a time");
  }
  irq_fds_.at(static_cast<std::size_t>(type)).assign(fds.begin(), fds.end());
  return {};
}

Status HostileFunction::disable_irqs(IrqType type) {
  irq_fds_.at(static_cast<std::size_t>(type)).clear();
  return {};
}

Status HostileFunction::function_reset() {
  must_be_out_of_reach();
  return refuses_reset_ ? Status(fail(ErrorKind::kHost, "The reset fails")) : Status();
}

void HostileFunction::begin_bus_reset() {
  must_be_out_of_reach();
  in_reset_ = true;
}

void HostileFunction::must_be_out_of_reach() const {
  for (const auto bytes : mapped_) {
    must(bytes.empty() || !reaches_ || !reaches_(bytes),
         "a guest reaches nothing of a function that does not answer");
  }
}

void HostileFunction::fire() const {
  const std::uint64_t one = 1;
  for (const auto& fds : irq_fds_) {
    for (const int fd : fds) {
      must(fd < 0 || ::write(fd, &one, sizeof one) == static_cast<ssize_t>(sizeof one),
           "an eventfd of a vector is open");
    }
  }
}

}  // namespace gpuvm::fuzz
