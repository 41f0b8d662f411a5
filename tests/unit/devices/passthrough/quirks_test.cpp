// SPDX-License-Identifier: Apache-2.0
// Quirks over fakes that answer as the hardware does: its configuration space shows up in a BAR,
// with the host's addresses, and a driver that looks there must find the guest's. Offsets: QEMU,
// hw/vfio/pci-quirks.c. And peer-to-peer mappings, which follow the BARs.
#include <gtest/gtest.h>

#include "tests/fixtures/config_space/config_dump.hpp"
#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/devices/passthrough/function_test.hpp"

namespace gpuvm::quirks_test {
namespace {

using test::FakePhysicalDevice;

/// A GPU whose BAR holds its own configuration space, as the hardware's decoder puts it there.
class MirroringGpu : public FakePhysicalDevice {
 public:
  using FakePhysicalDevice::FakePhysicalDevice;
  void mirror(unsigned bar, std::uint64_t offset) { mirrors_.emplace_back(bar, offset); }

  Status write_on_event(RegionIndex index, std::uint64_t offset, unsigned size, std::uint64_t value,
                        int event_fd) override {
    if (!relays_writes) {
      return PhysicalDevice::write_on_event(index, offset, size, value, event_fd);
    }
    history.push_back(fmt::format("{} {:#x}/{} <- {:#x} by event",
                                  event_fd < 0 ? "no more" : "write", offset, size, value));
    return {};
  }
  bool relays_writes = true;

  Status read(RegionIndex index, std::uint64_t offset, std::span<std::byte> out) override {
    for (const auto& [bar, at] : mirrors_) {
      if (index == bar_region(bar) && offset >= at && offset < at + 0x1000) {
        return FakePhysicalDevice::read(RegionIndex::kConfig, offset - at, out);
      }
    }
    return FakePhysicalDevice::read(index, offset, out);
  }

 private:
  std::vector<std::pair<unsigned, std::uint64_t>> mirrors_;
};

class FakeIommu : public PhysicalHost {
 public:
  Status map_dma(Iova at, const DmaMemory& memory) override {
    history.push_back(fmt::format("map {:#x}+{:#x}", at.value(), memory.bytes.size()));
    if (refuse) {
      return fail(ErrorKind::kHost, "Not this one");
    }
    return {};
  }
  Status unmap_dma(Iova at, std::uint64_t size) override {
    history.push_back(fmt::format("unmap {:#x}+{:#x}", at.value(), size));
    return {};
  }
  Result<std::vector<HotResetMember>> hot_reset_set(PhysicalDevice&) override {
    return std::vector<HotResetMember>();
  }
  Status hot_reset(PhysicalDevice&) override { return {}; }
  test::History history;
  bool refuse = false;
};

class QuirksTest : public test::FunctionTest {
 protected:
  static constexpr std::uint64_t kBar0 = 0xe0000000;

  QuirksTest() {
    nvidia_.add_bar(0, 16_MiB);
    nvidia_.add_bar(5, 128, false);
    nvidia_.set_irq(IrqType::kMsi, 1);
    nvidia_.mirror(0, 0x88000);
    ati_.add_bar(2, 256_KiB);
    ati_.add_bar(4, 256, false);
    ati_.mirror(2, 0x4000);
  }
  Result<std::unique_ptr<PassthroughFunction>> make(FakePhysicalDevice& device,
                                                    std::vector<QuirkKind> quirks) {
    auto wanted = options(device);
    wanted.view.quirks = std::move(quirks);
    wanted.view.p2p = true;
    wanted.peer_host = &iommu_;
    return create(std::move(wanted));
  }
  std::unique_ptr<PassthroughFunction> make_nvidia(std::vector<QuirkKind> quirks) {
    auto function = make(nvidia_, std::move(quirks)).value();
    EXPECT_TRUE(function->start());
    EXPECT_TRUE(function->bars().set_power_on_address(0, kBar0));
    EXPECT_TRUE(function->bars().set_power_on_address(5, 0xe000));
    function->config_write(4, 7, 0xffff);
    return function;
  }
  std::uint64_t load(std::uint64_t at, std::size_t size = 4) {
    std::array<std::byte, 8> bytes{};
    mmio_.read(GuestAddress(at), std::span(bytes).first(size));
    return load_le(std::span(bytes).first(size));
  }
  void store(std::uint64_t at, std::uint64_t value, std::size_t size = 4) {
    std::array<std::byte, 8> bytes{};
    store_le(bytes, value);
    mmio_.write(GuestAddress(at), std::span(bytes).first(size));
  }
  std::uint64_t in(std::uint64_t port, std::size_t size = 4) {
    std::array<std::byte, 4> bytes{};
    ports_.read(IoPort(port), std::span(bytes).first(size));
    return load_le(std::span(bytes).first(size));
  }
  void out(std::uint64_t port, std::uint64_t value, std::size_t size = 4) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value);
    ports_.write(IoPort(port), std::span(bytes).first(size));
  }

