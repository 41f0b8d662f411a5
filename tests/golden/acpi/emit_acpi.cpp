// SPDX-License-Identifier: Apache-2.0
// Writes ACPI tables, one file each, for acpi_tables_test.sh to show to iasl and acpiexec.
// Variants: operators: a device whose methods use the operators of the AML writer; acpiexec runs
// them. machine: the devices of a real machine, as their rooms describe them. processors: as many
// vCPUs as there can be. rom:SIZE: a GPU behind a port whose option ROM of SIZE bytes ACPI hands
// out; also writes the image as rom.dat and the memory that _ROM reads as data.dat, and prints the
// memory's address.
#include <fmt/core.h>

#include <cstddef>
#include <cstdint>
#include <fstream>
#include <span>
#include <string>

#include "devices/pci/pci_acpi.hpp"
#include "devices/pci/root_port.hpp"
#include "devices/platform/acpi_battery.hpp"
#include "devices/platform/acpi_pm.hpp"
#include "devices/platform/generation_id.hpp"
#include "devices/platform/panic_port.hpp"
#include "devices/platform/rtc_cmos.hpp"
#include "devices/platform/serial_port.hpp"
#include "firmware/acpi/acpi_spec.hpp"
#include "firmware/acpi/acpi_tables.hpp"
#include "firmware/acpi/aml_resource.hpp"
#include "vmm/base/bytes.hpp"

