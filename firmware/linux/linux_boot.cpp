// SPDX-License-Identifier: Apache-2.0
#include "firmware/linux/linux_boot.hpp"

#include <algorithm>
#include <cstring>

#include "firmware/linux/entry_tables.hpp"
#include "firmware/linux/initrd_file.hpp"
#include "firmware/linux/kernel_unpacking.hpp"
#include "firmware/linux/linux_layout.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm {
namespace {

/// Mebibytes, rounded up to the 2 MiB that guest memory comes in.
std::uint64_t memory_for(std::uint64_t bytes) {
  return align_up(bytes, 2_MiB) >> 20;
}

/// One load in progress.
class Loader {
 public:
  Loader(const GuestMemory& memory, const LinuxBootOptions& options)
      : memory_(memory), options_(options), kernel_(*options.kernel) {
    for (const auto& entry : options.reserved) {
      taken_.push_back(entry.range);
    }
  }

  Status take_place_of_kernel();
  Status copy_kernel();
  Status load_command_line();
  Status load_initrd();
  Status load_setup_data();
  Status unpack_kernel();
  Status load_zero_page();
  Result<CpuEntryState> entry_state() const;

 private:
  GuestRange low_memory() const { return memory_.regions().front().range; }
  std::optional<GuestRange> place(std::uint64_t size) const;
  Error no_room(const InitrdFile& initrd) const;

  const GuestMemory& memory_;
  const LinuxBootOptions& options_;
  const LinuxImage& kernel_;
  std::vector<GuestRange> taken_;
  std::optional<GuestRange> initrd_;
  std::optional<GuestAddress> setup_data_;
  std::optional<UnpackedKernel> unpacked_;
};

Status Loader::take_place_of_kernel() {
  const GuestRange range = kernel_.range();
  if (!low_memory().contains(range.base(), range.size())) {
    return fail(
        ErrorKind::kConfig,
        "The kernel {} needs memory up to {} MiB below 4 GiB, but the guest has {} MiB there; "
        "raise its memory",
        kernel_.path(), memory_for(range.last().value() + 1), low_memory().size() >> 20);
  }
  for (const auto& taken : taken_) {
    if (taken.overlaps(range)) {
      return fail(ErrorKind::kConfig,
                  "The kernel {} must be at {:#x}, where {:#x}+{:#x} is reserved", kernel_.path(),
                  range.base().value(), taken.base().value(), taken.size());
    }
  }
  taken_.push_back(range);
  return {};
}

Status Loader::copy_kernel() {
  for (const auto& segment : kernel_.segments()) {
    const auto target = memory_.slice(segment.range.base(), segment.range.size());
    if (!target || segment.content.size() > target->size()) {
      return fail(ErrorKind::kInternal, "A segment of {} lies outside its range", kernel_.path());
    }
    std::copy(segment.content.begin(), segment.content.end(), target->begin());
    const auto rest = target->subspan(segment.content.size());
    std::fill(rest.begin(), rest.end(), std::byte{0});
  }
  return {};
}

/// After all else has its place, and so that it touches none of that. Where it was linked to go is
/// one of the places.
Status Loader::unpack_kernel() {
  std::vector<GuestRange> ram;
  for (const auto& region : memory_.regions()) {
    ram.push_back(region.range);
  }
  std::vector<GuestRange> avoid = taken_;
  std::erase(avoid, kernel_.range());
  unpacked_ = TRY(gpuvm::unpack_kernel(memory_, kernel_,
                                       {.header = kernel_.header(),
                                        .ram = ram,
                                        .avoid = avoid,
                                        .command_line = options_.command_line,
                                        .random = options_.random}));
  return {};
}

Status Loader::load_command_line() {
  const std::string& text = options_.command_line;
  const std::uint64_t limit =
      std::min(kernel_.command_line_max(), linux_layout::kCommandLineMax - 1);
  if (text.size() > limit) {
    return fail(ErrorKind::kConfig,
                "The command line has {} bytes, but the kernel {} takes at most {}; shorten it",
                text.size(), kernel_.path(), limit);
  }
  if (text.find('\0') != std::string::npos) {
    return fail(ErrorKind::kConfig, "The command line has a NUL character; remove it");
  }
  // c_str(): with the NUL that ends it.
  if (!memory_.write(linux_layout::kCommandLine,
                     std::as_bytes(std::span(text.c_str(), text.size() + 1)))) {
    return fail(ErrorKind::kConfig, "The guest has no memory at {:#x} for the command line",
                linux_layout::kCommandLine.value());
  }
  return {};
}

/// As high as boot.rst advises (the kernel may still grow upwards): below the end of low RAM and
/// initrd_addr_max.
std::optional<GuestRange> Loader::place(std::uint64_t size) const {
  const std::uint64_t end =
      std::min(low_memory().last().value(), std::uint64_t{kernel_.header().initrd_addr_max}) + 1;
  if (end <= linux_layout::kHighMemory.value()) {
    return std::nullopt;
  }
  const auto window =
      GuestRange::create(linux_layout::kHighMemory, end - linux_layout::kHighMemory.value());
  return window ? place_high(size, *window, taken_) : std::nullopt;
}

Error Loader::no_room(const InitrdFile& initrd) const {
  const std::uint64_t ceiling = std::uint64_t{kernel_.header().initrd_addr_max} + 1;
  std::uint64_t needed = kernel_.range().last().value() + 1 + align_up(initrd.size(), kPageSize) +
                         align_up(setup_data_size(options_.setup_data), kPageSize);
  for (const auto& entry : options_.reserved) {
    const bool in_the_way =
        entry.range.base() > kernel_.range().last() && low_memory().contains(entry.range.base());
    needed += in_the_way ? align_up(entry.range.size(), kPageSize) + kPageSize : 0;
  }
  const std::string sizes = fmt::format(
      "The initrd {} has {} bytes; beside the kernel ({} MiB from {:#x})", initrd.path(),
      initrd.size(), kernel_.range().size() >> 20, kernel_.range().base().value());
  // More than one region: low RAM is as large as it gets.
  if (needed > ceiling || memory_.regions().size() > 1) {
    return fail(ErrorKind::kConfig,
                "{} it does not fit below {:#x}, where this kernel must find it; make it smaller",
                sizes, std::min(ceiling, low_memory().last().value() + 1));
  }
  return fail(ErrorKind::kConfig,
              "{} it does not fit into the guest's {} MiB of memory; give it at least {} MiB",
              sizes, memory_.size() >> 20, memory_for(needed));
}

Status Loader::load_initrd() {
  if (options_.initrd_path.empty()) {
    return {};
  }
  const auto file = TRY(InitrdFile::open(options_.initrd_path, options_.open_file));
  const auto range = place(file.size());
  const auto target = range ? memory_.slice(range->base(), range->size()) : std::nullopt;
  if (!target) {
    return no_room(file);
  }
  TRY(file.read_into(*target));
  taken_.push_back(*range);
  initrd_ = range;
  return {};
}

/// Not below 640 KiB: an option ROM alone may be larger than that.
Status Loader::load_setup_data() {
  const std::uint64_t size = setup_data_size(options_.setup_data);
  if (size == 0) {
    return {};
  }
  const auto range = place(size);
  if (!range) {
    return fail(ErrorKind::kConfig, "No room for {} bytes of setup data; raise the guest's memory",
                size);
  }
  const auto bytes = TRY(build_setup_data(options_.setup_data, range->base()));
  if (!memory_.write(range->base(), bytes)) {
    return fail(ErrorKind::kInternal, "The setup data was placed outside memory");
  }
  taken_.push_back(*range);
  setup_data_ = range->base();
  return {};
}

Status Loader::load_zero_page() {
  std::vector<GuestRange> ram;
  for (const auto& region : memory_.regions()) {
    ram.push_back(region.range);
  }
  const auto e820 = TRY(build_e820(ram, options_.reserved));
  const auto page = TRY(build_zero_page({.header = kernel_.header(),
                                         .command_line = linux_layout::kCommandLine,
                                         .initrd = initrd_,
                                         .rsdp = options_.rsdp,
                                         .setup_data = setup_data_,
                                         .e820 = e820,
                                         .is_randomised = unpacked_ && unpacked_->is_randomised}));
  if (!memory_.write(linux_layout::kZeroPage, page)) {
    return fail(ErrorKind::kConfig, "The guest has no memory at {:#x} for its zero page",
                linux_layout::kZeroPage.value());
  }
  return {};
}

Result<CpuEntryState> Loader::entry_state() const {
  TRY(write_entry_tables(memory_, unpacked_ ? unpacked_->range : kernel_.range()));
  return linux_entry_state(unpacked_ ? unpacked_->entry : kernel_.entry());
}

}  // namespace

