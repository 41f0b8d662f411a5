// SPDX-License-Identifier: Apache-2.0
// The guest's PCI Express hierarchy over fakes, as a guest finds it in the ECAM: ports, functions,
// where BARs are, and what a reset and the end leave.
#include "vmm/machine/pci/pci_complex.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/devices/passthrough/config_fixtures.hpp"
#include "tests/unit/vmm/bus/fake_guest_bus.hpp"
#include "tests/unit/vmm/machine/devices/fake_devices.hpp"
#include "vmm/base/units.hpp"
#include "vmm/machine/devices/machine_reset.hpp"
#include "vmm/machine/memory/layout.hpp"

namespace gpuvm::pci_complex_test {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const std::string kGpu = "0000:01:00.0";
const std::string kSecondGpu = "0000:01:00.1";
const std::string kUsb = "0000:02:00.0";

class FakeResetPort : public IoHandler {
 public:
  std::string_view name() const override { return "reset port"; }
  IoStatus read(std::uint64_t, std::span<std::byte>) override { return IoStatus::kOk; }
  IoStatus write(std::uint64_t, std::span<const std::byte>) override { return IoStatus::kOk; }
};

/// BAR 0 has 16 MiB, BAR 1 128 MiB and BAR 3 32 MiB of 64 bits, BAR 5 ports.
void furnish_gpu(test::FakePhysicalDevice& gpu) {
  gpu.add_bar(0, 16_MiB);
  gpu.add_bar(1, 128_MiB);
  gpu.add_bar(3, 32_MiB);
  gpu.add_bar(5, 128, false);
  gpu.set_irq(IrqType::kIntx, 1);
  gpu.set_irq(IrqType::kMsi, 1);
}

void furnish_usb(test::FakePhysicalDevice& usb) {
  usb.add_bar(0, 0x2000);
  usb.set_irq(IrqType::kIntx, 1);
  usb.set_irq(IrqType::kMsix, 8);
}

class PciComplexTest : public testing::Test {
 protected:
  /// Two functions behind port 0, one behind port 2.
  void add_three() {
    add_gpus();
    fakes_.add(kUsb, test::upd720200_config(), 2, 0, furnish_usb);
  }
  void add_gpus() {
    fakes_.add(kGpu, test::gt710_config(), 0, 0, furnish_gpu);
    fakes_.add(kSecondGpu, test::gt710_config(), 0, 1, furnish_gpu);
  }
  Status try_create() {
    devices_ = TRY(fakes_.create());
    TRY(MachineReset(*devices_).plan());
    numa_.emplace(TRY(NumaPlan::create(fakes_.host, {}, devices_->host_functions(), memory_)));
    pci_ = TRY(PciComplex::create({.devices = *devices_,
                                   .numa = *numa_,
                                   .disks = disks_,
                                   .networks = networks_,
                                   .memory = memory_,
                                   .physical_address_bits = 40,
                                   .config_ports = true,
                                   .before_bus_master = {},
                                   .reset_port = reset_port_,
                                   .firmware_flash = {},
                                   .bus = bus_.bus(),
                                   .on_guest_reset = {}}));
    return {};
  }
  void create() {
    const auto created = try_create();
    ASSERT_TRUE(created) << created.error().to_string();
  }
  static GuestAddress place(unsigned bus, unsigned device, unsigned function, unsigned offset) {
    return layout::kEcamBase + (bus << 20 | device << 15 | function << 12 | offset);
  }
  std::uint32_t read(unsigned bus, unsigned device, unsigned function, unsigned offset) {
    std::array<std::byte, 4> bytes{};
    bus_.mmio.read(place(bus, device, function, offset), bytes);
    return static_cast<std::uint32_t>(load_le(bytes));
  }
  void write(unsigned bus, unsigned device, unsigned function, unsigned offset,
             std::uint32_t value) {
    std::array<std::byte, 4> bytes{};
    store_le(bytes, value);
    bus_.mmio.write(place(bus, device, function, offset), bytes);
  }
  std::uint64_t bar(unsigned bus, unsigned function, unsigned number, bool wide) {
    const unsigned offset = pci::kBar0 + number * 4;
    const std::uint64_t low = read(bus, 0, function, offset) & ~0xfU;
    return wide ? std::uint64_t{read(bus, 0, function, offset + 4)} << 32 | low : low;
  }
  test::FakePhysicalDevice& device(std::size_t index) {
    return dynamic_cast<test::FakePhysicalDevice&>(devices_->functions()[index]->device());
  }