  // A GT 218 without the BARs that this fake lacks, and a Radeon with the two BARs of the quirks.
  MirroringGpu nvidia_{[] {
    auto config = test::load_config_dump("nvidia-gt218");
    store_le(std::span(config).subspan(0x14, 16), 0);
    return config;
  }()};
  MirroringGpu ati_{test::ConfigBuilder()
                        .dword(0x00, 0x68981002)
                        .dword(0x08, 0x03000000)
                        .dword(0x18, 0xfea20004)
                        .dword(0x20, 0x0000d001)
                        .bytes()};
  FakeIommu iommu_;
  test::FakeGuestDoorbells& doorbells_ = bus_.doorbells;
};

TEST_F(QuirksTest, NoneIsOnByItself) {
  const auto gpu = make_nvidia({});
  EXPECT_EQ(slots_.slots.size(), 1U);  // the whole BAR without an exit
  EXPECT_EQ(slots_.slots.begin()->second.host.size(), 16_MiB);
}

TEST_F(QuirksTest, NvidiaMirrorShowsTheGuestsAddresses) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaMirror});
  EXPECT_EQ(nvidia_.config_dword(0x10), 0xfa000000U) << "the host's";
  EXPECT_EQ(load(kBar0 + 0x88010), kBar0);
  EXPECT_EQ(load(kBar0 + 0x88000), 0x0a6510deU);
  EXPECT_EQ(load(kBar0 + 0x88002, 2), 0x0a65U);
  EXPECT_EQ(load(kBar0 + 0x88000, 8), std::uint64_t{gpu->config_read(4)} << 32 | 0x0a6510deU);
  // All of the BAR but that page is without exits.
  std::uint64_t direct = 0;
  for (const auto& [id, slot] : slots_.slots) {
    direct += slot.host.size();
  }
  EXPECT_EQ(direct, 16_MiB - 4_KiB);
}

TEST_F(QuirksTest, WritesToTheMirrorAreConfigurationWrites) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaMirror});
  store(kBar0 + 0x88010, 0xc0000000);
  EXPECT_EQ(gpu->config_read(0x10), 0xc0000000U);
  EXPECT_EQ(nvidia_.config_dword(0x10), 0xfa000000U) << "the hardware's stays";
  EXPECT_EQ(load(0xc0088010), 0xc0000000U) << "the mirror moves with the BAR";
  EXPECT_EQ(nvidia_.bar_bytes(0, 0x88010, 4), std::vector<std::byte>(4)) << "not through the BAR";
}

// The driver acknowledges an MSI by writing to the capability's id or behind the mirrored header:
// both must reach the hardware.
TEST_F(QuirksTest, MsiAcknowledgementReachesTheHardware) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaMirror});
  store(kBar0 + 0x88068, 0xff, 1);
  EXPECT_EQ(nvidia_.bar_bytes(0, 0x88068, 1)[0], std::byte{0xff});
  store(kBar0 + 0x88704, 0x12345678);
  EXPECT_EQ(load_le(nvidia_.bar_bytes(0, 0x88704, 4)), 0x12345678U);
  EXPECT_EQ(gpu->config_read(0x68) & 0xff, 5U) << "the id is read-only";
}

