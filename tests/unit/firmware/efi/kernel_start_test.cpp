// SPDX-License-Identifier: Apache-2.0
// What a kernel finds at its entry, with functions of this program in the place of Linux's EFI
// stub: Documentation/arch/x86/boot.rst ("EFI Handover Protocol", boot_params), UEFI 2.10,
// sections 4.1, 9.1 and 13.2.
#include "firmware/efi/kernel_start.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "firmware/efi/memory_setup.hpp"
#include "tests/unit/firmware/efi/fake_guest.hpp"

namespace gpuvm::efi::kernel_start_test {
namespace {

/// What the stub below saw.
struct Seen {
  Handle image = nullptr;
  SystemTable* system = nullptr;
  std::vector<std::uint8_t> params;
  std::string command_line;
  EfiStatus first_load{};  ///< LoadFile2 without a buffer
  std::string initrd;
};
Seen seen;

std::uint64_t load(const std::uint8_t* params, std::size_t low, std::size_t high) {
  std::uint32_t halves[2];
  std::memcpy(&halves[0], params + low, 4);
  std::memcpy(&halves[1], params + high, 4);
  return halves[0] | std::uint64_t{halves[1]} << 32;
}

void handover_stub(Handle image, SystemTable* system, void* boot_params) {
  const auto* params = static_cast<const std::uint8_t*>(boot_params);
  seen.image = image;
  seen.system = system;
  seen.params.assign(params, params + 4096);
  seen.command_line = reinterpret_cast<const char*>(load(params, 0x228, 0x0c8));
}

/// As drivers/firmware/efi/libstub does it: load options, then the initrd by its device path.
EfiStatus GPUVM_EFIAPI pe_stub(Handle image, SystemTable* system) {
  seen.image = image;
  seen.system = system;
  void* interface = nullptr;
  system->boot->handle_protocol(image, &guids::kLoadedImage, &interface);
  const auto* loaded = static_cast<const LoadedImage*>(interface);
  for (const auto* at = static_cast<const Char16*>(loaded->options); *at != 0; ++at) {
    seen.command_line += static_cast<char>(*at);
  }
  const VendorMediaPath path{.vendor = guids::kLinuxInitrdMedia};
  const void* rest = &path;
  Handle device = nullptr;
  if (system->boot->locate_device_path(&guids::kLoadFile2, &rest, &device) != EfiStatus::kSuccess) {
    return EfiStatus::kNotFound;
  }
  system->boot->handle_protocol(device, &guids::kLoadFile2, &interface);
  auto* file = static_cast<LoadFile2*>(interface);
  EXPECT_EQ(file->load_file(file, rest, 1, nullptr, nullptr), EfiStatus::kInvalidParameter);
  std::uint64_t size = 0;
  EXPECT_EQ(file->load_file(file, rest, 1, &size, nullptr), EfiStatus::kUnsupported);
  seen.first_load = file->load_file(file, rest, 0, &size, nullptr);
  seen.initrd.resize(size);
  EXPECT_EQ(file->load_file(file, rest, 0, &size, seen.initrd.data()), EfiStatus::kSuccess);
  return EfiStatus::kOutOfResources;
}

class KernelStartTest : public testing::Test {
 protected:
  KernelStartTest() {
    seen = {};
    auto& state = firmware();
    state.handles.uninstall(state.image_handle, guids::kLoadedImage, &state.loaded_image);
    state.image_handle = nullptr;  // start_kernel() makes it
    auto& machine = firmware().machine;
    machine.kernel.setup_header = header_;
    machine.kernel.setup_header_size = sizeof header_;
    machine.kernel.image.base = 0x3b400000;
    machine.command_line = "console=ttyS0 a=b";
    machine.initrd = {reinterpret_cast<std::uint64_t>(initrd_), sizeof initrd_ - 1};
  }
  template <class Function>
  void enter(Function* stub, bool handover) {
    firmware().machine.kernel.entry = reinterpret_cast<std::uint64_t>(stub);
    firmware().machine.kernel.handover = handover;
  }