Result<CpuEntryState> load_linux(const GuestMemory& memory, const LinuxBootOptions& options) {
  Loader loader(memory, options);
  TRY(loader.take_place_of_kernel());
  if (!options.unpacks) {
    TRY(loader.copy_kernel());
  }
  TRY(loader.load_command_line());
  TRY(loader.load_initrd());
  TRY(loader.load_setup_data());
  if (options.unpacks) {
    TRY(loader.unpack_kernel());
  }
  TRY(loader.load_zero_page());
  return loader.entry_state();
}

std::optional<GuestRange> place_high(std::uint64_t size, GuestRange window,
                                     std::span<const GuestRange> avoid) {
  const std::uint64_t first = window.base().value();
  std::uint64_t end = window.last().value() + 1;
  // Each turn leaves at least one range of `avoid` above for good.
  for (std::size_t turn = 0; turn <= avoid.size(); ++turn) {
    if (size == 0 || end < first || size > end - first) {
      return std::nullopt;
    }
    const std::uint64_t base = align_down(end - size, kPageSize);
    const auto place = GuestRange::create(GuestAddress(base), size);
    if (!place || base < first) {
      return std::nullopt;
    }
    const auto hit = std::find_if(avoid.begin(), avoid.end(),
                                  [&](const GuestRange& range) { return range.overlaps(*place); });
    if (hit == avoid.end()) {
      return place;
    }
    end = hit->base().value();
  }
  return std::nullopt;
}

}  // namespace gpuvm
