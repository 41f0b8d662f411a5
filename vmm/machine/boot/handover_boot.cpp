// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/handover_boot.hpp"

#include <sys/random.h>

#include <algorithm>
#include <array>

#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/reset_port.hpp"
#include "devices/platform/rtc_cmos.hpp"
#include "devices/platform/serial_port.hpp"
#include "firmware/efi/efi_kernel.hpp"
#include "firmware/efi/embedded_image.hpp"
#include "firmware/efi/monitor_port.hpp"
#include "firmware/efi/uefi_types.hpp"
#include "firmware/efi/variable_store.hpp"
#include "firmware/linux/entry_tables.hpp"
#include "firmware/linux/initrd_file.hpp"
#include "firmware/linux/linux_boot.hpp"
#include "firmware/linux/linux_layout.hpp"
#include "firmware/linux/setup_header.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/memory/layout.hpp"

namespace gpuvm {
namespace {

using efi::MemoryType;

constexpr std::size_t kSeedSize = 64;
/// More of a guest's reason is not shown.
constexpr std::size_t kReasonMax = 200;
/// What stub and firmware need beside kernel and initrd: parameters, pools, page tables.
constexpr std::uint64_t kSlack = 4_MiB;

std::uint32_t efi_type_of(E820Type type) {
  switch (type) {
    case E820Type::kRam:
      return static_cast<std::uint32_t>(MemoryType::kConventional);
    case E820Type::kAcpiReclaim:
      return static_cast<std::uint32_t>(MemoryType::kAcpiReclaim);
    case E820Type::kAcpiNvs:
      return static_cast<std::uint32_t>(MemoryType::kAcpiNvs);
    case E820Type::kUnusable:
      return static_cast<std::uint32_t>(MemoryType::kUnusable);
    case E820Type::kReserved:
    case E820Type::kSoftReserved:  // told by the tree's memory nodes
      break;
  }
  return static_cast<std::uint32_t>(MemoryType::kReserved);
}

Result<std::vector<std::byte>> random_seed() {
  std::vector<std::byte> seed(kSeedSize);
  if (::getrandom(seed.data(), seed.size(), 0) != static_cast<ssize_t>(seed.size())) {
    return fail_errno(ErrorKind::kHost, "Cannot get random bytes for the guest");
  }
  return seed;
}

TreePorts tree_ports() {
  TreePorts ports;
  ports.serial = static_cast<std::uint16_t>(kCom1Base.value());
  ports.rtc = static_cast<std::uint16_t>(kRtcBase.value());
  ports.reset = static_cast<std::uint16_t>(kResetPort.value());
  ports.reset_value = kResetValue;
  ports.pm1_control = static_cast<std::uint16_t>(kAcpiPmBase.value() + kPm1ControlOffset);
  ports.soft_off_value = kS5SleepType << kPm1SleepTypeShift | kPm1SleepEnable;
  ports.monitor = static_cast<std::uint16_t>(HandoverBoot::kPort.value());
  return ports;
}

/// One load in progress: what is placed goes to the tree.
class Loader {
 public:
  Loader(const GuestMemory& memory, const HandoverBoot::Load& what)
      : memory_(memory), what_(what) {}

  Status load_firmware();
  Status load_kernel();
  Status load_initrd();
  Status load_variables(std::span<const std::byte> block);
  Status load_roms();
  void add_memory_nodes();
  Result<std::vector<std::byte>> make_tree();
  Result<CpuEntryState> enter_with(std::span<const std::byte> tree);

 private:
  GuestRange low_memory() const { return memory_.regions().front().range; }
  std::optional<GuestRange> place(std::uint64_t size, std::uint64_t alignment = kPageSize) const;
  Result<GuestRange> put(const char* name, std::span<const std::byte> bytes);
  Status check_room(const EfiKernel& kernel, std::uint64_t initrd) const;

