// SPDX-License-Identifier: Apache-2.0
// PassthroughFunction: whole stories of guests (BAR sizing as Linux, Windows and OVMF do it, moves,
// identity, a device that goes away) over the fake device. Power states and resets:
// passthrough_function_reset_test.cpp.
#include "devices/passthrough/passthrough_function.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

#include "tests/unit/devices/passthrough/passthrough_function_fixture.hpp"

namespace gpuvm::passthrough_function_test {
namespace {

using test::FakePhysicalDevice;
using test::PassthroughFunctionTest;

TEST_F(PassthroughFunctionTest, NothingIsMappedBeforeDecode) {
  const auto gpu = make_placed_gpu();
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_EQ(gpu->config_read(4) & 3, 0U);
  EXPECT_EQ(gpu_.config_dword(4) & 3, 3U);  // the hardware decodes all the same
  command(*gpu, 7);
  EXPECT_TRUE(slots_.has(0xe0000000));
  EXPECT_TRUE(slots_.has(0x800000000));
  EXPECT_TRUE(slots_.has(0x810000000));
  EXPECT_EQ(gpu->config_read(4) & 7, 7U);
  EXPECT_EQ(gpu_.config_dword(4) & 4, 4U);  // bus master is the hardware's own
  command(*gpu, 0);
  EXPECT_EQ(gpu->config_read(4) & 7, 0U);
  EXPECT_EQ(gpu_.config_dword(4) & 7, 3U);
  EXPECT_EQ(slots_.slots.size(), 3U);  // lazy
}

// Guest memory that is not yet mapped for DMA: one vCPU waits, the others go on.
TEST_F(PassthroughFunctionTest, BusMasteringThatWaitsKeepsNobodyFromReading) {
  std::unique_ptr<PassthroughFunction> gpu;
  std::uint32_t read_meanwhile = 0;
  bool is_allowed = false;
  auto wanted = options(gpu_);
  wanted.before_bus_master = [&] {
    read_meanwhile = gpu->config_read(0);  // hangs where the function is locked
    return is_allowed;
  };
  gpu = started(std::move(wanted));
  command(*gpu, 2);
  EXPECT_EQ(read_meanwhile, 0U) << "asked for no more than bus mastering";
  command(*gpu, 6);
  EXPECT_EQ(read_meanwhile, gpu->config_read(0));
  EXPECT_EQ(gpu_.config_dword(4) & 4, 0U);
  is_allowed = true;
  command(*gpu, 6);
  EXPECT_EQ(gpu_.config_dword(4) & 4, 4U);
}

TEST_F(PassthroughFunctionTest, LinuxSizingMovesNothing) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  const auto before = slots_.history.size();
  command(*gpu, 4);
  for (std::uint16_t offset = 0x10; offset < 0x28; offset += 4) {
    const auto value = gpu->config_read(offset);
    write(*gpu, offset, ~0U);
    gpu->config_read(offset);
    write(*gpu, offset, value);
  }
  command(*gpu, 7);
  EXPECT_EQ(slots_.history.size(), before);
}

TEST_F(PassthroughFunctionTest, WindowsSizingWithDecodeOnMovesNothing) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  const auto before = slots_.history.size();
  std::array<std::uint32_t, 6> saved{};
  for (std::uint16_t i = 0; i < 6; ++i) {
    saved[i] = gpu->config_read(static_cast<std::uint16_t>(0x10 + i * 4));
    write(*gpu, static_cast<std::uint16_t>(0x10 + i * 4), ~0U);
  }
  EXPECT_EQ(gpu->config_read(0x10), 0xff000000U);  // all at once hold ones
  EXPECT_EQ(gpu->config_read(0x14), 0xf800000cU);
  EXPECT_EQ(gpu->config_read(0x18), 0xffffffffU);
  EXPECT_EQ(gpu->config_read(0x24), 0xffffff81U);
  command(*gpu, 7);  // even a Command write in between
  for (std::uint16_t i = 0; i < 6; ++i) {
    write(*gpu, static_cast<std::uint16_t>(0x10 + i * 4), saved[i]);
  }
  EXPECT_EQ(slots_.history.size(), before);
  EXPECT_EQ(space_.refused(), 0U);
}

