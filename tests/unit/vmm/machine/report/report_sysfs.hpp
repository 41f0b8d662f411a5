// SPDX-License-Identifier: Apache-2.0
// A made-up host with a graphics card of two functions behind one port, for tests of reports.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/unit/vmm/host/fake_host.hpp"
#include "vmm/machine/report/decide.hpp"
#include "vmm/machine/report/gather_report.hpp"

namespace gpuvm::test {

class ReportSysfs {
 public:
  ReportSysfs() {
    add("0000:00:02.0", "0000:00:02.0", "0x060400", 256);
    for (const char* const name : {"0000:01:00.0", "0000:01:00.1"}) {
      const std::string bdf = name;
      add(bdf, "0000:00:02.0/" + bdf, bdf == "0000:01:00.0" ? "0x030000" : "0x040300", 4096);
      host.link("/sys/bus/pci/devices/" + bdf + "/iommu_group",
                "../../../../kernel/iommu_groups/7");
      host.directory("/sys/kernel/iommu_groups/7/devices/" + bdf);
    }
    host.link("/sys/bus/pci/devices/0000:01:00.0/driver", "../../drivers/nouveau");
    host.link("/sys/bus/pci/devices/0000:01:00.0/iommu", "../../../virtual/iommu/dmar0");
    host.directory("/sys/class/iommu/dmar0");
    host.file("/sys/kernel/iommu_groups/7/type", "DMA\n");
    host.file("/sys/kernel/iommu_groups/7/reserved_regions",
              "0x00000000fee00000 0x00000000feefffff msi\n0x0 0xfff direct\n");
    host.file("/proc/sys/kernel/osrelease", "6.12.9-tower\n");
    host.file("/proc/sys/kernel/hostname", "tower\n");
    host.file("/proc/cpuinfo",
              "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 151\n"
              "model name\t: Intel(R) Core(TM)\nstepping\t: 2\nmicrocode\t: 0x2e\n\n"
              "processor\t: 1\nvendor_id\t: other\n");
  }
  CardReport gather() {
    auto report = gather_report(host, {bdf_of("0000:01:00.0"), bdf_of("0000:01:00.1")},
                                PrivateText::of_this_host(host), "1.2.3");
    EXPECT_TRUE(report) << report.error().to_string();
    report->decision = decide(*report);
    return std::move(report).value();
  }

  FakeHost host;

 private:
  void add(const std::string& bdf, const std::string& place, const std::string& class_code,
           std::size_t size) {
    const std::string real = "/sys/devices/pci0000:00/" + place;
    host.file(real + "/vendor", "0x10de\n");
    host.file(real + "/device", "0x128b\n");
    host.file(real + "/subsystem_vendor", "0x1043\n");
    host.file(real + "/subsystem_device", "0x85e7\n");
    host.file(real + "/class", class_code + "\n");
    host.file(real + "/reset_method", "bus\n");
    host.file(real + "/power_state", "D3hot\n");
    host.file(real + "/numa_node", "-1\n");
    host.file(real + "/current_link_speed", "2.5 GT/s PCIe\n");
    host.file(real + "/max_link_speed", "8.0 GT/s PCIe\n");
    host.file(real + "/current_link_width", "8\n");
    host.file(real + "/max_link_width", "16\n");
    host.file(real + "/resource",
              "0x00000000f6000000 0x00000000f6ffffff 0x0000000000040200\n"
              "0x00000000e8000000 0x00000000efffffff 0x000000000014220c\n" +
                  std::string("0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n0x0 0x0 0x0\n"));
    std::string config(size, '\0');
    config.replace(0, 4, "\xde\x10\x8b\x12");
    config[0x06] = 0x10;
    config[0x0b] = static_cast<char>(std::stoul(class_code, nullptr, 16) >> 16);
    config[0x34] = 0x40;
    config.replace(0x40, 4, std::string("\x01\x00\x03\x00", 4));
    if (size == 4096) {
      config.replace(0x100, 12,
                     std::string("\x03\x00\x01\x00"
                                 "SERIAL42",
                                 12));
    }
    host.file(real + "/config", config);
    host.link("/sys/bus/pci/devices/" + bdf, "../../../devices/pci0000:00/" + place);
  }
};

}  // namespace gpuvm::test