// What the virtual configuration space has done, or refused, must not reach the registers behind
// VFIO's back: a function level reset, an MSI's address, a power state.
TEST_F(QuirksTest, OtherWritesToTheMirrorDoNotGoThroughTheBar) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaMirror});
  for (const std::uint64_t offset : {0x4UL, 0x60UL, 0x64UL, 0x6aUL, 0x6cUL, 0x70UL, 0x80UL, 0x100UL,
                                     0x700UL, 0x708UL, 0xffcUL}) {
    const auto before = nvidia_.bar_bytes(0, 0x88000 + offset, 4);
    store(kBar0 + 0x88000 + offset, 0xa5a5);
    EXPECT_EQ(nvidia_.bar_bytes(0, 0x88000 + offset, 4), before) << std::hex << offset;
  }
}

TEST_F(QuirksTest, TheKernelTakesOverARepeatedRearm) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaMirror});
  for (int i = 0; i < 9; ++i) {
    store(kBar0 + 0x88704, 0);
  }
  store(kBar0 + 0x88704, 1);  // another value: counted anew
  EXPECT_TRUE(doorbells_.history.empty());
  for (int i = 0; i < 10; ++i) {
    store(kBar0 + 0x88704, 0);
  }
  EXPECT_EQ(nvidia_.count("write 0x88704/4 <- 0x0 by event"), 1U);
  EXPECT_EQ(doorbells_.history, (test::History{"connect 0xe0088704/4 = 0x0"}));
  gpu->config_write(0x10, 0xc0000000, ~0U);
  EXPECT_EQ(doorbells_.history[1], "disconnect 0xe0088704");
  EXPECT_EQ(doorbells_.history.back(), "connect 0xc0088704/4 = 0x0") << "it moves with the BAR";
  gpu->quiesce();
  EXPECT_EQ(doorbells_.history.back(), "disconnect 0xc0088704") << "before any reset";
}

TEST_F(QuirksTest, RegistersThatAreEmulatedAreNotTakenOver) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaMirror});
  for (int i = 0; i < 20; ++i) {
    store(kBar0 + 0x88068, 0xff, 1);
  }
  EXPECT_TRUE(doorbells_.history.empty());
}

TEST_F(QuirksTest, AHostWithoutWritesByEvents) {
  nvidia_.relays_writes = false;
  const auto gpu = make_nvidia({QuirkKind::kNvidiaMirror});
  for (int i = 0; i < 40; ++i) {
    store(kBar0 + 0x88704, 7);
  }
  EXPECT_TRUE(doorbells_.history.empty());
  EXPECT_EQ(load_le(nvidia_.bar_bytes(0, 0x88704, 4)), 7U);
}

TEST_F(QuirksTest, NvidiaLowMirrorIsTheFirst256Bytes) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaLowMirror});
  EXPECT_EQ(load(kBar0 + 0x1810), kBar0);
  store(kBar0 + 0x1700, 0x55);  // in the same page, the hardware's
  EXPECT_EQ(load_le(nvidia_.bar_bytes(0, 0x1700, 4)), 0x55U);
  EXPECT_EQ(load(kBar0 + 0x18fe, 4), 0xffffffffU) << "across its end";
}

TEST_F(QuirksTest, NvidiaWindowNeedsItsEnables) {
  const auto gpu = make_nvidia({QuirkKind::kNvidiaWindow});
  out(0xe008, 0x88010);
  EXPECT_EQ(in(0xe00c), 0U) << "off: the hardware's data register";
  out(0xe000, 1);
  out(0xe004, 1);
  EXPECT_EQ(in(0xe00c), kBar0);
  EXPECT_EQ(in(0xe00e, 2), kBar0 >> 16);
  out(0xe008, 0x1810);
  EXPECT_EQ(in(0xe00c), kBar0);
  out(0xe00c, 0xd0000000);
  EXPECT_EQ(gpu->config_read(0x10), 0xd0000000U);
  out(0xe008, 0x100);  // any other register is the hardware's
  out(0xe00c, 0x77);
  EXPECT_EQ(load_le(nvidia_.bar_bytes(5, 0xc, 4)), 0x77U);
  EXPECT_EQ(load_le(nvidia_.bar_bytes(5, 0x8, 4)), 0x100U) << "the index is right there too";
  ASSERT_TRUE(gpu->reset());
  ASSERT_TRUE(gpu->bars().set_power_on_address(5, 0xe000));
  gpu->config_write(4, 7, 0xffff);
  out(0xe008, 0x88010);
  EXPECT_EQ(in(0xe00c), 0x77U) << "a reset switches it off";
}