// PCI Local Bus 3.0, 6.2.5.2: "the device independent configuration software can determine how much
// address space the device requires by writing a value of all 1's to the address portion of the
// register and then reading the value back"; bits 31:11 are that portion, bits 10:1 are reserved.
TEST_F(PassthroughFunctionTest, RomIsSizedByAnyPatternAndRespondsOnlyWhenEnabled) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  const auto slots = slots_.slots.size();
  for (const std::uint32_t pattern : {0xfffff800U, 0xfffffffeU, 0xfffff801U, 0xffffffffU}) {
    write(*gpu, 0x30, pattern);
    EXPECT_EQ(gpu->config_read(0x30), 0xfffe0000U | (pattern & 1)) << std::hex << pattern;
    EXPECT_EQ(slots_.slots.size(), slots);
  }
  write(*gpu, 0x30, 0xc0020000);
  EXPECT_EQ(gpu->config_read(0x30), 0xc0020000U);
  EXPECT_FALSE(slots_.has(0xc0020000));  // the enable bit is off
  write(*gpu, 0x30, 0xc0020001);
  EXPECT_TRUE(slots_.has(0xc0020000));
  write(*gpu, 0x30, 0xc0040001);
  EXPECT_TRUE(slots_.has(0xc0040000));
  EXPECT_FALSE(slots_.has(0xc0020000));
  // "A device must respond to accesses to its expansion ROM only if both the Memory Space bit and
  // the Expansion ROM Base Address Enable bit are set".
  command(*gpu, 0);
  write(*gpu, 0x30, 0xc0060001);
  EXPECT_FALSE(slots_.has(0xc0060000));
  command(*gpu, 2);
  EXPECT_TRUE(slots_.has(0xc0060000));
}

// A virtual function's own Link Status reads zero (Single Root I/O Virtualization 1.1, 3.5.8).
TEST_F(PassthroughFunctionTest, LinkOfAVirtualFunctionIsItsCardsNow) {
  constexpr std::uint16_t kLinkControl = 0xb0;
  xhci_.set_config(kLinkControl, 0);
  xhci_.set_config(kLinkControl - 4, 0);
  xhci_.card = CardLink{.now = {3, 8}, .best = {5, 16}};
  const auto facts = FunctionFacts::read(xhci_).value();
  EXPECT_EQ(facts.link, (PcieLink{3, 8}));
  EXPECT_EQ(facts.link_capability, (PcieLink{5, 16}));
  auto wanted = options(xhci_);
  wanted.place.link = facts.link_capability;
  const auto function = started(std::move(wanted));
  EXPECT_EQ(function->config_read(kLinkControl) >> 16 & 0x3ff, 0x83U);
  EXPECT_EQ(function->config_read(kLinkControl - 4) & 0x3ff, 0x105U) << "Link Capabilities";
  EXPECT_EQ(function->trained_link(), (PcieLink{3, 8}));
  xhci_.card->now = {1, 8};
  EXPECT_EQ(function->config_read(kLinkControl) >> 16 & 0x3ff, 0x81U);
  xhci_.card.reset();
  EXPECT_EQ(function->config_read(kLinkControl) >> 16 & 0x3ff, 0x105U) << "nobody says: the port's";
}

TEST_F(PassthroughFunctionTest, HiddenRomHasNoRegister) {
  auto wanted = options(gpu_);
  wanted.view.rom.hidden = true;
  const auto gpu = started(std::move(wanted));
  write(*gpu, 0x30, 0xffffffff);
  EXPECT_EQ(gpu->config_read(0x30), 0U);
  EXPECT_TRUE(gpu->rom_image().empty());
}

TEST_F(PassthroughFunctionTest, IdentityAndCliqueAreWhatTheGuestReads) {
  auto wanted = options(gpu_);
  wanted.view.identity = {.device = 0x1b80,
                          .subsystem_vendor = 0x1043,
                          .subsystem_device = 0x85e7,
                          .class_code = 0x030200};
  wanted.view.gpudirect_clique = 5;
  const auto function = create(std::move(wanted)).value();
  auto& gpu = *function;
  EXPECT_EQ(gpu.config_read(0x00), 0x1b8010deU);
  EXPECT_EQ(gpu.config_read(0x08), 0x030200a1U);
  EXPECT_EQ(gpu.config_read(0x2c), 0x85e71043U);
  EXPECT_EQ(gpu.config_read(0x78), 0x0002c810U);  // the last capability leads to the new one
  EXPECT_EQ(gpu.config_read(0xc8), 0x50080009U);
  EXPECT_EQ(gpu.config_read(0xcc), 0x00285032U);  // bits 22:19: the clique
  write(gpu, 0xc8, 0);
  EXPECT_EQ(gpu.config_read(0xc8), 0x50080009U);
  // The ROM follows the ids.
  EXPECT_EQ(load_at<std::uint16_t>(gpu.rom_image(), 0x46), 0x1b80);
}

