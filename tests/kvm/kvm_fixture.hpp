// SPDX-License-Identifier: Apache-2.0
// KvmTest: a VM with a little memory, an entry state, and two ports by which guest code talks to
// the test. Where /dev/kvm is missing, or is a KVM whose instruction emulator is incomplete, a test
// skips with the reason, unless GPUVM_KVM_TESTS_MUST_RUN is in the environment: then it fails.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/kvm/guest_code.hpp"
#include "vmm/base/mapped_region.hpp"
#include "vmm/base/mutex.hpp"
#include "vmm/kvm/kvm_vm.hpp"

namespace gpuvm::test {

/// The environment says that nothing may be skipped.
bool must_run();

/// Answers everywhere, keeps what was written as "offset/size=value" and reads `answer`.
class RecordingHandler : public IoHandler {
 public:
  std::string_view name() const override { return "recorder"; }
  IoStatus read(std::uint64_t offset, std::span<std::byte> out) override;
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  std::vector<std::string> accesses() const;

  std::uint64_t answer = 0;  ///< its low bytes are what a read yields

 private:
  mutable Mutex mutex_;
  std::vector<std::string> accesses_ GPUVM_GUARDED_BY(mutex_);
};

/// The guest's reports, in order; `hook` runs on the vCPU thread at each.
class ReportPort : public IoHandler {
 public:
  std::string_view name() const override { return "report"; }
  IoStatus read(std::uint64_t, std::span<std::byte>) override { return IoStatus::kNoResponse; }
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  std::vector<std::uint32_t> values() const;
  /// False if the guest has not reported `value` in time.
  bool wait_for(std::uint32_t value, std::chrono::seconds time);

  std::function<void(std::uint32_t)> hook;

 private:
  bool has(std::uint32_t value) const GPUVM_REQUIRES(mutex_);

  mutable Mutex mutex_;
  Condition changed_;
  std::vector<std::uint32_t> values_ GPUVM_GUARDED_BY(mutex_);
};

class KvmTest : public ::testing::Test, private IoHandler {
 public:
  static constexpr std::uint32_t kGdt = 0x800;
  static constexpr std::uint32_t kIdt = 0x900;
  static constexpr std::uint32_t kCode = 0x2000;
  static constexpr std::uint32_t kHandlers = 0x3000;
  static constexpr std::uint32_t kStack = 0x5000;
  static constexpr std::uint32_t kPageTables = 0x8000;
  static constexpr std::uint32_t kRamSize = 0x10000;
  static constexpr std::uint32_t kMmio = 0x10000000;
  /// A run that takes longer has failed; the slowest KVM needs well under a second.
  static constexpr std::chrono::seconds kPatience{30};

 protected:
  enum class Mode { kProtected32, kLong64 };
  struct Outcome {
    std::optional<VcpuEvent> event;  ///< nothing: it had to be stopped
    std::string failure;
  };

  KvmTest();
  ~KvmTest() override;
  void SetUp() override;

  void create_vm(const CpuTopology& cpus, const HypervisorView& view = {});
  void create_vm(std::uint32_t cpus = 1, const HypervisorView& view = {}) {
    create_vm(CpuTopology::one_package(cpus), view);
  }
  KvmVm& vm() { return *vm_; }
  Vcpu& vcpu(std::size_t index = 0) { return *vm_->vcpus().at(index); }
  /// Guest RAM at 0, for the test's own use.
  std::span<std::byte> ram() { return ram_.bytes(); }
  void put(std::uint32_t address, std::span<const std::byte> bytes);
  /// An interrupt gate that reports the vector, acknowledges the local APIC's interrupt and returns
  /// with interrupts off: by RETF over the saved flags, because emulators lack IRETD.
  void add_interrupt_handler(std::uint8_t vector);
  /// Code at kCode, and the boot CPU's registers to start there.
  void load(const GuestCode& code, Mode mode = Mode::kProtected32);

  /// A vCPU's run() on a thread of its own.
  void start(std::size_t index = 0);
  Outcome wait();
  /// kick() with its signal.
  void kick();
  Outcome run() {
    start();
    return wait();
  }

  PortBus ports_{"ports"};
  MmioBus mmio_{"mmio"};
  RecordingHandler device_;
  ReportPort reports_;
  bool enable_memory_types_ = false;  ///< of the next create_vm()

 private:
  std::string_view name() const override { return "finish"; }
  IoStatus read(std::uint64_t, std::span<std::byte>) override { return IoStatus::kNoResponse; }
  IoStatus write(std::uint64_t offset, std::span<const std::byte> in) override;
  void put_tables(Mode mode);

  std::optional<KvmSystem> system_;
  MappedRegion ram_;
  std::unique_ptr<KvmVm> vm_;
  std::size_t running_ = 0;  ///< index of the vCPU that runs
  std::uint32_t next_handler_ = kHandlers;
  std::promise<VcpuEvent> ended_;
  std::thread thread_;
};

}  // namespace gpuvm::test

/// After a run: skips where this KVM cannot execute the guest, else checks how the run ended.
#define EXPECT_ENDED(outcome, expected_event)                                                   \
  if ((outcome).event == VcpuEvent::kGivenUp && !::gpuvm::test::must_run() &&                   \
      (outcome).failure.find("could not execute an instruction") != std::string::npos) {        \
    GTEST_SKIP() << "Skipped: this KVM emulates only some instructions: " << (outcome).failure; \
  }                                                                                             \
  ASSERT_EQ((outcome).event, (expected_event)) << (outcome).failure