  test::FakeDevices fakes_;
  test::FakeGuestBus bus_;
  FakeResetPort reset_port_;
  GuestDisks disks_;
  Networks networks_;
  GuestMemory memory_ = GuestMemory::create({.size = 64_MiB}).value();
  std::unique_ptr<HostDevices> devices_;
  std::optional<NumaPlan> numa_;
  std::unique_ptr<PciComplex> pci_;
};

constexpr std::uint32_t kRootPortId = 0x000c1b36;
constexpr std::uint32_t kGpuId = 0x128b10de;
constexpr std::uint32_t kUsbId = 0x01941033;

TEST_F(PciComplexTest, WithoutFunctionsThereIsPortZeroAndItIsEmpty) {
  create();
  EXPECT_EQ(pci_->buses(), 2U);
  EXPECT_EQ(read(0, 1, 0, 0), kRootPortId);
  EXPECT_EQ(read(0, 2, 0, 0), pci::kAllOnes);
  EXPECT_EQ(read(1, 0, 0, 0), pci::kAllOnes);
  EXPECT_TRUE(pci_->start());
}

TEST_F(PciComplexTest, FunctionsAreBehindTheirPortsOneBusEach) {
  add_three();
  create();
  EXPECT_EQ(pci_->buses(), 3U);
  EXPECT_EQ(read(0, 1, 0, 0), kRootPortId);
  EXPECT_EQ(read(0, 2, 0, 0), pci::kAllOnes) << "port 1 is not in use";
  EXPECT_EQ(read(0, 3, 0, 0), kRootPortId);
  EXPECT_EQ(read(1, 0, 0, 0), kGpuId);
  EXPECT_EQ(read(1, 0, 1, 0), kGpuId);
  EXPECT_EQ(read(1, 0, 2, 0), pci::kAllOnes);
  EXPECT_EQ(read(2, 0, 0, 0), kUsbId);
  constexpr std::uint32_t kMulti = std::uint32_t{pci::kHeaderTypeMultiFunction} << 16;
  EXPECT_NE(read(1, 0, 0, 0x0c) & kMulti, 0U);
  EXPECT_EQ(read(2, 0, 0, 0x0c) & kMulti, 0U);
  for (const auto& function : devices_->functions()) {
    EXPECT_TRUE(function->is_shown());
  }
}

TEST_F(PciComplexTest, BarsAreInsideTheWindowsOfTheirPortAndApart) {
  add_three();
  create();
  const auto window = [this](unsigned port) {
    const std::uint32_t value = read(0, port, 0, pci::kMemoryBase);
    return std::pair{std::uint64_t{value & 0xfff0} << 16,
                     (std::uint64_t{value >> 16 & 0xfff0} << 16) + 1_MiB};
  };
  const auto [gpu_from, gpu_to] = window(1);
  const auto [usb_from, usb_to] = window(3);
  EXPECT_GE(gpu_from, layout::kMmio32Base.value());
  for (const unsigned function : {0U, 1U}) {
    EXPECT_GE(bar(1, function, 0, false), gpu_from);
    EXPECT_LE(bar(1, function, 0, false) + 16_MiB, gpu_to);
  }
  EXPECT_NE(bar(1, 0, 0, false), bar(1, 1, 0, false));
  EXPECT_GE(bar(2, 0, 0, true), usb_from);
  EXPECT_LE(bar(2, 0, 0, true) + 0x2000, usb_to);
  EXPECT_TRUE(gpu_to <= usb_from || usb_to <= gpu_from);
  EXPECT_GE(bar(1, 0, 1, true), 4_GiB) << "above RAM and 4 GiB: 64 bits, prefetchable";
  EXPECT_GE(pci_->memory64_wanted(), 2 * (128_MiB + 32_MiB));
}

TEST_F(PciComplexTest, ListMayNameTheFunctionsOfASlotInAnyOrder) {
  add_gpus();
  create();
  const std::uint64_t first = bar(1, 0, 0, false);
  const std::uint64_t second = bar(1, 1, 0, false);
  pci_.reset();
  devices_.reset();
  std::swap(fakes_.functions[0], fakes_.functions[1]);
  ASSERT_TRUE(bus_.mmio.replace(std::array{layout::kEcamBase}, {}));
  ASSERT_TRUE(bus_.ports.replace(std::array{IoPort(ConfigPorts::kPort)}, {}));
  create();
  EXPECT_EQ(bar(1, 0, 0, false), first);
  EXPECT_EQ(bar(1, 1, 0, false), second);
}

TEST_F(PciComplexTest, QuiesceTakesAllOutOfTheGuestAndResetBringsItBack) {
  add_three();
  create();
  ASSERT_TRUE(pci_->start());
  const std::uint64_t at_power_on = bar(1, 0, 0, false);
  EXPECT_THAT(bus_.pins.history, ElementsAre("connect pin 17", "connect pin 17", "connect pin 19"))
      << "in the order of ports and slots";
  for (const auto& [bus, function] : {std::pair{1U, 0U}, {1U, 1U}, {2U, 0U}}) {
    write(bus, 0, function, pci::kCommand, 0x6);
  }
  EXPECT_EQ(bus_.slots.slots.size(), 7U) << "three each of the GPUs; around the table of the USB";
  write(1, 0, 0, pci::kBar0, 0x88000000);
  bus_.pins.history.clear();
  pci_->quiesce();
  EXPECT_TRUE(bus_.slots.slots.empty());
  EXPECT_THAT(bus_.pins.history,
              ElementsAre("disconnect pin 17", "disconnect pin 17", "disconnect pin 19"));
  ASSERT_TRUE(pci_->reset());
  EXPECT_EQ(bar(1, 0, 0, false), at_power_on);
  EXPECT_EQ(read(1, 0, 0, pci::kCommand) & 0x7, 0U);
  EXPECT_TRUE(bus_.slots.slots.empty()) << "the guest has decode off";
  EXPECT_TRUE(bus_.pins.connected);
}

TEST_F(PciComplexTest, WhoeverGoesLeavesTheFunctionsToTheHost) {
  add_three();
  create();
  ASSERT_TRUE(pci_->start());
  const auto refused = devices_->reopen();
  ASSERT_FALSE(refused) << "the guest's side refers to the devices";
  EXPECT_EQ(refused.error().kind(), ErrorKind::kInternal);
  EXPECT_EQ(fakes_.history.back(), "open vfio") << "nothing was closed";
  pci_.reset();
  EXPECT_FALSE(bus_.pins.connected);
  EXPECT_TRUE(bus_.slots.slots.empty());
  for (const auto& function : devices_->functions()) {
    EXPECT_FALSE(function->is_shown());
    EXPECT_TRUE(function->is_open());
  }
  EXPECT_TRUE(devices_->reopen());
}

TEST_F(PciComplexTest, FunctionThatCannotBeShownIsNamedAndTheOthersGo) {
  add_three();
  fakes_.functions[1].view.coherent.bar = 2;
  const auto created = try_create();
  ASSERT_FALSE(created);
  EXPECT_EQ(created.error().kind(), ErrorKind::kConfig);
  EXPECT_THAT(created.error().to_string(),
              AllOf(HasSubstr("Root port 0: " + kSecondGpu), HasSubstr("names no memory BAR")));
  for (const auto& function : devices_->functions()) {
    EXPECT_FALSE(function->is_shown());
  }
}

TEST_F(PciComplexTest, MemoryOfAFunctionIsAboveRamAndItsGpuAnInitiator) {
  add_three();
  fakes_.functions[1].view.coherent.bar = 3;
  create();
  ASSERT_EQ(pci_->device_memory().size(), 1U);
  EXPECT_GE(pci_->device_memory()[0].base(), layout::kFourGiB);
  EXPECT_EQ(pci_->device_memory()[0].size(), 32_MiB);
  EXPECT_EQ(read(1, 0, 1, pci::kBar0 + 12), 0U) << "no BAR for the guest";
  EXPECT_GE(bar(1, 0, 1, true), pci_->device_memory()[0].last().value());
  const auto initiators = pci_->initiators();
  ASSERT_EQ(initiators.size(), 1U);
  EXPECT_EQ(initiators[0].bus, 1);
  EXPECT_EQ(initiators[0].devfn, 1);
  ASSERT_TRUE(pci_->start());
  EXPECT_TRUE(bus_.slots.has(pci_->device_memory()[0].base().value()));
}

TEST_F(PciComplexTest, FirmwareIsToldWhereEachFunctionIs) {
  add_three();
  create();
  const auto functions = pci_->firmware_functions();
  ASSERT_EQ(functions.size(), 3U);
  EXPECT_EQ(functions[1].tree.port_devfn, 1 << 3);
  EXPECT_EQ(functions[1].tree.bus, 1);
  EXPECT_EQ(functions[1].tree.devfn, 1);
  EXPECT_EQ(functions[2].tree.port_devfn, 3 << 3);
  EXPECT_EQ(functions[2].tree.bus, 2);
  EXPECT_EQ(functions[2].tree.vendor, 0x1033);
  ASSERT_EQ(functions[2].tree.bars.size(), 1U);
  EXPECT_EQ(functions[2].tree.bars[0].base, bar(2, 0, 0, true));
}

// A GPU with I/O BAR behind each of 32 ports: 8 of their own device number, 24 in devices 9 to 11;
// I/O space has room for 15 windows.
TEST_F(PciComplexTest, ThirtyTwoPorts) {
  for (unsigned i = 0; i < kRootPorts; ++i) {
    fakes_.add(fmt::format("0000:{:02x}:00.0", 0x10 + i), test::gt710_config(),
               static_cast<std::uint8_t>(i), 0, furnish_gpu);
  }
  create();
  EXPECT_EQ(pci_->buses(), 33U);
  std::set<std::uint64_t> bars;
  std::set<std::uint32_t> slots;
  unsigned with_io = 0;
  for (unsigned i = 0; i < kRootPorts; ++i) {
    const unsigned device = i < 8 ? i + 1 : 0x09 + (i - 8) / 8;
    const unsigned function = i < 8 ? 0 : (i - 8) % 8;
    ASSERT_EQ(read(0, device, function, 0), kRootPortId) << i;
    const std::uint32_t bus = read(0, device, function, pci::kPrimaryBus) >> 8 & 0xff;
    EXPECT_EQ(bus, i + 1);
    EXPECT_EQ(read(bus, 0, 0, 0), kGpuId);
    bars.insert(bar(bus, 0, 0, false));
    slots.insert(
        read(0, device, function, RootPort::kExpressOffset + pci::kExpressSlotCapabilities));
    with_io += bar(bus, 0, 5, false) != 0 ? 1 : 0;
    const bool is_multi =
        (read(0, device, function, 0x0c) & std::uint32_t{pci::kHeaderTypeMultiFunction} << 16) != 0;
    EXPECT_EQ(is_multi, i >= 8) << i;
  }
  EXPECT_EQ(bars.size(), kRootPorts);
  EXPECT_EQ(slots.size(), kRootPorts);
  EXPECT_EQ(with_io, 15U);
  EXPECT_TRUE(pci_->start());
}

TEST_F(PciComplexTest, PortThatSharesADeviceIsFoundByFunctionZero) {
  fakes_.add(kGpu, test::gt710_config(), 29, 0, furnish_gpu);
  create();
  EXPECT_EQ(pci_->buses(), 4U) << "ports 0, 24 and 29";
  EXPECT_EQ(read(0, 0x0b, 0, 0), kRootPortId) << "empty";
  EXPECT_EQ(read(0, 0x0b, 5, 0), kRootPortId);
  EXPECT_EQ(read(3, 0, 0, 0), kGpuId);
  EXPECT_EQ(pci_->firmware_functions().front().tree.port_devfn, 0x0b << 3 | 5);
}

// A card that idles at 2.5 GT/s when the guest starts and wakes up: PCI Express at 78 in it, at 48
// in the port.
TEST_F(PciComplexTest, LinkOfPortAndFunctionIsTheHardwaresNow) {
  constexpr std::uint16_t kCapabilities = 0x78 + pci::kExpressLinkCapabilities;
  constexpr std::uint16_t kStatus = 0x78 + pci::kExpressLinkControl;
  fakes_.add(kGpu, test::gt710_config(), 0, 0, [](test::FakePhysicalDevice& gpu) {
    furnish_gpu(gpu);
    gpu.set_config(kCapabilities, 0x00000104);  // 16 GT/s, x16
    gpu.set_config(kStatus, 0x11010000);
  });
  fakes_.add(kUsb, test::upd720200_config(), 0, 1, furnish_usb);
  create();
  const auto at_port = [this](unsigned offset) {
    return read(0, 1, 0, RootPort::kExpressOffset + offset);
  };
  EXPECT_EQ(at_port(pci::kExpressLinkCapabilities) & 0x3ff, 0x104U);
  EXPECT_EQ(at_port(pci::kExpressLinkCapabilities2) & 0xfe, 0x1eU);
  EXPECT_EQ(at_port(pci::kExpressLinkControl) >> 16 & 0x3ff, 0x101U);
  EXPECT_EQ(read(1, 0, 0, kStatus) >> 16 & 0x3ff, 0x101U);
  device(0).set_config(kStatus, 0x11040000);
  EXPECT_EQ(at_port(pci::kExpressLinkControl) >> 16 & 0x3ff, 0x104U);
  EXPECT_EQ(read(1, 0, 0, kStatus) >> 16 & 0x3ff, 0x104U);
}

// What the kernel says (VFIO_DEVICE_INFO_CAP_PCI_ATOMIC_COMP) reaches the guest's root port.
class AtomicsTest : public PciComplexTest {
 protected:
  void add(const std::string& bdf, std::uint32_t class_dword, std::uint8_t number,
           std::uint32_t completers) {
    auto config = test::gt710_config();
    store_le(std::span(config).subspan(pci::kClassDword, 4), class_dword);
    fakes_.add(bdf, std::move(config), 0, number,
               [completers](test::FakePhysicalDevice& device) { device.completers = completers; });
  }
  std::uint32_t of_port() {
    create();
    return read(0, 1, 0, RootPort::kExpressOffset + pci::kExpressDeviceCapabilities2) & 0x380;
  }
  static constexpr std::uint32_t k32 = pci::kDevice2AtomicComplete32;
  static constexpr std::uint32_t k64 = pci::kDevice2AtomicComplete64;
  static constexpr std::uint32_t kDisplay = 0x030000a1;
  static constexpr std::uint32_t kAudio = 0x040300a1;
  static constexpr std::uint32_t kUsbClass = 0x0c033001;
};

TEST_F(AtomicsTest, CardWithAudioAndAUsbControllerOfAnotherSlotHasThem) {
  add(kGpu, kDisplay, 0, k32 | k64);
  add(kSecondGpu, kAudio, 1, 0);
  add(kUsb, kUsbClass, 2, 0);
  EXPECT_EQ(of_port(), k32 | k64);
}

TEST_F(AtomicsTest, OfTwoSlotsOnlyWhatBothHave) {
  add(kGpu, kDisplay, 0, k32 | k64);
  add(kUsb, kDisplay, 1, k64);
  EXPECT_EQ(of_port(), k64);
}

TEST_F(AtomicsTest, NoneWhereTheKernelNamesNone) {
  add(kGpu, kDisplay, 0, k32 | k64);
  add(kUsb, kDisplay, 1, 0);
  EXPECT_EQ(of_port(), 0U);
}

TEST_F(AtomicsTest, NoneBehindAnEmptyPort) {
  EXPECT_EQ(of_port(), 0U);
}

TEST_F(PciComplexTest, InspectHasEachFunctionBelowItsPort) {
  add_three();
  create();
  InspectNode node;
  pci_->inspect(node);
  EXPECT_EQ(node.child("port_0").child("function_1").get("device"), kSecondGpu);
  EXPECT_EQ(node.child("port_0").child("function_1").child("guest_resets").get("resets"), "0");
  EXPECT_EQ(node.child("port_2").child("function_0").get("device"), kUsb);
  EXPECT_EQ(node.child("port_2").child("bus_reset").get("resets"), "0");
}

}  // namespace
}  // namespace gpuvm::pci_complex_test