namespace gpuvm {
namespace {

class SleepSource : public AcpiSource {
 public:
  aml::Terms acpi() const override {
    return {aml::name("\\_S5", aml::package({aml::integer(5), aml::integer(5), aml::integer(0),
                                             aml::integer(0)}))};
  }
};

/// Each method returns a number that acpi_tables_test.sh knows.
class OperatorSource : public AcpiSource {
 public:
  aml::Terms acpi() const override {
    return {aml::device(
        "TEST",
        {aml::name("_HID", aml::string("GPVM0001")), aml::name("_UID", aml::integer(0)),
         aml::name("_CRS", resources()),
         aml::operation_region("REGN", aml::RegionSpace::kSystemMemory, aml::integer(0xfed0'0000),
                               aml::integer(0x10)),
         aml::field("REGN", aml::FieldAccess::kDword, {{"FLDA", 8}, {"", 24}, {"FLDB", 64}}),
         aml::name("STAT", aml::integer(0)), loop(), arithmetic(), logic(), buffers(), fields(),
         large()})};
  }

 private:
  /// One descriptor of each kind.
  static aml::Term resources() {
    const aml::InterruptMode shared{aml::Trigger::kLevel, aml::Polarity::kLow,
                                    aml::Sharing::kShared};
    const aml::MemoryWindow prefetchable{aml::Caching::kPrefetch, aml::Access::kReadWrite,
                                         aml::Usage::kProducer};
    return aml::resource_template(
        {aml::memory32_fixed(0xfed0'0000, 0x1000), aml::interrupt({Gsi(20), Gsi(21)}, shared),
         aml::word_bus_number(0, 255), aml::io_range({0x3f8, 8, 8}),
         aml::irq(4, aml::kIsaInterrupt), aml::word_io(0, 0xcf7),
         aml::dword_memory(0x8000'0000, 0xdfff'ffff),
         aml::qword_memory(0x80'0000'0000, 0xff'ffff'ffff, prefetchable)});
  }
  /// 1 + 2 + … + 10, leaving the loop by break.
  static aml::Term loop() {
    const aml::Term i = aml::local(0);
    const aml::Term total = aml::local(1);
    return aml::method(
        "LOOP", 0,
        {aml::store(aml::integer(0), i), aml::store(aml::integer(0), total),
         aml::while_(aml::integer(1), {aml::if_(aml::equal(i, aml::integer(10)), {aml::break_()}),
                                       aml::increment(i), aml::add(total, i, total)}),
         aml::return_(total)});
  }
  /// ((((7 * 6 - 2) / 3) << 4 | 1) ^ 0xff) & ~0x80 >> 1
  static aml::Term arithmetic() {
    const aml::Term x = aml::local(0);
    return aml::method(
        "ARIT", 2,
        {aml::multiply(aml::argument(0), aml::argument(1), x), aml::subtract(x, aml::integer(2), x),
         aml::divide(x, aml::integer(3), aml::local(1), x), aml::shift_left(x, aml::integer(4), x),
         aml::or_(x, aml::integer(1), x), aml::xor_(x, aml::integer(0xff), x),
         aml::and_(x, aml::not_(aml::integer(0x80)), x), aml::shift_right(x, aml::integer(1), x),
         aml::add(x, aml::local(1), x), aml::decrement(x), aml::return_(x)});
  }
  static aml::Term logic() {
    const aml::Term a = aml::argument(0);
    const aml::Term five = aml::integer(5);
    return aml::method(
        "LOGI", 1,
        {aml::if_(aml::logical_and(aml::less(a, five), aml::less_equal(a, five)),
                  {aml::return_(aml::integer(100))}),
         aml::else_({aml::if_(aml::logical_or(aml::greater(a, five), aml::logical_not(a)),
                              {aml::return_(aml::integer(200))})}),
         aml::if_(aml::greater_equal(a, five), {aml::return_(aml::integer(300))}),
         aml::return_(aml::integer(0))});
  }
  /// Writes 0x1234 into a buffer made at run time, reads a part of it back.
  static aml::Term buffers() {
    const aml::Term data = aml::local(0);
    const aml::Term part = aml::local(1);
    return aml::method("BUFF", 1,
                       {aml::store(aml::buffer_of_size(aml::argument(0)), data),
                        aml::create_word_field(data, aml::integer(2), "WFLD"),
                        aml::create_byte_field(data, aml::integer(4), "BFLD"),
                        aml::create_qword_field(data, aml::integer(8), "QFLD"),
                        aml::create_field(data, aml::integer(128), aml::integer(12), "XFLD"),
                        aml::store(aml::integer(0x1234), aml::path("WFLD")),
                        aml::store(aml::integer(0x56), aml::path("BFLD")),
                        aml::store(aml::integer(0x1122'3344'5566'7788), aml::path("QFLD")),
                        aml::store(aml::integer(0xabc), aml::path("XFLD")),
                        aml::store(aml::mid(data, aml::integer(2), aml::integer(3)), part),
                        aml::store(aml::concatenate(part, aml::to_buffer(aml::integer(1))), data),
                        aml::return_(aml::add(aml::size_of(data),
                                              aml::deref_of(aml::index(part, aml::integer(1)))))},
                       aml::Serialized::kYes);
  }
  static aml::Term fields() {
    return aml::method(
        "FLDS", 0,
        {aml::store(aml::integer(0x5a), aml::path("FLDA")),
         aml::store(aml::integer(0x77), aml::path("FLDB")),
         aml::notify(aml::path("\\_SB.TEST"), aml::integer(0x80)), aml::sleep(aml::integer(1)),
         aml::store(aml::call("LOOP", {}), aml::path("STAT")),
         aml::return_(aml::add(aml::path("STAT"), aml::path("FLDB")))});
  }
  /// A package past 255 elements and past 4095 bytes.
  static aml::Term large() {
    aml::Terms elements;
    for (std::uint64_t i = 0; i < 500; ++i) {
      elements.push_back(aml::integer(0x1'0000'0000 + i));
    }
    return aml::name("LARG", aml::package(elements));
  }
};

bool write_file(const std::string& path, std::span<const std::byte> bytes) {
  std::ofstream file(path, std::ios::binary);
  for (const std::byte byte : bytes) {
    file.put(static_cast<char>(byte));
  }
  return file.good();
}

/// Writes each table of the image to DIRECTORY/name.dat, found through the RSDP as a guest does.
bool write_tables(const AcpiImage& image, const std::string& directory) {
  const std::span<const std::byte> all(image.bytes);
  const auto at = [&](std::uint64_t address) {
    const std::uint64_t offset = address - image.base.value();
    // Signature, then length: the same in every table and the FACS.
    return all.subspan(offset, load_le(all.subspan(offset + 4, 4)));
  };
  const auto rsdp = load_at<acpi::Rsdp>(all, 0).value();
  bool good = write_file(directory + "/rsdp.dat", all.first(sizeof rsdp));
  const auto xsdt = at(rsdp.xsdt_address);
  good = write_file(directory + "/xsdt.dat", xsdt) && good;
  for (std::size_t i = sizeof(acpi::TableHeader); i + 8 <= xsdt.size(); i += 8) {
    const std::uint64_t address = load_le(xsdt.subspan(i, 8));
    if (address >= image.data_base.value() && image.data_base.value() != 0) {
      continue;  // the VFCT, which iasl does not know
    }
    const auto table = at(address);
    const auto header = load_at<acpi::TableHeader>(table, 0).value();
    const std::string name(header.signature.data(), header.signature.size());
    good = write_file(directory + "/" + name + ".dat", table) && good;
    if (name == "FACP") {
      const auto fadt = load_at<acpi::Fadt>(table, 0).value();
      good = write_file(directory + "/DSDT.dat", at(fadt.x_dsdt)) && good;
      good = write_file(directory + "/FACS.dat", at(fadt.firmware_ctrl)) && good;
    }
  }
  return good;
}

/// Devices need lines and a console to exist; here nobody listens.
class NoPins : public InterruptPins {
 public:
  void set_level(Gsi, bool) override {}
  Status connect_level(Gsi, int, int) override { return {}; }
  void disconnect_level(Gsi, int) override {}
};
class NoConsole : public ConsoleSink {
 public:
  void write(std::span<const std::byte>) override {}
};

PciAcpiConfig pci_config() {
  return {*GuestRange::create(GuestAddress(0xe000'0000), 256_MiB),
          256,
          {*PortRange::create(IoPort(0x1000), 0xf000)},
          {*GuestRange::create(GuestAddress(0x8000'0000), 1_GiB),
           *GuestRange::create(GuestAddress(0x80'0000'0000), 512_GiB)},
          {1, 2}};
}

Result<AcpiImage> build_operators() {
  const SleepSource sleep;
  const OperatorSource operators;
  AcpiInput input;
  input.apic_ids = {0, 1, 2, 255};
  input.sources = {&sleep, &operators};
  return build_acpi(input);
}

AcpiNuma two_nodes_and_a_device() {
  AcpiNuma numa;
  numa.cpu_domains = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1};
  numa.memory = {{*GuestRange::create(GuestAddress(0), 2_GiB), 0},
                 {*GuestRange::create(GuestAddress(4_GiB), 1_GiB), 1},
                 {*GuestRange::create(GuestAddress(6_GiB), 1_GiB), 2, true}};
  numa.initiators = {{.bus = 1, .devfn = 0, .domain = 2}};
  numa.distances = {{10, 21, 20}, {21, 10, 20}, {20, 20, 10}};
  return numa;
}

Result<AcpiImage> build_machine() {
  NoPins pins;
  NoConsole console;
  const AcpiPm power(MachineRequests{}, pins);
  const AcpiBattery battery;
  const PanicPort panic(MachineRequests{});
  const GenerationId generation(GenerationId::Id{}, pins);
  const RtcCmos rtc(RtcCmos::Options{}, pins);
  const SerialPort serial(console, pins);
  auto bridge_config = pci_config();
  bridge_config.proximity_domain = 1;  // the CPUs' node near to what is behind the port
  const PciAcpi bridge(bridge_config);
  RootPortConfig port_config;
  port_config.name = "port1";
  port_config.device = 1;
  port_config.proximity_domain = 2;
  const auto port = TRY(RootPort::create(port_config));
  AcpiInput input;
  for (std::uint32_t id = 0; id < 16; ++id) {
    input.apic_ids.push_back(id);
  }
  input.ecam = AcpiEcam{GuestAddress(0xe000'0000), 0, 255};
  input.is_portable = true;
  input.numa = two_nodes_and_a_device();
  input.sources = {&power, &rtc, &serial, &bridge, port.get(), &battery, &panic, &generation};
  return build_acpi(input);
}

Result<AcpiImage> build_hot_plug() {
  auto config = pci_config();
  config.hot_plug = true;
  const PciAcpi bridge(config);
  RootPortConfig port_config;
  port_config.name = "port1";
  port_config.device = 1;
  port_config.hot_plug.emplace();
  const auto port = TRY(RootPort::create(port_config));
  AcpiInput input;
  input.apic_ids = {0};
  input.sources = {&bridge, port.get()};
  return build_acpi(input);
}

Result<AcpiImage> build_processors() {
  constexpr std::uint32_t kMost = 255;
  const SleepSource sleep;
  AcpiInput input;
  for (std::uint32_t id = 0; id < kMost; ++id) {
    input.apic_ids.push_back(id);
  }
  input.sources = {&sleep};
  return build_acpi(input);
}

/// Bytes without a pattern, the same each time.
std::vector<std::byte> make_rom(std::size_t size) {
  std::vector<std::byte> rom(size);
  std::uint32_t state = 1;
  for (std::byte& byte : rom) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<std::byte>(state >> 24);
  }
  return rom;
}

Result<AcpiImage> build_rom(std::size_t size, const std::string& directory) {
  const auto rom = make_rom(size);
  const PciAcpi bridge(pci_config());
  const auto port = TRY(RootPort::create({.name = "port1", .device = 1}));
  AcpiInput input;
  input.apic_ids = {0};
  input.sources = {&bridge, port.get()};
  input.roms = {
      {.port_path = port->acpi_path(), .bus = 1, .vendor = 0x1002, .device = 0x67df, .image = rom}};
  constexpr GuestAddress kData(0x7fc0'0000);
  fmt::print("{:#x}\n", kData.value());
  auto image = TRY(place_acpi(TRY(build_acpi_blobs(input)), kAcpiArea, kData));
  if (!write_file(directory + "/rom.dat", rom) ||
      !write_file(directory + "/data.dat", image.data)) {
    return fail(ErrorKind::kHost, "Cannot write to {}", directory);
  }
  return image;
}

int run(const std::string& variant, const std::string& directory) {
  const Result<AcpiImage> image = variant.starts_with("rom:")
                                      ? build_rom(std::stoul(variant.substr(4)), directory)
                                  : variant == "machine"    ? build_machine()
                                  : variant == "processors" ? build_processors()
                                  : variant == "hot_plug"   ? build_hot_plug()
                                                            : build_operators();
  if (!image) {
    fmt::print(stderr, "{}\n", image.error().to_string());
    return 1;
  }
  return write_tables(*image, directory) ? 0 : 1;
}

}  // namespace
}  // namespace gpuvm

int main(int argc, char** argv) {
  return argc == 3 ? gpuvm::run(argv[1], argv[2]) : 64;
}
