// SPDX-License-Identifier: Apache-2.0
#include "devices/pci/pci_windows.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "vmm/base/units.hpp"

namespace gpuvm::pci_windows_test {
namespace {

constexpr BarDescription memory32(std::uint64_t size, bool prefetchable = false) {
  return {.kind = BarKind::kMemory32, .size = size, .prefetchable = prefetchable};
}
constexpr BarDescription memory64(std::uint64_t size, bool prefetchable = true) {
  return {.kind = BarKind::kMemory64, .size = size, .prefetchable = prefetchable};
}

PciApertures apertures() {
  return {.memory32 = GuestRange::create(GuestAddress(0x80000000), 1_GiB),
          .memory64 = GuestRange::create(GuestAddress(0x10'0000'0000), 256_GiB),
          .io = PortRange::create(IoPort(0xc000), 0x3000)};
}

PortRequest gpu() {
  return {.name = "port1",
          .bars = {{"gpu", 0, memory32(16_MiB)},
                   {"gpu", 1, memory64(32_GiB)},
                   {"gpu", 3, memory64(32_MiB)},
                   {"gpu", 5, {.kind = BarKind::kIo, .size = 128}},
                   {"gpu", BarSet::kRom, {.kind = BarKind::kRom, .size = 512_KiB}},
                   {"audio", 0, memory32(16_KiB)}}};
}

TEST(PlaceBars, GpuBehindAPort) {
  const std::vector<PortRequest> ports = {gpu()};
  const auto placed = place_bars(apertures(), ports);
  ASSERT_TRUE(placed);
  const PortPlacement& port = placed->front();
  EXPECT_EQ(port.addresses, (std::vector<std::uint64_t>{0x80000000, 0x10'0000'0000, 0x18'0000'0000,
                                                        0xc000, 0x81000000, 0x81080000}));
  EXPECT_EQ(*port.memory, *GuestRange::create(GuestAddress(0x80000000), 17_MiB));
  EXPECT_EQ(*port.prefetchable, *GuestRange::create(GuestAddress(0x10'0000'0000), 32_GiB + 32_MiB));
  EXPECT_EQ(*port.io, *PortRange::create(IoPort(0xc000), 0x1000));
}

TEST(PlaceBars, NothingAskedNoWindows) {
  const std::vector<PortRequest> ports = {{.name = "empty", .bars = {}}};
  const auto placed = place_bars({}, ports);
  ASSERT_TRUE(placed);
  EXPECT_FALSE(placed->front().io || placed->front().memory || placed->front().prefetchable);
}

// 4 KiB of I/O space for each port, of which there are 60: drivers of today need none.
TEST(PlaceBars, IoThatDoesNotFitHasNoPlaceAndIsNoError) {
  const std::vector<PortRequest> ports(5, gpu());
  PciApertures all = apertures();
  all.memory64 = GuestRange::create(GuestAddress(0x10'0000'0000), memory64_wanted(ports));
  const auto placed = place_bars(all, ports);
  ASSERT_TRUE(placed) << placed.error().to_string();
  for (std::size_t i = 0; i < ports.size(); ++i) {
    EXPECT_EQ((*placed)[i].io.has_value(), i < 3) << i;
    EXPECT_EQ((*placed)[i].addresses[3], i < 3 ? 0xc000 + i * 0x1000 : 0) << i;
    EXPECT_NE((*placed)[i].addresses[0], 0U);
  }
}

// The prefetchable window is a 64-bit one, so a 32-bit framebuffer goes to the other.
TEST(PlaceBars, KindsAndSpaces) {
  const std::vector<PortRequest> ports = {{.name = "port1",
                                           .bars = {{"a", 0, memory32(16_MiB, true)},
                                                    {"a", 1, memory64(1_MiB, false)},
                                                    {"a", 3, memory64(1_MiB, true)}}}};
  const auto placed = place_bars(apertures(), ports);
  ASSERT_TRUE(placed);
  EXPECT_LT(placed->front().addresses[0], 4_GiB);
  EXPECT_LT(placed->front().addresses[1], 4_GiB);
  EXPECT_GE(placed->front().addresses[2], 4_GiB);
}

TEST(PlaceBars, RootBusFunctionsNeedNoWindow) {
  const std::vector<PortRequest> ports = {
      {.name = "virtio", .bridge = false, .bars = {{"virtio", 0, memory32(4_KiB)}}},
      {.name = "virtio2", .bridge = false, .bars = {{"virtio2", 0, memory32(512)}}},
      {.name = "virtio3", .bridge = false, .bars = {{"virtio3", 0, memory32(512)}}}};
  const auto placed = place_bars(apertures(), ports);
  ASSERT_TRUE(placed);
  EXPECT_FALSE((*placed)[0].memory);
  EXPECT_EQ((*placed)[0].addresses[0], 0x80000000U);
  EXPECT_EQ((*placed)[1].addresses[0], 0x80001000U);
  EXPECT_EQ((*placed)[2].addresses[0], 0x80002000U) << "a page each";
}

TEST(PlaceBars, ErrorNamesTheBar) {
  const std::vector<PortRequest> ports = {
      {.name = "port1", .bars = {{"0000:01:00.0", 1, memory64(512_GiB)}}}};
  const auto placed = place_bars(apertures(), ports);
  ASSERT_FALSE(placed);
  EXPECT_EQ(placed.error().kind(), ErrorKind::kConfig);
  EXPECT_NE(placed.error().message().find("BAR 1 of 0000:01:00.0"), std::string::npos)
      << placed.error().message();
  EXPECT_NE(placed.error().message().find("port1"), std::string::npos);
}

TEST(PlaceBars, NoApertureNoPlace) {
  const std::vector<PortRequest> ports = {gpu()};
  PciApertures none = apertures();
  none.memory32.reset();
  EXPECT_FALSE(place_bars(none, ports));
}

TEST(PlaceBars, EdgesOfTheAddressSpaceDoNotOverflow) {
  const std::vector<PortRequest> huge = {{.name = "p",
                                          .bars = {{"a", 0, memory64(std::uint64_t{1} << 63)},
                                                   {"a", 2, memory64(std::uint64_t{1} << 63)}}}};
  PciApertures all = apertures();
  all.memory64 = GuestRange::create(GuestAddress(0), ~std::uint64_t{0});
  EXPECT_FALSE(place_bars(all, huge));
  EXPECT_EQ(memory64_wanted(huge), ~std::uint64_t{0});
  all.memory64 = GuestRange::create(GuestAddress(~std::uint64_t{0} - 4095), 4096);
  const std::vector<PortRequest> one = {
      {.name = "p", .bridge = false, .bars = {{"a", 0, memory64(8_KiB)}}}};
  EXPECT_FALSE(place_bars(all, one));
}

TEST(PlaceBars, WantsTwiceTheSum) {
  EXPECT_EQ(memory64_wanted({}), 0U);
  const std::vector<PortRequest> ports = {gpu(), gpu()};
  EXPECT_GE(memory64_wanted(ports), 2 * 2 * (32_GiB + 32_MiB));
  PciApertures enough = apertures();
  const std::uint64_t wanted = memory64_wanted(ports);
  enough.memory64 = GuestRange::create(GuestAddress(0x10'0000'0000), wanted);
  EXPECT_TRUE(place_bars(enough, ports));
}

TEST(PlaceBars, RequestsFromABarSet) {
  BarSet set;
  ASSERT_TRUE(set.define(0, memory64(1_MiB)));
  ASSERT_TRUE(set.define(BarSet::kRom, {.kind = BarKind::kRom, .size = 64_KiB}));
  std::vector<BarRequest> bars;
  append_requests(set, "gpu", bars);
  ASSERT_EQ(bars.size(), 2U);
  EXPECT_EQ(bars[0].bar, 0U);
  EXPECT_EQ(bars[1].bar, BarSet::kRom);
}

struct Piece {
  std::uint64_t base;
  std::uint64_t size;
};

void expect_disjoint(std::vector<Piece> pieces) {
  std::sort(pieces.begin(), pieces.end(),
            [](const Piece& a, const Piece& b) { return a.base < b.base; });
  for (std::size_t i = 1; i < pieces.size(); ++i) {
    ASSERT_LE(pieces[i - 1].base + pieces[i - 1].size, pieces[i].base);
  }
}

BarDescription random_bar(std::mt19937& random) {
  switch (random() % 4) {
    case 0:
      return memory32(std::uint64_t{1} << (4 + random() % 20));
    case 1:
      return memory64(std::uint64_t{1} << (4 + random() % 30));
    case 2:
      return {.kind = BarKind::kIo, .size = std::uint64_t{1} << (2 + random() % 7)};
    default:
      return memory64(std::uint64_t{1} << (4 + random() % 18), false);
  }
}

// Whatever is asked: aligned, disjoint, inside the port's window, which is of its granularity.
TEST(PlaceBars, RandomRequestsKeepTheInvariants) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    std::vector<PortRequest> ports(1 + random() % 3);
    for (auto& port : ports) {
      port.bridge = random() % 4 != 0;
      port.bars.resize(random() % 7);
      for (auto& bar : port.bars) {
        bar.description = random_bar(random);
      }
    }
    const auto placed = place_bars(apertures(), ports);
    ASSERT_TRUE(placed) << placed.error().message();
    std::vector<Piece> io;
    std::vector<Piece> memory;
    for (std::size_t p = 0; p < ports.size(); ++p) {
      const auto& result = (*placed)[p];
      for (std::size_t b = 0; b < ports[p].bars.size(); ++b) {
        const auto& bar = ports[p].bars[b].description;
        const std::uint64_t at = result.addresses[b];
        ASSERT_TRUE(at != 0 && is_aligned(at, bar.size));
        (bar.kind == BarKind::kIo ? io : memory).push_back({at, bar.size});
        if (!ports[p].bridge) {
          continue;
        }
        if (bar.kind == BarKind::kIo) {
          ASSERT_TRUE(result.io && result.io->contains(IoPort(at), bar.size));
        } else {
          const bool high = bar.kind == BarKind::kMemory64 && bar.prefetchable;
          const auto& window = high ? result.prefetchable : result.memory;
          ASSERT_TRUE(window && window->contains(GuestAddress(at), bar.size));
          ASSERT_TRUE(is_aligned(window->base().value() | window->size(), 1_MiB));
        }
      }
    }
    expect_disjoint(io);
    expect_disjoint(memory);
  }
}

}  // namespace
}  // namespace gpuvm::pci_windows_test
