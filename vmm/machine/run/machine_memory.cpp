// SPDX-License-Identifier: Apache-2.0
// Machine: the steps of its build that take long: guest memory, the reset of the devices and the
// VM. A reset is waiting more than work, so the others run beside it. And what of them comes again
// later: the kernel at a reboot, memory for a card.
#include <algorithm>
#include <future>
#include <utility>

#include "vmm/base/async.hpp"
#include "vmm/machine/boot/boot_loader.hpp"
#include "vmm/machine/memory/device_memory.hpp"
#include "vmm/machine/memory/layout.hpp"
#include "vmm/machine/run/machine.hpp"

namespace gpuvm {

Status Machine::add_memory() {
  GuestMemoryOptions memory;
  memory.size = options_.config.machine.memory;
  memory.low_limit = layout::kLowRamLimit;
  memory.huge_pages = options_.config.machine.huge_pages;
  memory.prefault_threads = prefault_threads(memory.size, usable_cpus());
  const auto functions = devices_->host_functions();
  memory.is_shared = has_served_disks(options_.config.disks) ||
                     std::any_of(functions.begin(), functions.end(),
                                 [](const auto* function) { return function->is_remote(); });
  memory.is_shared = memory.is_shared || !services_.shares.empty();
  memory_is_shared_ = memory.is_shared;
  memory_ = std::make_unique<GuestMemory>(TRY(GuestMemory::create(memory)));
  // Before the devices are reset; whether the CPUs address it is known later.
  TRY(place_device_memory(*memory_, TRY(device_memory_of(options_.host, functions)), 64));
  numa_ = TRY(NumaPlan::create(options_.host, options_.config, functions, *memory_));
  return numa_->bind(*memory_);
}

/// Gives guest memory its pages; maps nothing for the devices yet.
Status Machine::start_memory_preparation() {
  if (devices_->empty()) {
    return {};
  }
  preparation_ = std::make_unique<MemoryPreparation>(
      MemoryPreparation::Options{.memory = *memory_,
                                 .map =
                                     [this](const MapIsUnwanted& is_unwanted) {
                                       return devices_->map_memory(*memory_, is_unwanted);
                                     },
                                 .on_failure = options_.on_failure});
  TRY(preparation_->start());
  const MutexLock lock(state_mutex_);
  to_break_off_ = preparation_.get();
  return {};
}

/// Whether all pages are there before the guest runs, and the build tells where they are not:
/// reserved ones may be fewer than promised, and a guest that waits for a card may want them early.
bool Machine::takes_pages_first() const {
  const auto& machine = options_.config.machine;
  const bool is_early =
      machine.pin_memory == PinMemory::kEarly && machine.free_ports > 0 && devices_->empty();
  return machine.huge_pages != HugePages::kOff || is_early;
}

Status Machine::take_pages(const IsUnwanted& is_unwanted) {
  TRY(memory_->prefault({.on_begin = {}, .on_end = {}, .is_unwanted = is_unwanted}));
  memory_is_there_ = true;
  return {};
}

Status Machine::reset_devices_and_add_vm(const IsUnwanted& is_unwanted) {
  const bool has_pages_first = takes_pages_first();
  if (!has_pages_first) {
    TRY(start_memory_preparation());
  }
  const GuestVmOptions vm_options{
      .config = options_.config, .memory = *memory_, .numa = *numa_, .devices = *devices_};
  auto reset = start_async(std::launch::async, [this] { return run_reset(ResetReason::kStart); });
  auto pages = start_async(has_pages_first ? std::launch::async : std::launch::deferred,
                           [&] { return has_pages_first ? take_pages(is_unwanted) : Status(); });
  auto kernel =
      start_async(options_.config.boot.decompress == Unpacker::kHost ? std::launch::async
                                                                     : std::launch::deferred,
                  [this] { return prepare_kernel(); });
  auto vm = options_.make_vm(vm_options);
  // All have ended before this returns, whatever came of any.
  Status has_kernel = kernel.get();
  Status has_pages = pages.get();
  if (Status outcome = reset.get(); !outcome) {
    vm = Error(outcome.error());  // the functions can be closed once no VM holds their groups
    TRY(recover_devices(std::move(outcome)));
    vm = options_.make_vm(vm_options);
  }
  TRY(std::move(has_pages));
  TRY(std::move(has_kernel));
  vm_ = TRY(std::move(vm));
  show(Part::kVm, vm_.get());
  if (has_pages_first) {
    TRY(start_memory_preparation());
  }
  if (preparation_) {
    preparation_->allow_mapping();
  }
  return {};
}

/// Runs beside a reset, which waits, on a thread of its own: nobody else has the kernel meanwhile.
Status Machine::prepare_kernel() {
  const auto& boot = options_.config.boot;
  if (boot.mode != BootMode::kLinux) {
    return {};
  }
  if (!kernel_) {  // after a reboot the guest gets what the file is then
    kernel_ = TRY(read_kernel(boot, open_boot_file_));
  }
  return boot.decompress == Unpacker::kHost ? kernel_->unpack_ahead() : Status();
}

/// While the guest runs: the first card of one without devices finds memory that has few pages yet.
Status Machine::prepare_memory_for_card(const IsUnwanted& is_unwanted) {
  if (preparation_) {
    return preparation_->wait()
               ? Status()
               : Status(fail(ErrorKind::kHost, "Guest memory is not mapped for the devices"));
  }
  return memory_is_there_ ? Status() : take_pages(is_unwanted);
}

}  // namespace gpuvm
