// SPDX-License-Identifier: Apache-2.0
#include "vmm/machine/boot/uefi_boot.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <bit>

#include "firmware/linux/e820.hpp"
#include "firmware/linux/setup_header.hpp"
#include "firmware/ovmf/table_loader.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/file.hpp"
#include "vmm/base/log.hpp"
#include "vmm/machine/pci/disks.hpp"

namespace gpuvm {
namespace {

constexpr std::uint64_t kLargestCode = 16_MiB;
/// As much of a kernel as tells what it is.
constexpr std::uint64_t kKernelHead = 4_KiB;
/// How much address space OVMF takes for 64-bit BARs: MiB as decimal text. It aligns the window to
/// its size.
constexpr const char* kMemory64Item = "opt/ovmf/X-PciMmio64Mb";
/// OVMF's own default for 64-bit BARs (PcdPciMmio64Size); asking for less gains nothing.
constexpr std::uint64_t kLeastMemory64 = 32_GiB;

std::vector<std::byte> text_bytes(std::string_view text) {
  const auto bytes = std::as_bytes(std::span(text));
  return {bytes.begin(), bytes.end()};
}

bool exists(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0;
}

/// etc/e820: 20-byte entries of base, length and type. OVMF takes the RAM from it.
std::vector<std::byte> e820_file(const GuestMemory& memory) {
  std::vector<std::byte> out;
  for (const auto& region : memory.regions()) {
    append_bytes(out, region.range.base().value());
    append_bytes(out, region.range.size());
    append_bytes(out, static_cast<std::uint32_t>(E820Type::kRam));
  }
  return out;
}

/// etc/system-states: one byte for each of S0 to S5, bit 7 set where it exists.
std::vector<std::byte> system_states() {
  constexpr std::array<std::uint8_t, 6> kOnlyS0AndS5 = {0x80, 0, 0, 1, 2, 0x80};
  std::vector<std::byte> out;
  append_bytes(out, kOnlyS0AndS5);
  return out;
}

/// Bytes of a kernel before its protected-mode code; 0 for an EFI program that is no Linux kernel.
std::uint64_t setup_size(std::span<const std::byte> head, std::uint64_t file_size) {
  namespace boot = boot_protocol;
  const auto magic = load_at<std::uint32_t>(head, boot::kHeaderOffset + 0x11);
  const auto sectors = load_at<std::uint8_t>(head, boot::kHeaderOffset);
  if (magic != boot::kHdrS || !sectors) {
    return 0;
  }
  const std::uint64_t count = *sectors == 0 ? boot::kDefaultSetupSectors : *sectors;
  const std::uint64_t size = (count + 1) * boot::kSectorSize;
  return size < file_size ? size : 0;
}

}  // namespace

Result<std::unique_ptr<UefiBoot>> UefiBoot::open(const Config& config) {
  std::unique_ptr<UefiBoot> boot(new UefiBoot(config));
  TRY(boot->open_code());
  TRY(boot->open_files());
  TRY(boot->open_variables());
  return boot;
}

Status UefiBoot::check(const Config& config) {
  UefiBoot boot(config);
  TRY(boot.open_code());
  TRY(boot.open_files());
  const auto& path = *config.boot.vars;
  if (!exists(path)) {
    TRY(boot.read_template());
    return {};
  }
  // Not VarsFile::open(): its lock would be in the way of a run.
  const auto bytes =
      TRY_CONTEXT(read_file(path, VarsFile::kLargest, ErrorKind::kConfig), "boot.vars");
  const ovmf::FirmwareFile file{path, bytes};
  TRY(ovmf::check_variables(file, "boot.vars"));
  TRY(ovmf::place({*config.boot.firmware, boot.code_}, file));
  return {};
}

UefiBoot::~UefiBoot() {
  if (rom_slot_ != 0) {
    slots_->unmap(rom_slot_);
  }
}

Status UefiBoot::open_code() {
  const auto& path = *config_.boot.firmware;
  code_ = TRY_CONTEXT(read_file(path, kLargestCode, ErrorKind::kConfig), "boot.firmware");
  return ovmf::check_code({path, code_});
}

/// What boot.vars is made from.
Result<std::vector<std::byte>> UefiBoot::read_template() const {
  const auto& path = config_.boot.vars_template;
  if (!path) {
    return fail(ErrorKind::kConfig,
                "boot.vars: {} does not exist; make it, or name what to make it from, for instance "
                "vars_template = \"/usr/share/OVMF/OVMF_VARS_4M.fd\"",
                *config_.boot.vars);
  }
  auto bytes =
      TRY_CONTEXT(read_file(*path, VarsFile::kLargest, ErrorKind::kConfig), "boot.vars_template");
  const ovmf::FirmwareFile file{*path, bytes};
  TRY(ovmf::check_variables(file, "boot.vars_template"));
  TRY(ovmf::place({*config_.boot.firmware, code_}, file));
  return bytes;
}

/// Last, because it may make a file.
Status UefiBoot::open_variables() {
  const ovmf::FirmwareFile code{*config_.boot.firmware, code_};
  const auto& path = *config_.boot.vars;
  if (exists(path)) {
    variables_ = TRY_CONTEXT(VarsFile::open(path), "boot.vars");
  } else {
    variables_ = TRY_CONTEXT(VarsFile::create(path, TRY(read_template())), "boot.vars");
  }
  const ovmf::FirmwareFile file{path, variables_->contents()};
  TRY(ovmf::check_variables(file, "boot.vars"));
  layout_ = TRY(ovmf::place(code, file));
  return {};
}

Status UefiBoot::open_files() {
  const auto& boot = config_.boot;
  if (!boot.kernel.empty()) {
    kernel_ = TRY_CONTEXT(FwCfgFile::open(boot.kernel, "the kernel"), "boot.kernel");
    std::array<std::byte, 2> magic{};
    if (kernel_->size() < kKernelHead || !kernel_->read(0, magic) ||
        load_le(magic) != 0x5a4d) {  // "MZ"
      return fail(ErrorKind::kConfig,
                  "boot.kernel: {} is no EFI program: a Linux kernel must have an EFI stub "
                  "(CONFIG_EFI_STUB), as distributions' kernels have",
                  boot.kernel);
    }
  }
  if (boot.initrd) {
    initrd_ = TRY_CONTEXT(FwCfgFile::open(*boot.initrd, "the initrd"), "boot.initrd");
  }
  for (const auto& item : config_.fw_cfg) {
    if (item.file) {
      user_files_.emplace_back(
          item.name, TRY_CONTEXT(FwCfgFile::open(*item.file, "the item's file"), item.name));
    }
  }
  return {};
}

GuestRange UefiBoot::flash() const {
  return *GuestRange::create(layout_->variables.base(),
                             layout_->variables.size() + layout_->code.size());
}

Status UefiBoot::connect(const Machine& machine) {
  slots_ = &machine.slots;
  rom_ = TRY(MappedRegion::create({.size = code_.size()}));
  std::copy(code_.begin(), code_.end(), rom_.bytes().begin());
  rom_slot_ = TRY_CONTEXT(slots_->map(layout_->code.base(), rom_.bytes(), SlotAccess::kReadOnly),
                          "Firmware");
  flash_ = TRY(FlashDevice::create(variables_->contents(), layout_->variables.base(), *variables_,
                                   machine.slots));
  TRY(machine.mmio.add({layout_->variables, flash_.get()}));
  fw_cfg_ = std::make_unique<FwCfg>(machine.memory);
  fast_a20_ = std::make_unique<FastA20Port>(machine.requests);
  keyboard_reset_ = std::make_unique<KeyboardResetPort>(machine.requests);
  const auto add = [&machine](IoPort base, std::uint64_t count, IoHandler& handler) {
    return machine.ports.add({*PortRange::create(base, count), &handler});
  };
  TRY(add(fw_cfg::kPort, FwCfg::kPortCount, *fw_cfg_));
  TRY(add(kFastA20Port, 1, *fast_a20_));
  TRY(add(kKeyboardCommandPort, 1, *keyboard_reset_));
  if (config_.boot.firmware_log) {
    debug_console_ =
        TRY_CONTEXT(DebugConsolePort::create(*config_.boot.firmware_log), "boot.firmware_log");
    TRY(add(kDebugConsolePort, 1, *debug_console_));
  }
  add_machine_items(machine.memory);
  TRY(add_boot_order());
  return add_kernel();
}

void UefiBoot::add_machine_items(const GuestMemory& memory) {
  const std::uint64_t cpus = config_.machine.cpus;
  fw_cfg_->add_number(fw_cfg::kCpuCount, cpus, 2);
  fw_cfg_->add_number(fw_cfg::kCpuLimit, cpus, 2);
  fw_cfg_->add_number(fw_cfg::kBootMenu, 0, 2);
  // The names are ours and short enough.
  (void)fw_cfg_->add_file("etc/boot-menu-wait", std::vector<std::byte>(2));
  (void)fw_cfg_->add_file("etc/e820", e820_file(memory));
  (void)fw_cfg_->add_file("etc/system-states", system_states());
}

/// bootorder: Open Firmware paths of the disks, one in a line. OVMF keeps boot options that match
/// one.
Status UefiBoot::add_boot_order() {
  std::string first;
  std::string others;
  for (std::size_t i = 0; i < config_.disks.size(); ++i) {
    const std::string line = fmt::format("/pci@i0cf8/scsi@{:x}/disk@0,0\n", kFirstDiskSlot + i);
    (config_.disks[i].boot ? first : others) += line;
  }
  if (first.empty()) {
    return {};  // the guest's own boot variables decide
  }
  auto lines = text_bytes(first + others);
  lines.push_back(std::byte{0});
  return fw_cfg_->add_file("bootorder", std::move(lines));
}

Status UefiBoot::add_kernel() {
  if (!kernel_) {
    return {};
  }
  std::vector<std::byte> head(kKernelHead);
  if (!kernel_->read(0, head)) {
    return fail(ErrorKind::kConfig, "Cannot read the kernel {}", config_.boot.kernel);
  }
  const auto add = [this](std::uint16_t size_key, std::uint16_t data_key, const FwCfgFile& file) {
    fw_cfg_->add_number(size_key, file.size(), 4);
    fw_cfg_->add(data_key, std::make_unique<FwCfgFile>(file));
  };
  const std::uint64_t setup = setup_size(head, kernel_->size());
  add(fw_cfg::kSetupSize, fw_cfg::kSetupData, kernel_->part(0, setup));
  add(fw_cfg::kKernelSize, fw_cfg::kKernelData, kernel_->part(setup, kernel_->size() - setup));
  if (initrd_) {
    add(fw_cfg::kInitrdSize, fw_cfg::kInitrdData, *initrd_);
  }
  auto line = text_bytes(config_.boot.cmdline);
  line.push_back(std::byte{0});
  fw_cfg_->add_number(fw_cfg::kCommandLineSize, line.size(), 4);
  fw_cfg_->add(fw_cfg::kCommandLineData, std::move(line));
  return {};
}

Status UefiBoot::describe(Facts facts) {
  TRY(fw_cfg_->add_file("etc/smbios/smbios-anchor", std::move(facts.smbios.entry_point)));
  TRY(fw_cfg_->add_file("etc/smbios/smbios-tables", std::move(facts.smbios.structures)));
  const std::uint64_t wanted = std::bit_ceil(std::max(facts.memory64_wanted, kLeastMemory64));
  TRY(fw_cfg_->add_file(kMemory64Item, text_bytes(fmt::format("{}", wanted >> 20))));
  for (const auto& item : config_.fw_cfg) {
    if (item.name == kMemory64Item) {
      log::warn(
          "Your [[fw_cfg]] item {} takes the place of gpuvm's own, {} MiB, which has room for the "
          "guest's devices; leave it out unless that does not suit",
          kMemory64Item, wanted >> 20);
    }
    if (item.text) {
      TRY(fw_cfg_->add_file(item.name, text_bytes(*item.text)));
    }
  }
  for (const auto& [name, file] : user_files_) {
    TRY(fw_cfg_->add_file(name, std::make_unique<FwCfgFile>(file)));
  }
  acpi_ = std::move(facts.acpi);
  for (FwCfg::File& file : acpi_files()) {
    TRY(fw_cfg_->add_file(file.name, std::move(file.bytes)));
  }
  fw_cfg_->set_before_directory([this] { return acpi_files(); });
  return {};
}

/// The tables name addresses that the firmware chooses, and it asks for them after it has. From a
/// vCPU's thread.
std::vector<FwCfg::File> UefiBoot::acpi_files() const {
  auto blobs = acpi_();
  if (!blobs) {
    log::error("{}", blobs.error().to_string());
    return {};
  }
  auto loader = ovmf::table_loader(*blobs);
  std::vector<FwCfg::File> files;
  files.push_back({std::string(ovmf::kLoaderFile), std::move(loader)});
  files.push_back({std::string(ovmf::kRsdpFile), std::move(blobs->rsdp)});
  files.push_back({std::string(ovmf::kTablesFile), std::move(blobs->tables)});
  if (!blobs->data.empty()) {
    files.push_back({std::string(ovmf::kDataFile), std::move(blobs->data)});
  }
  return files;
}

void UefiBoot::reset() {
  flash_->reset();
  fw_cfg_->reset();
  variables_->sync();
}

void UefiBoot::inspect(InspectNode& node) const {
  node.field("firmware", *config_.boot.firmware);
  node.field("vars", variables_->path());
  if (flash_) {
    flash_->inspect(node.child("flash"));
    fw_cfg_->inspect(node.child("fw_cfg"));
  }
  if (debug_console_) {
    debug_console_->inspect(node.child("debug_console"));
  }
}

}  // namespace gpuvm