  const GuestMemory& memory_;
  const HandoverBoot::Load& what_;
  const efi::ImageHeader firmware_ = efi::embedded_image_header();
  std::vector<GuestRange> taken_;
  MachineTree tree_;
};

/// High in RAM below 4 GiB, so that the kernel finds its preferred places free.
std::optional<GuestRange> Loader::place(std::uint64_t size, std::uint64_t alignment) const {
  const std::uint64_t start = align_up(firmware_.memory_end, kPageSize);
  const std::uint64_t end = low_memory().last().value() + 1;
  const auto window =
      end > start ? GuestRange::create(GuestAddress(start), end - start) : std::nullopt;
  const std::uint64_t spare = alignment > kPageSize ? alignment : 0;
  const auto found = window ? place_high(size + spare, *window, taken_) : std::nullopt;
  return found ? GuestRange::create(GuestAddress(align_up(found->base().value(), alignment)), size)
               : std::nullopt;
}

/// Bytes for the firmware, in pages that the kernel may have later.
Result<GuestRange> Loader::put(const char* name, std::span<const std::byte> bytes) {
  const auto range = place(bytes.size());
  if (!range || !memory_.write(range->base(), bytes)) {
    return fail(ErrorKind::kConfig,
                "No room for {} bytes of the EFI firmware's {}; raise the "
                "guest's memory",
                bytes.size(), name);
  }
  taken_.push_back(*range);
  tree_.reserved.push_back(
      {name, *range, static_cast<std::uint32_t>(MemoryType::kBootServicesData)});
  return *range;
}

Status Loader::load_firmware() {
  const auto target =
      memory_.slice(GuestAddress(firmware_.base), firmware_.memory_end - firmware_.base);
  if (!target) {
    return fail(ErrorKind::kConfig, "The guest has no memory at {:#x} for its EFI firmware",
                firmware_.base);
  }
  const auto image = efi::embedded_image();
  std::fill(target->begin(), target->end(), std::byte{0});
  std::copy(image.begin(), image.end(), target->begin());
  taken_.push_back(*GuestRange::create(GuestAddress(firmware_.base), target->size()));
  for (const auto& entry : what_.reserved) {
    if (low_memory().overlaps(entry.range)) {
      taken_.push_back(entry.range);
    }
    if (entry.type != E820Type::kSoftReserved) {
      tree_.reserved.push_back({"reserved", entry.range, efi_type_of(entry.type)});
    }
  }
  return {};
}

/// The kernel's stub decompresses from the image to another place of the same size.
Status Loader::check_room(const EfiKernel& kernel, std::uint64_t initrd) const {
  std::uint64_t reserved = 0;
  for (const auto& entry : what_.reserved) {
    const bool above = entry.range.base() >= linux_layout::kHighMemory;
    reserved += above && low_memory().overlaps(entry.range) ? entry.range.size() : 0;
  }
  const std::uint64_t needed = reserved + std::uint64_t{kernel.header().pref_address} +
                               kernel.header().init_size + kernel.memory_size() +
                               kernel.alignment() + align_up(initrd, kPageSize) + kSlack;
  if (needed <= low_memory().size()) {
    return {};
  }
  const std::string sizes = fmt::format(
      "The kernel {} ({} MiB to start through EFI) and its initrd ({} MiB)", kernel.path(),
      (kernel.header().init_size + kernel.memory_size()) >> 20, initrd >> 20);
  if (memory_.regions().size() > 1) {
    return fail(ErrorKind::kConfig, "{} do not fit below {:#x}; give smaller ones", sizes,
                low_memory().last().value() + 1);
  }
  return fail(ErrorKind::kConfig,
              "{} do not fit into the guest's {} MiB of memory; give it at least {} MiB", sizes,
              memory_.size() >> 20, align_up(needed, 2_MiB) >> 20);
}

Status Loader::load_kernel() {
  const auto kernel =
      TRY_CONTEXT(EfiKernel::load(what_.config.boot.kernel, what_.open_file), "boot.kernel");
  std::uint64_t initrd = 0;
  if (what_.config.boot.initrd) {
    initrd = TRY(InitrdFile::open(*what_.config.boot.initrd, what_.open_file)).size();
  }
  TRY(check_room(kernel, initrd));
  const auto range = place(kernel.memory_size(), kernel.alignment());
  const auto target = range ? memory_.slice(range->base(), range->size()) : std::nullopt;
  if (!target) {
    return fail(ErrorKind::kConfig, "No room for the kernel {}; raise the guest's memory",
                kernel.path());
  }
  kernel.copy_to(*target);
  taken_.push_back(*range);
  const auto header = std::as_bytes(std::span(&kernel.header(), 1));
  tree_.kernel = {.image = *range,
                  .entry = range->base() + kernel.entry_offset(),
                  .handover = kernel.entry() == EfiEntry::kHandover,
                  .setup_header = {header.begin(), header.end()}};
  log::info("The kernel {} starts by {}", kernel.path(),
            tree_.kernel.handover ? "the EFI handover protocol" : "its PE entry");
  TRY(check_command_line(what_.config.boot, kernel.header().cmdline_size));
  tree_.command_line = what_.config.boot.cmdline;
  return {};
}

Status Loader::load_initrd() {
  if (!what_.config.boot.initrd) {
    return {};
  }
  const auto file = TRY(InitrdFile::open(*what_.config.boot.initrd, what_.open_file));
  const auto range = place(file.size());
  const auto target = range ? memory_.slice(range->base(), range->size()) : std::nullopt;
  if (!target) {
    return fail(ErrorKind::kConfig, "No room for the initrd {}; raise the guest's memory",
                file.path());
  }
  TRY(file.read_into(*target));
  taken_.push_back(*range);
  tree_.initrd = *range;
  return {};
}

Status Loader::load_variables(std::span<const std::byte> block) {
  tree_.variables = TRY(put("variables", block));
  return {};
}

Status Loader::load_roms() {
  tree_.pci = what_.pci;
  for (const auto& function : what_.functions) {
    tree_.pci.functions.push_back(function.tree);
    if (!function.rom.empty()) {
      tree_.pci.functions.back().rom = TRY(put("rom", function.rom));
    }
  }
  return {};
}

/// RAM, by NUMA nodes where there are some, and memory of devices.
void Loader::add_memory_nodes() {
  if (!what_.numa) {
    for (const auto& region : memory_.regions()) {
      tree_.memory.push_back({.range = region.range});
    }
    return;
  }
  for (const auto& memory : what_.numa->memory) {
    tree_.memory.push_back(
        {.range = memory.range, .node = memory.domain, .specific_purpose = memory.is_device});
  }
}

Result<std::vector<std::byte>> Loader::make_tree() {
  tree_.model = "gpuvm";
  add_memory_nodes();
  // RAM as a PC has it: the window of VGA and option ROMs is none, though memory is behind it.
  tree_.reserved.push_back(
      {"legacy",
       *GuestRange::create(linux_layout::kVgaWindow, layout::kAcpiBase - linux_layout::kVgaWindow),
       static_cast<std::uint32_t>(MemoryType::kReserved)});
  tree_.rsdp = what_.rsdp;
  tree_.smbios3 = what_.smbios3;
  tree_.ports = tree_ports();
  tree_.seed = TRY(random_seed());
  return build_machine_tree(tree_);
}

Result<CpuEntryState> Loader::enter_with(std::span<const std::byte> tree) {
  const auto range = place(tree.size());
  if (!range || !memory_.write(range->base(), tree)) {
    return fail(ErrorKind::kConfig, "No room for the device tree; raise the guest's memory");
  }
  TRY(write_entry_tables(memory_));
  auto state = linux_entry_state(GuestAddress(firmware_.entry));
  state.rsi = range->base().value();
  return state;
}

/// All that goes into memory before the tree, and the tree.
Result<std::vector<std::byte>> load_parts(Loader& loader, std::span<const std::byte> variables) {
  TRY(loader.load_firmware());
  TRY(loader.load_kernel());
  TRY(loader.load_initrd());
  TRY(loader.load_variables(variables));
  TRY(loader.load_roms());
  return loader.make_tree();
}

}  // namespace

HandoverBoot::HandoverBoot(const Config& config, const GuestMemory& memory,
                           std::function<void(Error)> on_failure,
                           std::unique_ptr<VariableFile> variables)
    : config_(config),
      memory_(memory),
      on_failure_(std::move(on_failure)),
      variables_(std::move(variables)) {}

Result<CpuEntryState> HandoverBoot::load(const Load& what) {
  Loader loader(memory_, what);
  const auto tree = TRY(load_parts(loader, variables_->block()));
  const MutexLock lock(mutex_);
  failed_ = false;  // this and a report: of a former life
  report_.reset();
  reason_.clear();
  return loader.enter_with(tree);
}

Result<std::vector<std::byte>> HandoverBoot::make_tree(const GuestMemory& memory,
                                                       const Load& what) {
  Loader loader(memory, what);
  const auto variables = TRY(VariableFile::open(""));
  return load_parts(loader, variables->block());
}

IoStatus HandoverBoot::read(std::uint64_t, std::span<std::byte> out) {
  const auto answer = failed_.load() ? efi::MonitorAnswer::kFailed : efi::MonitorAnswer::kDone;
  std::fill(out.begin(), out.end(), static_cast<std::byte>(answer));
  return IoStatus::kOk;
}

IoStatus HandoverBoot::write(std::uint64_t, std::span<const std::byte> in) {
  if (take_report_byte(in[0])) {
    return IoStatus::kOk;
  }
  if (static_cast<efi::MonitorCommand>(in[0]) == efi::MonitorCommand::kSaveVariables) {
    failed_.store(!save_variables());
    return IoStatus::kOk;
  }
  return IoStatus::kInvalidRegister;
}

/// False for what is no part of a report. The text is the guest's: bounded, and printable.
bool HandoverBoot::take_report_byte(std::byte value) {
  const MutexLock lock(mutex_);
  if (!report_) {
    const auto command = static_cast<efi::MonitorCommand>(value);
    if (command == efi::MonitorCommand::kFirmwareFailed) {
      report_ = ErrorKind::kInternal;
    } else if (command == efi::MonitorCommand::kKernelFailed) {
      report_ = ErrorKind::kConfig;
    }
    return report_.has_value();
  }
  const auto character = std::to_integer<char>(value);
  if (character != '\0') {
    if (reason_.size() < kReasonMax) {
      reason_ += character >= ' ' && character <= '~' ? character : '?';
    }
    return true;
  }
  on_failure_(Error(
      *report_,
      fmt::format("{} {} did not start through EFI: {}; the guest's console "
                  "may say more",
                  *report_ == ErrorKind::kConfig ? "The kernel" : "Firmware fault: the kernel",
                  config_.boot.kernel, reason_)));
  report_.reset();
  reason_.clear();
  return true;
}

bool HandoverBoot::save_variables() {
  const auto block = memory_.slice(GuestAddress(efi::embedded_image_header().variables),
                                   efi::VariableStore::kBlockSize);
  const Status saved = block ? variables_->save(*block) : Status();
  if (!saved) {
    if (limit_.allow()) {
      log::warn("{}", saved.error().to_string());
    }
    return false;
  }
  ++saves_;
  return block.has_value();
}

void HandoverBoot::inspect(InspectNode& node) const {
  const auto header = efi::embedded_image_header();
  node.hex("firmware_base", header.base);
  node.field("firmware_size", header.memory_end - header.base);
  node.field("variable_bytes", static_cast<std::uint64_t>(variables_->block().size()));
  node.field("variable_saves", saves_.load());
}

}  // namespace gpuvm
