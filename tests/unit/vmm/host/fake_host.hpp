// SPDX-License-Identifier: Apache-2.0
// FakeHost: a made-up sysfs, procfs and /dev in a temporary directory, and the part of the kernel
// that answers writes to it (driver_override, unbind, bind, drivers_probe). Records every write.
#pragma once

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "vmm/base/bdf.hpp"
#include "vmm/host/host_system.hpp"

namespace gpuvm {

class FakeHost : public HostSystem {
 public:
  FakeHost() : FakeHost(make_root()) {}
  FakeHost(const FakeHost&) = delete;
  FakeHost& operator=(const FakeHost&) = delete;
  ~FakeHost() override { std::filesystem::remove_all(path("/")); }

  void file(const std::string& absolute, const std::string& text) const {
    std::filesystem::create_directories(std::filesystem::path(path(absolute)).parent_path());
    std::ofstream(path(absolute)) << text;
  }
  void directory(const std::string& absolute) const {
    std::filesystem::create_directories(path(absolute));
  }
  void link(const std::string& absolute, const std::string& target) const {
    std::filesystem::create_directories(std::filesystem::path(path(absolute)).parent_path());
    std::filesystem::remove(path(absolute));
    std::filesystem::create_symlink(target, path(absolute));
  }

  /// A function with the usual attributes; `driver` (may be empty) is the one that matches it by
  /// itself and has it now.
  void add_device(const std::string& bdf, const std::string& class_code, unsigned group,
                  const std::string& driver) {
    const std::string base = "/sys/bus/pci/devices/" + bdf;
    file(base + "/vendor", "0x10de\n");
    file(base + "/device", "0x128b\n");
    file(base + "/subsystem_vendor", "0x1043\n");
    file(base + "/subsystem_device", "0x85e7\n");
    file(base + "/class", class_code + "\n");
    file(base + "/driver_override", "(null)\n");
    const std::string number = std::to_string(group);
    link(base + "/iommu_group", "../../../kernel/iommu_groups/" + number);
    directory("/sys/kernel/iommu_groups/" + number + "/devices/" + bdf);
    own_driver[bdf] = driver;
    if (!driver.empty()) {
      add_driver(driver);
      attach(bdf, driver);
    }
  }
  void add_driver(const std::string& driver) const { directory("/sys/bus/pci/drivers/" + driver); }
  void attach(const std::string& bdf, const std::string& driver) const {
    link("/sys/bus/pci/devices/" + bdf + "/driver", "../../drivers/" + driver);
  }
  std::string driver_of(const std::string& bdf) const {
    return link_name("/sys/bus/pci/devices/" + bdf + "/driver").value_or("");
  }
  std::string override_of(const std::string& bdf) const {
    return read("/sys/bus/pci/devices/" + bdf + "/driver_override").value();
  }

  // The kernel's side.
  Status write(std::string_view absolute, std::string_view text) const override {
    std::string value(text);
    if (!value.empty() && value.back() == '\n') {
      value.pop_back();
    }
    writes.push_back(std::string(absolute) + " <- " + value);
    if (on_write) {
      on_write(std::string(absolute));
    }
    const std::string target(absolute);
    if (kernel && kernel(target, value)) {
      return {};
    }
    if (target.ends_with("/driver_override")) {
      file(target, value.empty() ? "(null)\n" : value + "\n");
    } else if (target.ends_with("/driver/unbind")) {
      std::filesystem::remove(path("/sys/bus/pci/devices/" + value + "/driver"));
    } else if (target == "/sys/bus/pci/drivers_probe") {
      probe(value);
    } else if (target.ends_with("/bind")) {
      attach(value, std::filesystem::path(target).parent_path().filename().string());
    } else {
      return fail(ErrorKind::kHost, "Cannot write {}", absolute);
    }
    return {};
  }
  Status load_module(const std::string& name) const override {
    loaded.push_back(name);
    if (!modules.contains(name)) {
      return fail(ErrorKind::kHost, "/sbin/modprobe failed (wait status 0x100)");
    }
    add_driver(name);
    return {};
  }

  std::map<std::string, std::string> own_driver;
  std::set<std::string> modules{"vfio-pci"};  ///< that modprobe finds
  std::set<std::string> refusing_drivers;     ///< whose probe fails
  mutable std::vector<std::string> writes;
  mutable std::vector<std::string> loaded;
  std::function<void(const std::string&)> on_write;  ///< called before a write takes effect
  /// What else the kernel does at a write of this text; true: that is all.
  std::function<bool(const std::string& absolute, const std::string& text)> kernel;

 private:
  explicit FakeHost(const std::string& root) : HostSystem(root) {}
  static std::string make_root() {
    std::string name = testing::TempDir() + "gpuvm-host-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    return name;
  }
  void probe(const std::string& bdf) const {
    if (!driver_of(bdf).empty()) {
      return;
    }
    const std::string wanted = override_of(bdf);
    const auto own = own_driver.find(bdf);
    const std::string driver = wanted != "(null)"        ? wanted
                               : own == own_driver.end() ? ""
                                                         : own->second;
    if (!driver.empty() && !refusing_drivers.contains(driver) &&
        exists("/sys/bus/pci/drivers/" + driver)) {
      attach(bdf, driver);
    }
  }
};

inline Bdf bdf_of(const std::string& text) {
  return *Bdf::parse(text);
}

}  // namespace gpuvm
