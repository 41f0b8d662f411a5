// SPDX-License-Identifier: Apache-2.0
// CfiFlash by Intel's command set 0x0001, the probe that OVMF's driver makes, and FlashDevice's
// slot.
#include "devices/platform/cfi_flash.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "devices/platform/flash_device.hpp"
#include "tests/unit/devices/platform/fakes.hpp"
#include "vmm/base/bytes.hpp"
#include "vmm/base/units.hpp"

namespace gpuvm::cfi_flash_test {
namespace {

struct FakeStore : FlashStore {
  bool keep(std::uint64_t offset, std::span<const std::byte> bytes) override {
    if (broken) {
      return false;
    }
    std::copy(bytes.begin(), bytes.end(), kept.begin() + static_cast<std::ptrdiff_t>(offset));
    sizes.push_back(bytes.size());
    return true;
  }
  std::vector<std::byte> kept = std::vector<std::byte>(8_KiB, std::byte{0xff});
  std::vector<std::size_t> sizes;
  bool broken = false;
};

class CfiFlashTest : public testing::Test {
 protected:
  void program(std::uint64_t offset, unsigned value) {
    flash_.write(offset, CfiFlash::kProgram);
    flash_.write(offset, static_cast<std::uint8_t>(value));
  }
  void erase(std::uint64_t offset) {
    flash_.write(offset, CfiFlash::kEraseBlock);
    flash_.write(offset, CfiFlash::kConfirm);
  }
  std::uint8_t status() {
    flash_.write(0, CfiFlash::kReadStatus);
    const auto value = flash_.read(0);
    flash_.write(0, CfiFlash::kReadArray);
    return value;
  }
  FakeStore store_;
  std::vector<std::byte> array_ = std::vector<std::byte>(8_KiB, std::byte{0xff});
  CfiFlash flash_{array_, store_};
};

// edk2, OvmfPkg/QemuFlashFvbServicesRuntimeDxe, QemuFlashDetected().
TEST_F(CfiFlashTest, OvmfTellsItFromRamAndRom) {
  array_[7] = std::byte{0x5f};
  flash_.write(7, CfiFlash::kClearStatus);
  EXPECT_EQ(flash_.read(7), 0x5f) << "not RAM";
  flash_.write(7, CfiFlash::kReadStatus);
  EXPECT_EQ(flash_.read(7), 0x00) << "flash: a cleared status";
  flash_.write(7, CfiFlash::kReadArray);
  EXPECT_EQ(flash_.read(7), 0x5f);
}

TEST_F(CfiFlashTest, ProgramsBytesOnlyDownwards) {
  program(0x123, 0x5a);
  EXPECT_EQ(flash_.read(0x123), 0x5a);
  program(0x123, 0xf0);
  EXPECT_EQ(flash_.read(0x123), 0x50) << "bits do not come back";
  EXPECT_EQ(store_.kept, array_);
  EXPECT_EQ(status(), CfiFlash::kReady);
}

TEST_F(CfiFlashTest, ErasesTheWholeBlock) {
  program(0xfff, 0);
  program(0x1000, 0);
  program(0x1fff, 0);
  erase(0x1234);
  EXPECT_EQ(flash_.read(0xfff), 0) << "its neighbour stays";
  EXPECT_EQ(flash_.read(0x1000), 0xff);
  EXPECT_EQ(flash_.read(0x1fff), 0xff);
  EXPECT_EQ(store_.kept, array_);
  EXPECT_EQ(store_.sizes.back(), CfiFlash::kBlockSize) << "one block, at once";
}

TEST_F(CfiFlashTest, AnEraseNeedsItsConfirmation) {
  program(0, 0x11);
  flash_.write(0, CfiFlash::kEraseBlock);
  flash_.write(0, CfiFlash::kProgram);
  EXPECT_EQ(flash_.read(0), 0x11);
  EXPECT_EQ(status(), CfiFlash::kReady | CfiFlash::kEraseError | CfiFlash::kProgramError);
  flash_.write(0, CfiFlash::kClearStatus);
  EXPECT_EQ(status(), 0);
}

TEST_F(CfiFlashTest, WhatCannotBeKeptDoesNotHappen) {
  program(5, 0x0f);
  store_.broken = true;
  program(5, 0);
  EXPECT_EQ(flash_.read(5), 0x0f);
  EXPECT_EQ(status() & CfiFlash::kProgramError, CfiFlash::kProgramError);
  erase(5);
  EXPECT_EQ(flash_.read(5), 0x0f);
  EXPECT_EQ(status() & CfiFlash::kEraseError, CfiFlash::kEraseError);
}

TEST_F(CfiFlashTest, ResetForgetsACommandHalfGiven) {
  flash_.write(0, CfiFlash::kProgram);
  flash_.reset();
  flash_.write(0, 0x00);  // no data any more, and no command
  EXPECT_EQ(flash_.read(0), 0xff);
  EXPECT_TRUE(flash_.shows_array());
}

TEST_F(CfiFlashTest, AnyBytesDoNoHarm) {
  std::mt19937 random(1);
  for (int i = 0; i < 200'000; ++i) {
    const std::uint64_t offset = random() % 3 == 0 ? std::uint64_t{random()} : random() % 8_KiB;
    flash_.write(offset, static_cast<std::uint8_t>(random()));
    flash_.read(offset);
  }
  EXPECT_EQ(store_.kept, array_);
}

struct FakeSlots : MemorySlots {
  Result<SlotId> map(GuestAddress at, std::span<std::byte> host, SlotAccess access) override {
    EXPECT_EQ(access, SlotAccess::kReadOnly);
    slots[++last] = {at, host};
    return last;
  }
  void unmap(SlotId slot) override { EXPECT_EQ(slots.erase(slot), 1U); }
  std::map<SlotId, std::pair<GuestAddress, std::span<std::byte>>> slots;
  SlotId last = 0;
};

TEST(FlashDevice, IsMemoryUntilItsStatusIsAskedFor) {
  FakeStore store;
  FakeSlots slots;
  const std::vector<std::byte> contents(8_KiB, std::byte{0xff});
  auto flash = FlashDevice::create(contents, GuestAddress(0xffc00000), store, slots);
  ASSERT_TRUE(flash);
  ASSERT_EQ(slots.slots.size(), 1U);
  EXPECT_EQ(slots.slots.at(1).first, GuestAddress(0xffc00000));
  const auto seen = slots.slots.at(1).second;
  write8(**flash, 9, CfiFlash::kProgram);
  write8(**flash, 9, 0x42);
  EXPECT_EQ(seen[9], std::byte{0x42}) << "the guest sees it without an exit";
  EXPECT_EQ(slots.last, 1U) << "programming leaves the slot alone";
  write8(**flash, 0, CfiFlash::kReadStatus);
  EXPECT_TRUE(slots.slots.empty());
  EXPECT_EQ(read8(**flash, 100), CfiFlash::kReady);
  write8(**flash, 0, CfiFlash::kReadArray);
  EXPECT_EQ(slots.slots.size(), 1U);
  write8(**flash, 0, CfiFlash::kReadStatus);
  (*flash)->reset();
  EXPECT_EQ(slots.slots.size(), 1U);
  std::array<std::byte, 8> wide{};
  EXPECT_EQ((*flash)->read(8, wide), IoStatus::kOk);
  EXPECT_EQ(load_le(wide), 0xffffffffffff42ff);
  EXPECT_EQ((*flash)->write(8, wide), IoStatus::kInvalidSize);
  flash->reset();
  EXPECT_TRUE(slots.slots.empty());
}

}  // namespace
}  // namespace gpuvm::cfi_flash_test
