// SPDX-License-Identifier: Apache-2.0
// What the monitor writes is what the firmware reads; and dtc, where it is installed, judges the
// source.
#include "firmware/fdt/machine_tree.hpp"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdio>
#include <cstring>
#include <fstream>

#include "firmware/efi/machine_description.hpp"

namespace gpuvm::machine_tree_test {
namespace {

GuestRange range(std::uint64_t base, std::uint64_t size) {
  return *GuestRange::create(GuestAddress(base), size);
}

MachineTree example() {
  MachineTree tree;
  tree.model = "gpuvm";
  tree.memory = {{.range = range(0, 0x40000000)}, {.range = range(0x1'0000'0000, 0x2'0000'0000)}};
  tree.reserved = {{"acpi", range(0xe0000, 0x20000), 0}, {"rom", range(0x3f000000, 0x1000), 4}};
  tree.kernel = {.image = range(0x3c800000, 0x3600000),
                 .entry = GuestAddress(0x3d000200),
                 .handover = true,
                 .setup_header = std::vector<std::byte>(123, std::byte{0x5a})};
  tree.initrd = range(0x30000000, 0x12345);
  tree.command_line = "console=ttyS0 quote=\"x\\y\"";
  tree.seed = std::vector<std::byte>(64, std::byte{9});
  tree.rsdp = GuestAddress(0xe0000);
  tree.smbios3 = GuestAddress(0xf0000);
  tree.ports = {.serial = 0x3f8,
                .rtc = 0x70,
                .reset = 0xcf9,
                .reset_value = 6,
                .pm1_control = 0x604,
                .soft_off_value = 0x3400,
                .monitor = 0x620};
  tree.variables = range(0x3f001000, 0x200);
  tree.pci.ecam = range(0xe0000000, 0x10000000);
  tree.pci.buses = 3;
  tree.pci.memory_windows = {range(0x80000000, 0x60000000), range(0x8'0000'0000, 0x8'0000'0000)};
  TreeFunction gpu{.port_devfn = 8,
                   .bus = 1,
                   .devfn = 0,
                   .vendor = 0x1234,
                   .device = 0x1111,
                   .class_code = 0x030000,
                   .bars = {},
                   .rom = range(0x3f000000, 0x9c00)};
  gpu.bars = {{.index = 0, .prefetchable = true, .base = 0x80000000, .size = 0x1000000},
              {.index = 2, .wide = true, .base = 0x8'0000'0000, .size = 0x1000}};
  TreeFunction audio{.port_devfn = 8,
                     .bus = 1,
                     .devfn = 1,
                     .vendor = 0x8086,
                     .device = 0x2668,
                     .class_code = 0x040300,
                     .bars = {},
                     .rom = std::nullopt};
  TreeFunction usb{.port_devfn = 16,
                   .bus = 2,
                   .devfn = 0,
                   .vendor = 0x1033,
                   .device = 0x0194,
                   .class_code = 0x0c0330,
                   .bars = {},
                   .rom = std::nullopt};
  tree.pci.functions = {gpu, audio, usb};
  return tree;
}

TEST(MachineTree, MemoryOfDevicesIsNoRam) {
  auto tree = example();
  tree.memory[0].node = 0;
  tree.memory.push_back(
      {.range = range(0x5'0000'0000, 0x4000'0000), .node = 1, .specific_purpose = true});
  auto bytes = build_machine_tree(tree);
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  efi::MachineDescription machine;
  ASSERT_EQ(efi::read_machine_description(bytes->data(), machine), nullptr);
  EXPECT_EQ(machine.ram_count, 2U);
  ASSERT_EQ(machine.specific_count, 1U);
  EXPECT_EQ(machine.specific[0].base, 0x5'0000'0000U);
  const auto source = print_tree(*bytes);
  ASSERT_TRUE(source);
  EXPECT_NE(source->find("numa-node-id"), std::string::npos);
  EXPECT_NE(source->find("gpuvm,specific-purpose"), std::string::npos);
}

TEST(MachineTree, TheFirmwareReadsWhatTheMonitorWrites) {
  auto bytes = build_machine_tree(example());
  ASSERT_TRUE(bytes) << bytes.error().to_string();
  efi::MachineDescription machine;
  ASSERT_EQ(efi::read_machine_description(bytes->data(), machine), nullptr);
  EXPECT_EQ(machine.tree_size, bytes->size());
  ASSERT_EQ(machine.ram_count, 2U);
  EXPECT_EQ(machine.ram[1].base, 0x1'0000'0000U);
  EXPECT_EQ(machine.ram[1].size, 0x2'0000'0000U);
  ASSERT_EQ(machine.reserved_count, 2U);
  EXPECT_EQ(machine.reserved[1].type, efi::MemoryType::kBootServicesData);
  EXPECT_EQ(machine.reserved[0].region.base, 0xe0000U);
  EXPECT_EQ(machine.kernel.image.base, 0x3c800000U);
  EXPECT_EQ(machine.kernel.entry, 0x3d000200U);
  EXPECT_TRUE(machine.kernel.handover);
  ASSERT_EQ(machine.kernel.setup_header_size, 123U);
  EXPECT_EQ(machine.kernel.setup_header[122], 0x5a);
  EXPECT_EQ(machine.initrd.size, 0x12345U);
  EXPECT_STREQ(machine.command_line, "console=ttyS0 quote=\"x\\y\"");
  ASSERT_EQ(machine.seed_size, 64U);
  EXPECT_EQ(machine.seed[63], 9);
  EXPECT_EQ(machine.rsdp, 0xe0000U);
  EXPECT_EQ(machine.smbios3, 0xf0000U);
  EXPECT_EQ(machine.ecam, 0xe0000000U);
  EXPECT_EQ(machine.serial_port, 0x3f8);
  EXPECT_EQ(machine.rtc_port, 0x70);
  EXPECT_EQ(machine.reset_port, 0xcf9);
  EXPECT_EQ(machine.reset_value, 6);
  EXPECT_EQ(machine.pm1_control_port, 0x604);
  EXPECT_EQ(machine.soft_off_value, 0x3400);
  EXPECT_EQ(machine.monitor_port, 0x620);
  EXPECT_EQ(machine.variables.base, 0x3f001000U);
  ASSERT_EQ(machine.function_count, 3U);
  EXPECT_EQ(machine.functions[0].rom.size, 0x9c00U);
  EXPECT_EQ(machine.functions[1].function, 1);
  EXPECT_EQ(machine.functions[1].rom.size, 0U);
  EXPECT_EQ(machine.functions[2].bus, 2);
}

TEST(MachineTree, IncompleteTreesAreRefused) {
  efi::MachineDescription machine;
  std::vector<std::byte> nothing(64);
  EXPECT_NE(efi::read_machine_description(nothing.data(), machine), nullptr);
  auto no_memory = example();
  no_memory.memory.clear();
  auto bytes = build_machine_tree(no_memory);
  ASSERT_TRUE(bytes);
  EXPECT_STREQ(efi::read_machine_description(bytes->data(), machine), "There is no memory node");
  auto many = example();
  many.memory.assign(129, many.memory[0]);
  for (std::size_t i = 0; i < many.memory.size(); ++i) {
    many.memory[i].range = range(i << 32, 0x1000);
  }
  bytes = build_machine_tree(many);
  ASSERT_TRUE(bytes);
  EXPECT_NE(efi::read_machine_description(bytes->data(), machine), nullptr);
}

TEST(MachineTree, DtcTakesTheSourceAndMakesTheSameTree) {
  if (std::system("dtc --version >/dev/null 2>&1") != 0) {
    GTEST_SKIP() << "dtc is not installed";
  }
  const auto bytes = build_machine_tree(example());
  ASSERT_TRUE(bytes);
  const auto source = print_tree(*bytes);
  ASSERT_TRUE(source) << source.error().to_string();
  char directory[] = "/tmp/gpuvm-tree-XXXXXX";
  ASSERT_NE(::mkdtemp(directory), nullptr);
  const std::string base = directory;
  std::ofstream(base + "/a.dts") << *source;
  std::ofstream(base + "/b.dtb", std::ios::binary)
      .write(reinterpret_cast<const char*>(bytes->data()),
             static_cast<std::streamsize>(bytes->size()));
  // From our source and from our bytes: the same, and not a word of complaint about either.
  const std::string command = "cd " + base +
                              " && dtc -s -I dts -O dts a.dts >a.out 2>a.err"
                              " && dtc -s -I dtb -O dts b.dtb >b.out 2>b.err"
                              " && cmp a.out b.out && cat a.err b.err && test ! -s a.err";
  EXPECT_EQ(std::system(command.c_str()), 0);
  std::system(("rm -r " + base).c_str());
}

TEST(PrintTree, RefusesWhatIsNoTree) {
  EXPECT_FALSE(print_tree({}));
  auto bytes = build_machine_tree(example());
  ASSERT_TRUE(bytes);
  bytes->resize(bytes->size() / 2);
  EXPECT_FALSE(print_tree(*bytes));
}

}  // namespace
}  // namespace gpuvm::machine_tree_test