  FakeGuest guest_;
  std::uint8_t header_[0x7b] = {2};
  char initrd_[14] = "0123456789abc";
};

TEST_F(KernelStartTest, TheHandoverEntryGetsBootParams) {
  enter(handover_stub, true);
  EXPECT_STREQ(start_kernel(), "its EFI handover entry came back");
  EXPECT_TRUE(firmware().kernel_entered);
  EXPECT_EQ(seen.image, firmware().image_handle);
  ASSERT_EQ(seen.system, &runtime().system);
  EXPECT_EQ(seen.params[0x1f1], 2);
  EXPECT_EQ(seen.params[0x210], 0xff);  // type_of_loader: none that is registered
  std::uint32_t code32_start = 0;
  std::memcpy(&code32_start, &seen.params[0x214], sizeof code32_start);
  EXPECT_EQ(code32_start, firmware().machine.kernel.image.base);  // where old stubs find themselves
  EXPECT_EQ(load(seen.params.data(), 0x218, 0x0c0), firmware().machine.initrd.base);
  EXPECT_EQ(load(seen.params.data(), 0x21c, 0x0c4), firmware().machine.initrd.size);
  EXPECT_EQ(seen.command_line, "console=ttyS0 a=b");
  EXPECT_EQ(seen.params[0x1e8], 0);  // no e820 entries: the stub makes them
}

TEST_F(KernelStartTest, ThePeEntryFindsOptionsAndInitrd) {
  enter(pe_stub, false);
  EXPECT_THROW(start_kernel(), Halted);  // it came back
  EXPECT_EQ(seen.command_line, "console=ttyS0 a=b");
  EXPECT_EQ(seen.first_load, EfiStatus::kBufferTooSmall);
  EXPECT_EQ(seen.initrd, initrd_);
}

TEST_F(KernelStartTest, WithoutInitrdThereIsNoFile) {
  firmware().machine.initrd = {};
  enter(pe_stub, false);
  EXPECT_THROW(start_kernel(), Halted);
  EXPECT_EQ(seen.initrd, "");
}

TEST_F(KernelStartTest, TheSystemTableIsWhatTheStubNeeds) {
  enter(handover_stub, true);
  start_kernel();
  const SystemTable& system = *seen.system;
  EXPECT_EQ(std::memcmp(&system.header.signature, "IBI SYST", 8), 0);
  EXPECT_GE(system.header.revision, 2U << 16);
  ASSERT_NE(system.vendor, nullptr);
  std::size_t length = 0;
  while (system.vendor[length] != 0) {
    ++length;
  }
  EXPECT_GE(length, 6U);  // it compares 12 bytes with u"Apple"
  ASSERT_NE(system.console_out, nullptr);
  EXPECT_EQ(system.boot, &firmware().services);
  EXPECT_EQ(system.runtime, &runtime().services);
}

TEST_F(KernelStartTest, WithoutMemoryTheKernelIsNotEntered) {
  std::uint64_t at = 0;
  while (firmware().memory.allocate(AllocateType::kAnyPages, MemoryType::kLoaderData, 1, at) ==
         EfiStatus::kSuccess) {
  }
  enter(handover_stub, true);
  EXPECT_STREQ(start_kernel(), "no memory for the command line");
  EXPECT_FALSE(firmware().kernel_entered);
  EXPECT_EQ(seen.system, nullptr);
}

class MemorySetupTest : public testing::Test {
 protected:
  static constexpr std::uint64_t kMiB = 1 << 20;
  MemorySetupTest() {
    machine_.ram[machine_.ram_count++] = {0, 64 * kMiB};
    machine_.kernel.image = {16 * kMiB, 5000};
  }
  const char* set_up(const TypedRegion& own) { return set_up_memory(machine_, &own, 1, map_); }
  void reserve(std::uint64_t base, std::uint64_t size) {
    machine_.reserved[machine_.reserved_count++] = {{base, size}, MemoryType::kReserved};
  }

  MachineDescription machine_;
  MemoryMap map_;
  TypedRegion own_ = {{32 * kMiB, kEfiPageSize}, MemoryType::kRuntimeServicesCode};
};

TEST_F(MemorySetupTest, EveryPageThatIsTouchedIsTaken) {
  machine_.initrd = {48 * kMiB + 100, 1};
  reserve(0xe0000000, 0x10000000);  // no RAM: described all the same
  ASSERT_EQ(set_up(own_), nullptr);
  EXPECT_EQ(map_.type_at(16 * kMiB + kEfiPageSize), MemoryType::kLoaderCode);
  EXPECT_EQ(map_.type_at(16 * kMiB + 2 * kEfiPageSize), MemoryType::kConventional);
  EXPECT_EQ(map_.type_at(48 * kMiB), MemoryType::kLoaderData);
  EXPECT_EQ(map_.type_at(32 * kMiB), MemoryType::kRuntimeServicesCode);
  EXPECT_EQ(map_.type_at(0xe0000000), MemoryType::kReserved);
}

TEST_F(MemorySetupTest, OverlapsAreRefused) {
  reserve(32 * kMiB, 1);
  EXPECT_STREQ(set_up(own_), "the firmware's own pages are in use");
}

TEST_F(MemorySetupTest, AKernelOrInitrdInUseIsRefused) {
  reserve(16 * kMiB + kEfiPageSize, 1);
  EXPECT_STREQ(set_up(own_), "the kernel's pages are in use");
}

TEST_F(MemorySetupTest, AnInitrdPastTheEndOfRamIsRefused) {
  machine_.initrd = {64 * kMiB - kEfiPageSize, 2 * kEfiPageSize};
  EXPECT_STREQ(set_up(own_), "the initrd's pages are in use");
}

TEST_F(MemorySetupTest, RangesThatWrapAroundAreRefused) {
  reserve(~std::uint64_t{0} - 10, 100);
  EXPECT_STREQ(set_up(own_), "a reserved range overlaps another");
}

TEST_F(MemorySetupTest, RamThatOverlapsIsRefused) {
  machine_.ram[machine_.ram_count++] = {32 * kMiB, kMiB};
  EXPECT_STREQ(set_up(own_), "RAM ranges overlap or are not whole pages");
}

}  // namespace
}  // namespace gpuvm::efi::kernel_start_test