// edk2 sizes the ROM with 0xfffffffe and writes every BAR before it sets the decode bits once.
TEST_F(PassthroughFunctionTest, OvmfMovesAllAtOnceAndShowsTheRom) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  command(*gpu, 0);
  write(*gpu, 0x30, 0xfffffffe);
  EXPECT_EQ(gpu->config_read(0x30), 0xfffe0000U);
  write(*gpu, 0x10, 0xd0000000);
  write(*gpu, 0x14, 0x10000000);
  write(*gpu, 0x18, 9);
  const auto before = slots_.history.size();
  EXPECT_EQ(before, 3U);
  write(*gpu, 0x30, 0xd8000001);
  command(*gpu, 7);
  EXPECT_TRUE(slots_.has(0xd0000000));
  EXPECT_TRUE(slots_.has(0x910000000));
  EXPECT_TRUE(slots_.has(0x810000000));
  EXPECT_TRUE(slots_.has(0xd8000000));
  EXPECT_FALSE(slots_.has(0xe0000000));
  EXPECT_EQ(slots_.slots.size(), 4U);
}

TEST_F(PassthroughFunctionTest, BarOverRamIsRefusedAndComesBack) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 7);
  write(*gpu, 0x10, 0x10000000);
  EXPECT_TRUE(slots_.has(0xe0000000));
  EXPECT_EQ(space_.refused(), 1U);
  EXPECT_EQ(gpu->config_read(0x10), 0x10000000U);  // the register is the guest's
  write(*gpu, 0x10, 0xe1000000);
  EXPECT_TRUE(slots_.has(0xe1000000));
  EXPECT_FALSE(slots_.has(0xe0000000));
}

TEST_F(PassthroughFunctionTest, IoBarFollowsItsOwnDecodeBit) {
  const auto gpu = make_placed_gpu();
  command(*gpu, 1);
  EXPECT_TRUE(slots_.slots.empty());
  const std::array<std::byte, 2> bytes{std::byte{7}, std::byte{8}};
  ports_.write(IoPort(0xe010), bytes);
  EXPECT_EQ(load_le(gpu_.bar_bytes(5, 0x10, 2)), 0x0807U);
}

TEST_F(PassthroughFunctionTest, MsixTableIsEmulatedTheRestOfItsPageForwarded) {
  const auto xhci = make(xhci_);
  ASSERT_TRUE(xhci->bars().set_power_on_address(0, 0xe0000000));
  command(*xhci, 6);
  EXPECT_TRUE(slots_.has(0xe0000000));
  const std::array<std::byte, 4> data{std::byte{0x41}};
  mmio_.write(GuestAddress(0xe0001008), data);
  EXPECT_EQ(load_le(xhci_.bar_bytes(0, 0x1008, 4)), 0U);
  mmio_.write(GuestAddress(0xe0001800), data);
  EXPECT_EQ(load_le(xhci_.bar_bytes(0, 0x1800, 4)), 0x41U);
  std::array<std::byte, 4> back{};
  mmio_.read(GuestAddress(0xe000100c), back);
  EXPECT_EQ(load_le(back), 1U);
  write(*xhci, 0x90, 0x80000000);
  EXPECT_EQ(xhci->config_read(0x90), 0x8007a011U);
  EXPECT_EQ(xhci_.config_dword(0x90), 0x0007a011U);  // never written to the hardware
  EXPECT_EQ(xhci_.irq_fds[IrqType::kMsix].size(), 8U);
}

TEST_F(PassthroughFunctionTest, GoneDeviceReadsOnes) {
  const auto gpu = make_placed_gpu();
  gpu_.set_gone(true);
  for (const std::uint16_t offset : std::to_array<std::uint16_t>({0, 4, 8, 0x3c, 0x100, 0xffc})) {
    EXPECT_EQ(gpu->config_read(offset), 0xffffffffU) << offset;
  }
  command(*gpu, 7);
  EXPECT_FALSE(gpu->reset());
}

// Device Control, of which the lowest four bits are the host's.
TEST_F(PassthroughFunctionTest, ByteLanesReachTheHardwareAsTheyAre) {
  const auto gpu = make_placed_gpu();
  gpu_.history.clear();
  gpu->config_write(0x80, 0x11223344, 0xff0000ff);
  gpu->config_write(0x80, 0x11223344, 0xffffff00);
  gpu->config_write(0x80, 0x11223344, 0xffffffff);
  gpu->config_write(0x80, 0x11223344, 0);
  EXPECT_EQ(gpu_.history, (test::History{"config 0x80 <- 0x40/1", "config 0x83 <- 0x11/1",
                                         "config 0x81 <- 0x33/1", "config 0x82 <- 0x1122/2",
                                         "config 0x80 <- 0x11223340/4"}));
}

