// SPDX-License-Identifier: Apache-2.0
// A host with one card and all that guests need, for tests of what is told where that is not so.
#pragma once

#include <gtest/gtest.h>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/check/check.hpp"

namespace gpuvm::check_fixture {

inline constexpr const char* kGpu = "0000:01:00.0";

inline const CheckLine* find_line(const CheckLines& lines, std::string_view check,
                                  std::string_view of) {
  for (const CheckLine& line : lines) {
    if (line.check == check && line.of == of) {
      return &line;
    }
  }
  return nullptr;
}

class CheckTest : public testing::Test {
 protected:
  CheckTest() {
    host_.add_device(kGpu, "0x030000", 7, "nouveau");
    attribute("config", "\xde\x10\x8b\x12" + std::string(252, '\0'));
    attribute("reset_method", "flr\n");
    attribute("power_state", "D0\n");
    attribute("rom", "");
    resource(std::uint64_t{16} << 20);
    host_.file("/proc/cpuinfo", cpu("GenuineIntel", "vmx", 46));
    host_.file("/proc/sys/kernel/osrelease", "6.12.30\n");
    host_.file("/proc/interrupts", " 24: 5 IR-PCI-MSIX-0000:01:00.0 0-edge\n");
    host_.directory("/sys/firmware/acpi/tables/DMAR");
    host_.directory("/sys/module/vfio_pci");
    host_.file("/sys/kernel/mm/transparent_hugepage/shmem_enabled", "always [never]\n");
  }

  static std::string cpu(const std::string& maker, const std::string& flag, unsigned bits) {
    return fmt::format("vendor_id\t: {}\nflags\t: {}\naddress sizes\t: {} bits physical\n", maker,
                       flag, bits);
  }
  void attribute(const std::string& name, const std::string& text) {
    host_.file(fmt::format("/sys/bus/pci/devices/{}/{}", kGpu, name), text);
  }
  void resource(std::uint64_t size) {
    std::string text = fmt::format("0x{:016x} 0x{:016x} 0x{:016x}\n", 0x1000000000,
                                   0x1000000000 + size - 1, 0x14220c);
    for (int i = 0; i < 6; ++i) {
      text += "0x0000000000000000 0x0000000000000000 0x0000000000000000\n";
    }
    attribute("resource", text);
  }
  /// Without groups there is no IOMMU at work.
  void switch_iommu_off() {
    std::filesystem::remove_all(host_.path("/sys/kernel/iommu_groups"));
    std::filesystem::remove(host_.path(fmt::format("/sys/bus/pci/devices/{}/iommu_group", kGpu)));
  }
  CheckLines check(const Config* config = nullptr, bool is_here = false) {
    const auto map = gather_host_map(host_, {});
    EXPECT_TRUE(map) << map.error().to_string();
    return check_everything({.host = host_, .map = *map, .config = config, .is_here = is_here});
  }
  CheckLine line(std::string_view name, std::string_view of = "", const Config* config = nullptr,
                 bool is_here = false) {
    const auto lines = check(config, is_here);
    const auto* const found = find_line(lines, name, of);
    EXPECT_NE(found, nullptr) << name << " of " << of << "\n" << check_text(lines, false);
    return found == nullptr ? CheckLine() : *found;
  }
  bool has_line(std::string_view name) { return find_line(check(), name, "") != nullptr; }

  FakeHost host_;
};

}  // namespace gpuvm::check_fixture
