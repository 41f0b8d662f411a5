// SPDX-License-Identifier: Apache-2.0
#include "tests/kvm/kvm_fixture.hpp"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "vmm/base/units.hpp"

namespace gpuvm::test {
namespace {

constexpr std::uint16_t kCodeSelector = 8;
constexpr std::uint16_t kDataSelector = 16;
constexpr std::uint32_t kEndOfInterrupt = 0xfee000b0;  // local APIC, SDM volume 3, 11.8.5

int kick_signal() {
  return SIGRTMIN;
}

template <class T>
void append(std::vector<std::byte>& bytes, T value) {
  std::array<std::byte, sizeof(T)> raw{};
  store_le(raw, value);
  bytes.insert(bytes.end(), raw.begin(), raw.end());
}

SegmentState flat_segment(std::uint16_t selector, std::uint8_t type, bool long_mode) {
  return {.limit = 0xffffffff,
          .selector = selector,
          .type = type,
          .code_or_data = true,
          .present = true,
          .long_mode = long_mode,
          .default_32 = !long_mode,
          .four_kib_units = true};
}

/// Flat segments, interrupts off (SDM volume 3, 9.8.5 for long mode).
CpuEntryState entry_state(bool long_mode) {
  CpuEntryState state;
  state.rip = KvmTest::kCode;
  state.rsp = KvmTest::kStack;
  state.rflags = 2;
  state.cr0 = 0x31;  // PE, ET, NE
  state.code = flat_segment(kCodeSelector, 11, long_mode);
  state.data = flat_segment(kDataSelector, 3, false);
  state.task = {.limit = 0x67, .type = 11, .present = true};
  state.gdt = {.base = KvmTest::kGdt, .limit = 23};
  state.idt = {.base = KvmTest::kIdt, .limit = 0x7ff};
  if (long_mode) {
    state.cr0 |= 0x80000000;  // PG
    state.cr3 = KvmTest::kPageTables;
    state.cr4 = 0x20;    // PAE
    state.efer = 0x500;  // LME, LMA
  }
  return state;
}

}  // namespace

bool must_run() {
  return std::getenv("GPUVM_KVM_TESTS_MUST_RUN") != nullptr;  // NOLINT: no thread changes it
}

IoStatus RecordingHandler::read(std::uint64_t offset, std::span<std::byte> out) {
  store_le(out, answer);
  const MutexLock lock(mutex_);
  accesses_.push_back(fmt::format("read {:#x}/{}", offset, out.size()));
  return IoStatus::kOk;
}

IoStatus RecordingHandler::write(std::uint64_t offset, std::span<const std::byte> in) {
  const MutexLock lock(mutex_);
  accesses_.push_back(fmt::format("write {:#x}/{} {:#x}", offset, in.size(), load_le(in)));
  return IoStatus::kOk;
}

std::vector<std::string> RecordingHandler::accesses() const {
  const MutexLock lock(mutex_);
  return accesses_;
}

IoStatus ReportPort::write(std::uint64_t, std::span<const std::byte> in) {
  const auto value = static_cast<std::uint32_t>(load_le(in));
  {
    const MutexLock lock(mutex_);
    values_.push_back(value);
  }
  changed_.notify_all();
  if (hook) {
    hook(value);
  }
  return IoStatus::kOk;
}

std::vector<std::uint32_t> ReportPort::values() const {
  const MutexLock lock(mutex_);
  return values_;
}

bool ReportPort::wait_for(std::uint32_t value, std::chrono::seconds time) {
  const auto end = std::chrono::steady_clock::now() + time;
  MutexLock lock(mutex_);
  while (!has(value)) {
    if (!changed_.wait_until(lock, end)) {
      return has(value);
    }
  }
  return true;
}

bool ReportPort::has(std::uint32_t value) const {
  return std::find(values_.begin(), values_.end(), value) != values_.end();
}

KvmTest::KvmTest() {
  struct sigaction action {};
  action.sa_handler = [](int) {};  // only makes KVM_RUN return
  sigaction(kick_signal(), &action, nullptr);
}

KvmTest::~KvmTest() {
  if (thread_.joinable()) {
    kick();
    thread_.join();
  }
}

void KvmTest::SetUp() {
  auto system = KvmSystem::open();
  if (!system && must_run()) {
    FAIL() << system.error().to_string();
  }
  if (!system) {
    GTEST_SKIP() << "Skipped: " << system.error().to_string();
  }
  system_.emplace(std::move(system).value());
  create_vm();
}

void KvmTest::create_vm(const CpuTopology& cpus, const HypervisorView& view) {
  vm_.reset();
  auto cpuid = system_->supported_cpuid();
  ASSERT_TRUE(cpuid) << cpuid.error().to_string();
  ASSERT_TRUE(show_hypervisor(*cpuid, view));
  auto vm = KvmVm::create(*system_, {.cpus = cpus,
                                     .cpuid = *cpuid,
                                     .enable_memory_types = enable_memory_types_,
                                     .vfio_group_fds = {}});
  ASSERT_TRUE(vm) << vm.error().to_string();
  vm_ = std::move(vm).value();
  auto ram = MappedRegion::create({.size = kRamSize});
  ASSERT_TRUE(ram);
  ram_ = std::move(ram).value();
  ASSERT_TRUE(vm_->slots().map(GuestAddress(0), ram_.bytes(), SlotAccess::kReadWrite));
  const std::array<IoPort, 2> old{IoPort(kReportPort), IoPort(kFinishPort)};
  const std::array<IoMapping<IoPort>, 2> talk{
      IoMapping<IoPort>{*PortRange::create(IoPort(kReportPort), 4), &reports_},
      IoMapping<IoPort>{*PortRange::create(IoPort(kFinishPort), 1), this}};
  ASSERT_TRUE(ports_.replace(old, talk));
}

IoStatus KvmTest::write(std::uint64_t, std::span<const std::byte>) {
  vcpu(running_).kick();
  return IoStatus::kOk;
}

void KvmTest::put(std::uint32_t address, std::span<const std::byte> bytes) {
  ASSERT_LE(address + bytes.size(), kRamSize);
  std::copy(bytes.begin(), bytes.end(), ram().begin() + address);
}

void KvmTest::add_interrupt_handler(std::uint8_t vector) {
  GuestCode code;
  code.report(vector).store_value(kEndOfInterrupt, 0).raw({0xca, 4, 0});  // RETF 4
  put(next_handler_, code.bytes());
  std::vector<std::byte> gate;  // SDM volume 3, 6.11: 32-bit interrupt gate, present
  append(gate, static_cast<std::uint16_t>(next_handler_));
  append(gate, kCodeSelector);
  append(gate, std::uint16_t{0x8e00});
  append(gate, static_cast<std::uint16_t>(next_handler_ >> 16));
  put(kIdt + vector * 8U, gate);
  next_handler_ += 0x40;
}

void KvmTest::put_tables(Mode mode) {
  std::vector<std::byte> gdt;
  append(gdt, std::uint64_t{0});
  append(gdt, mode == Mode::kLong64 ? std::uint64_t{0x00af9b000000ffff}
                                    : std::uint64_t{0x00cf9b000000ffff});
  append(gdt, std::uint64_t{0x00cf93000000ffff});
  put(kGdt, gdt);
  if (mode == Mode::kProtected32) {
    return;
  }
  // The first GiB as it is, by pages of 2 MiB (SDM volume 3, 4.5).
  std::vector<std::byte> directory;
  for (std::uint64_t at = 0; at < 1_GiB; at += 2_MiB) {
    append(directory, at | 0x83);
  }
  std::vector<std::byte> pointer;
  append(pointer, std::uint64_t{kPageTables + 0x2000} | 3);
  std::vector<std::byte> top;
  append(top, std::uint64_t{kPageTables + 0x1000} | 3);
  put(kPageTables, top);
  put(kPageTables + 0x1000, pointer);
  put(kPageTables + 0x2000, directory);
}

void KvmTest::load(const GuestCode& code, Mode mode) {
  put_tables(mode);
  put(kCode, code.bytes());
  const auto status = vcpu().set_entry_state(entry_state(mode == Mode::kLong64));
  ASSERT_TRUE(status) << status.error().to_string();
}

void KvmTest::start(std::size_t index) {
  running_ = index;
  ended_ = {};
  thread_ = std::thread([this] { ended_.set_value(vcpu(running_).run(ports_, mmio_)); });
}

void KvmTest::kick() {
  vcpu(running_).kick();
  pthread_kill(thread_.native_handle(), kick_signal());
}

KvmTest::Outcome KvmTest::wait() {
  auto event = ended_.get_future();
  const bool in_time = event.wait_for(kPatience) == std::future_status::ready;
  if (!in_time) {
    kick();
  }
  thread_.join();
  if (!in_time) {
    return {.event = {}, .failure = "The guest did not end in time"};
  }
  const auto value = event.get();
  return {.event = value, .failure = vcpu(running_).failure()};
}

}  // namespace gpuvm::test