TEST_F(PassthroughFunctionTest, HiddenCapabilitiesAreNotWritten) {
  const auto gpu = make_placed_gpu();
  gpu_.history.clear();
  write(*gpu, 0xbc4, 1);
  write(*gpu, 0xbb8, 1);
  write(*gpu, 0x3c, 0x0b);
  EXPECT_TRUE(gpu_.history.empty());
  EXPECT_EQ(gpu->config_read(0x3c), 0x0000010bU);
}

TEST_F(PassthroughFunctionTest, RandomConfigurationWritesDoNoHarm) {
  const auto gpu = make_placed_gpu();
  const auto xhci = make(xhci_);
  std::mt19937 random(1);
  for (int i = 0; i < 20000; ++i) {
    auto& function = (random() & 1) != 0 ? *gpu : *xhci;
    const auto offset =
        static_cast<std::uint16_t>(random() % ((random() & 1) != 0 ? 0x100 : 0x40)) & 0xfffcU;
    const std::uint32_t lanes[] = {0xff, 0xff00, 0xffff, 0xffff0000, ~0U};
    const std::uint32_t values[] = {0, ~0U, static_cast<std::uint32_t>(random()), 0xe0000000, 7};
    function.config_write(static_cast<std::uint16_t>(offset), values[random() % 5],
                          lanes[random() % 5]);
    function.config_read(static_cast<std::uint16_t>(offset));
  }
  gpu->quiesce();
  xhci->quiesce();
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_TRUE(controller_.routes.empty());
}

TEST_F(PassthroughFunctionTest, TwoFunctionsAndDestruction) {
  {
    const auto gpu = make_placed_gpu();
    command(*gpu, 7);
    const auto xhci = make(xhci_);
    write(*xhci, 0x10, 0xe0000000);  // where the GPU is
    command(*xhci, 6);
    EXPECT_EQ(space_.refused(), 1U);
    command(*gpu, 0);
    command(*xhci, 6);
    EXPECT_EQ(slots_.slots.size(), 3U);  // one for the xHCI, two 64-bit ones of the GPU stay
  }
  EXPECT_TRUE(slots_.slots.empty());
  EXPECT_FALSE(pins_.connected);
}

TEST_F(PassthroughFunctionTest, CreateRefusesBridgesAndDeadDevices) {
  const auto try_make = [&](FakePhysicalDevice& device) { return create(options(device, "x")); };
  xhci_.set_config(0x0c, 0x00010000);
  EXPECT_EQ(try_make(xhci_).error().kind(), ErrorKind::kConfig);
  gpu_.set_config(0, 0xffffffff);
  EXPECT_EQ(try_make(gpu_).error().kind(), ErrorKind::kHost);
  FakePhysicalDevice empty({});
  EXPECT_FALSE(try_make(empty));
}

TEST_F(PassthroughFunctionTest, InspectShowsPatchBarsAndInterrupts) {
  const auto gpu = make_placed_gpu();
  InspectNode node;
  gpu->inspect(node);
  const auto text = node.to_text();
  for (const char* expected : {"Resizable BAR", "intx", "without_exits", "virtual_command"}) {
    EXPECT_NE(text.find(expected), std::string::npos) << expected;
  }
}

// 7.5.1.2.1: registers that a vfio-user server may describe, and that cannot be.
TEST_F(PassthroughFunctionTest, ImpossibleBarsAreTheHostsFault) {
  const auto refusal = [this] {
    const auto made = create(options(gpu_));
    EXPECT_FALSE(made);
    return made ? Error(ErrorKind::kInternal, "") : made.error();
  };
  const auto expect = [&](const char* what) {
    const auto error = refusal();
    EXPECT_EQ(error.kind(), ErrorKind::kHost);
    EXPECT_NE(error.to_string().find(what), std::string::npos) << error.to_string();
  };
  gpu_.edit_region(5).size = 1_MiB;
  expect("BAR 5 of 0000:01:00.0 makes no sense: it has 0x100000 bytes, more than there may be");
  gpu_.set_config(0x24, 0x0000000c);
  expect("BAR 5 of 0000:01:00.0 makes no sense: it has 0x100000 bytes, and no register behind it");
  gpu_.edit_region(0).size = 3072_MiB;
  expect("BAR 0 of 0000:01:00.0 makes no sense: it has 0x100000000 bytes, which no 32-bit address");
}

}  // namespace
}  // namespace gpuvm::passthrough_function_test