TEST_F(QuirksTest, AtiMirrorAndWindow) {
  auto function = make(ati_, {QuirkKind::kAtiMirror, QuirkKind::kAtiWindow});
  ASSERT_TRUE(function) << function.error().to_string();
  auto& gpu = **function;
  ASSERT_TRUE(gpu.start());
  ASSERT_TRUE(gpu.bars().set_power_on_address(2, 0x900000000));
  ASSERT_TRUE(gpu.bars().set_power_on_address(4, 0xd100));
  gpu.config_write(4, 7, 0xffff);
  EXPECT_EQ(ati_.config_dword(0x20), 0xd001U);
  EXPECT_EQ(load(0x900004020), 0xd101U) << "where the VGA BIOS looks for its ports";
  EXPECT_EQ(load(0x90000401c), 9U) << "upper half of BAR 2";
  out(0xd100, 0x4020);
  EXPECT_EQ(in(0xd104), 0xd101U);
  out(0xd100, 0x5c);
  out(0xd104, 0x99);
  EXPECT_EQ(load_le(ati_.bar_bytes(4, 4, 4)), 0x99U);
}

TEST_F(QuirksTest, QuirksOfOtherDevicesAreRefused) {
  for (const auto kind : {QuirkKind::kAtiMirror, QuirkKind::kAtiWindow}) {
    const auto refused = make(nvidia_, {kind});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kConfig);
  }
  // A 3D controller has no VGA BIOS.
  const auto compute = test::load_config_dump("nvidia-mx150");
  EXPECT_TRUE(possible_quirks(compute).empty());
  EXPECT_EQ(possible_quirks(nvidia_.config()),
            (std::vector<QuirkKind>{QuirkKind::kNvidiaMirror, QuirkKind::kNvidiaLowMirror,
                                    QuirkKind::kNvidiaWindow}));
}

TEST(QuirkPolicy, EveryRowSaysWhoNeedsItAndWhatItCosts) {
  for (const auto& policy : quirk_policies()) {
    EXPECT_EQ(parse_quirk(policy.name).value(), policy.kind);
    EXPECT_STRNE(policy.needed_by, "");
    EXPECT_STRNE(policy.cost, "");
    EXPECT_STRNE(policy.source, "");
    EXPECT_EQ(&policy_of(policy.kind), &policy);
    EXPECT_TRUE(policy.io || (policy.trapped.offset | policy.trapped.size) % kPageSize == 0);
  }
  const auto unknown = parse_quirk("nvidia");
  ASSERT_FALSE(unknown);
  EXPECT_NE(unknown.error().to_string().find("nvidia-mirror, "), std::string::npos);
}

TEST_F(QuirksTest, PeersReachBarsWhereTheyAre) {
  const auto gpu = make_nvidia({});
  EXPECT_EQ(iommu_.history, (test::History{"map 0xe0000000+0x1000000"}));
  gpu->config_write(0x10, 0xc0000000, ~0U);
  EXPECT_EQ(iommu_.history, (test::History{"map 0xe0000000+0x1000000", "unmap 0xe0000000+0x1000000",
                                           "map 0xc0000000+0x1000000"}));
  gpu->quiesce();
  EXPECT_EQ(iommu_.history.back(), "unmap 0xc0000000+0x1000000") << "before any reset";
}

TEST_F(QuirksTest, APeerMappingThatIsRefusedIsLeftOut) {
  iommu_.refuse = true;
  const auto gpu = make_nvidia({});
  EXPECT_TRUE(slots_.has(kBar0)) << "the guest's processors have it all the same";
  gpu->quiesce();
  EXPECT_EQ(iommu_.history, (test::History{"map 0xe0000000+0x1000000"}));
}

TEST_F(QuirksTest, OthersReachItsBarsOnlyWhereTheUserSaysSo) {
  auto wanted = options(nvidia_);
  wanted.peer_host = &iommu_;
  const auto gpu = started(std::move(wanted));
  ASSERT_TRUE(gpu->bars().set_power_on_address(0, kBar0));
  gpu->config_write(4, 7, 0xffff);
  EXPECT_EQ(slots_.slots.size(), 1U);
  EXPECT_TRUE(iommu_.history.empty());
}

}  // namespace
}  // namespace gpuvm::quirks_test
